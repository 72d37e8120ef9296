#!/usr/bin/python3
"""Everything a hostile guest can say, against the running agent: it lives, its other guests beat on, it counts and logs once."""

import json
from pathlib import Path
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from raw_guest import RawGuest, envelope, heartbeat
from suite import Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, http_metrics, wait_until

INIT = {"version": 1, "msg_type": "init", "invocation_id": 7, "name": "x", "heartbeat_interval_ms": 1000}
VALID = heartbeat("init", invocation_id=9, name="after", heartbeat_interval_ms=200)


def metric(metrics: dict[str, float], reason: str) -> float:
    return metrics.get(f'vitalwire_agent_messages_dropped_total{{reason="{reason}"}}', 0.0)


class BadInput(ProcessTestCase):
    """One agent with a well-behaved guest, `good`, that must never notice anything."""

    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())
        self.controller = Controller(self.dir / "controller", self.inspector)
        self.addCleanup(self.controller.close)
        self.agent = Agent(self.dir / "agent", "compute-1", self.controller)
        self.addCleanup(self.agent.close)
        self.good = self.guest("good")
        self.good.register()
        self.agent.wait_state("good", "registered")
        self.bad = self.guest("bad")

    def guest(self, name: str, channel: str = "org.vitalwire.0") -> RawGuest:
        guest = RawGuest(self.agent.channels, name, channel)
        self.addCleanup(guest.close)
        return guest

    def dropped(self, reason: str) -> float:
        return metric(http_metrics(self.agent.http), reason)

    def expect_good_undisturbed(self) -> None:
        """The agent runs, the good guest beats and never was a fault."""
        self.agent.daemon.require_running()
        self.agent.wait_beats("good", 3)
        told = [event for event in self.inspector.events() if event["details"].get("instance_id") == "good"]
        self.assertEqual(told, [])
        self.assertEqual([fault for fault in self.controller.faults() if fault["guest"] == "good"], [])

    def expect_survival(self) -> None:
        """Nobody is disturbed, and the bad guest is served once it says something sensible."""
        self.expect_good_undisturbed()
        self.bad.forget()
        self.bad.say(VALID)
        self.bad.wait("init_ack")
        self.assertEqual(self.agent.faults_opened(), {})

    def test_lines_that_are_no_messages_are_dropped_and_counted(self) -> None:
        lines = {
            "single quotes": b"{'version':2}",
            "a comment": b'{"version":2}//x',
            "NaN": b'{"version":NaN}',
            "invalid UTF-8": b'{"version":2,"x":"\xff\xfe"}',
            "a NUL byte": b'{"version":2,"x":"\x00"}',
            "two objects": envelope(INIT).strip() + envelope(INIT).strip(),
            "depth 1000": b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}",
            "a key twice": b'{"version":2,"version":2}',
            "no object": b"[1,2,3]",
            "1e400": b'{"version":1e400}',
            "a lone surrogate": b'{"version":2,"x":"\\ud800"}',
            "dest_addr null": envelope(INIT, dest_addr=None).strip(),
            "an address of 300 bytes": envelope(INIT, dest_addr="a" * 300).strip(),
            "an address of 5000 bytes": envelope(INIT, dest_addr="a" * 5000).strip(),
            "a path as address": envelope(INIT, dest_addr="/run/libvirt/libvirt-sock").strip(),
        }
        for what, line in lines.items():
            with self.subTest(what):
                before = self.dropped("malformed")
                self.bad.say(b"\n" + line + b"\n")
                wait_until(lambda: self.dropped("malformed") > before, f"{what} is counted")
        self.assertEqual(self.bad.heard("init_ack"), [])
        self.expect_survival()
        log = (self.dir / "agent" / "agent.log").read_text()
        self.assertEqual(log.count("message dropped"), 1, "one line for the condition, not one for each message")

    def test_an_endless_line_costs_its_sender_only(self) -> None:
        self.bad.say(b'{"x":"')
        for _ in range(40):
            self.bad.say(b"y" * 10_000)
        self.bad.say(b'"}\n')
        wait_until(lambda: self.dropped("overlong") == 1, "the line is counted once")
        self.expect_survival()

    def test_a_message_split_over_many_writes_is_one_message(self) -> None:
        for byte in VALID:
            self.bad.say(bytes([byte]))
        self.bad.wait("init_ack")

    def test_half_a_message_of_a_dead_guest_is_not_completed_by_the_next(self) -> None:
        self.bad.say(VALID[: len(VALID) // 2])
        self.bad.hang_up()
        self.bad.say(VALID[len(VALID) // 2 :])
        wait_until(lambda: self.dropped("malformed") >= 1, "the other half is no message")
        self.expect_survival()

    def test_a_guest_that_closes_with_messages_pending_is_no_signal(self) -> None:
        for _ in range(4):
            self.bad.say(heartbeat("no_such_type") * 5)  # each is answered, to nobody
            self.bad.hang_up()
        self.expect_survival()

    def test_sockets_that_come_and_go_within_a_moment(self) -> None:
        for _ in range(30):
            RawGuest(self.agent.channels, "brief").close()
        self.expect_survival()

    def test_names_that_are_no_channels_are_left_alone(self) -> None:
        for name in ("org.vitalwire.0.bad.sock.bak", "org.vitalwire.0..sock.x", "cgcs.heartbeat.sock", "notes.txt"):
            (self.agent.channels / name).write_text("")
        self.expect_survival()

    def test_long_names_that_differ_at_the_end_are_two_guests(self) -> None:
        stem = "g" * 48  # as long as the path of a socket allows here
        first, second = self.guest(stem + "-1"), self.guest(stem + "-2")
        first.register()
        second.register()
        self.assertNotEqual(first.session, second.session)

    def test_a_flood_is_limited_and_harms_nobody(self) -> None:
        wait_until(lambda: self.bad.heard("nack"), "the agent connects")
        for _ in range(60):
            self.bad.say(VALID * 50)
        wait_until(lambda: self.dropped("rate_limited") > 0, "the flood is limited")
        self.expect_good_undisturbed()

    def test_a_guest_that_never_reads_costs_a_bounded_queue(self) -> None:
        self.bad.stop_reading()
        for _ in range(200):
            self.bad.say(heartbeat("no_such_type", x="y" * 100))
        self.expect_good_undisturbed()
        self.bad.resume_reading()
        self.expect_survival()

    def test_an_address_nobody_has_is_refused_by_name(self) -> None:
        self.bad.say(envelope(INIT, address="vitalwire.scale"))
        self.assertEqual(self.bad.wait("nack", code="unknown_address")["orig_msg_type"], "init")
        self.expect_survival()

    def test_a_wrong_version_is_told_what_is_supported(self) -> None:
        self.bad.say(envelope({**INIT, "version": 7}))
        self.assertEqual(self.bad.wait("nack", code="unsupported_version")["supported_versions"], [1])

    def test_an_interval_under_the_floor_is_told_the_floor(self) -> None:
        self.bad.say(envelope({**INIT, "heartbeat_interval_ms": 99}))
        self.assertEqual(self.bad.wait("nack", code="interval_too_small")["min_interval_ms"], 100)

    def test_unknown_keys_are_ignored(self) -> None:
        self.bad.say(envelope({**INIT, "colour": "green"}, source_instance="somebody else"))
        self.bad.wait("init_ack")

    def test_what_a_guest_says_cannot_forge_a_line_of_the_log(self) -> None:
        self.bad.say(envelope({**INIT, "name": "x\n<3>forged \x1b[2J", "heartbeat_interval_ms": 200}))
        self.bad.wait("init_ack")
        self.bad.answering = False
        self.agent.wait_state("bad", "lost")
        for line in (self.dir / "agent" / "agent.log").read_bytes().splitlines():
            self.assertFalse(line.startswith(b"<3>forged"), line)
            self.assertNotIn(b"\x1b", line)

    def test_a_cgcs_guests_ill_health_is_read_although_its_text_breaks_the_line(self) -> None:
        old = RawGuest(self.agent.channels, "old", "cgcs.heartbeat")
        self.addCleanup(old.close)
        old.answering = False
        init = {
            "version": 3, "revision": 1, "msg_type": "init", "sequence": 1, "invocation_id": 5, "name": "old",
            "heartbeat_interval_ms": 400, "vote_secs": 4, "shutdown_notice_secs": 9, "suspend_notice_secs": 9,
            "resume_notice_secs": 14, "restart_secs": 601, "corrective_action": "reboot",
        }  # fmt: skip
        old.say(b"\n" + json.dumps(init).encode() + b"\n")
        for beat in range(1, 6):
            challenge = old.wait("challenge", beat)
            old.say(
                b'\n{"version":3,"revision":1,"msg_type":"challenge_response","sequence":2,"heartbeat_response":'
                + str(challenge["heartbeat_challenge"]).encode()
                + b',"heartbeat_health":"unhealthy","corrective_action":"none","log_msg":"said "no""}\n'
            )
        # It answered each challenge, and said that it is ill.
        self.assertEqual(self.agent.faults_opened(), {"unhealthy": 1})
        self.assertEqual([fault["reason"] for fault in self.agent.faults()], ['said "no"'])


if __name__ == "__main__":
    unittest.main()
