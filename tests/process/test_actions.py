#!/usr/bin/python3
"""Guests are asked before the cloud acts on them, over the agent's own interface."""

import ctypes
import json
import os
from pathlib import Path
import signal
import struct
import sys
import threading
import time
from typing import Any
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
sys.path.insert(0, str(ROOT / "host" / "nova"))

from raw_guest import RawGuest, heartbeat
from suite import BUILD, Agent
from test_libvitalwire import SANITIZED
from test_sdk_heartbeat import ACTION_NOTIFY, ACTION_RESPONSE, INIT_ACK, SIZE, Application, init, record
from vitalwire_nova import actions
from vmbed.procs import Daemon, ProcessTestCase, http_metrics, http_request, wait_until

BOUND_SECONDS = 3.0
TIMES = {"vote_ms": 60_000, "shutdown_notice_ms": 60_000, "suspend_notice_ms": 60_000, "resume_notice_ms": 1}


class AskingGuest(RawGuest):
    """Votes by itself with `vote`, which is None for one that hangs in its vote, and is ready at once."""

    vote: str | None = "accept"
    reason = ""

    def enroll(self, **fields: Any) -> None:
        self.say(heartbeat("init", invocation_id=7, revision=1, name="raw", **{**TIMES, **fields}))
        self.wait("init_ack")

    def _hear(self, connection: Any, message: dict[str, Any]) -> None:
        super()._hear(connection, message)
        notify = message.get("data", message)
        if notify.get("msg_type") != "action_notify" or self.vote is None:
            return
        echo = {key: notify[key] for key in ("session_id", "invocation_id", "event_type", "notification_type")}
        result = self.vote if notify["notification_type"] == "revocable" else "complete"
        connection.sendall(heartbeat("action_response", **echo, vote_result=result, reason=self.reason))


class ActionsTestCase(ProcessTestCase):
    def start_agent(self, **more: str) -> Agent:
        agent = Agent(
            self.dir / "agent", "compute-1", [], bus={"bus__controller": "none"},
            heartbeat__action_timeout_max=f"{BOUND_SECONDS:g} s", **more,
        )
        self.addCleanup(agent.close)
        return agent

    def ask(self, agent: Agent, guest: str, event: str = "stop", **keys: Any) -> dict[str, Any]:
        body = json.dumps({"event": event, **keys}).encode()
        status, answer = http_request(agent.http, f"/v1/guests/{guest}/actions", "POST", body)
        self.assertEqual(status, 200, answer)
        return json.loads(answer)


class Asked(ActionsTestCase):
    def setUp(self) -> None:
        self.agent = self.start_agent()

    def guest(self, name: str = "g1", **fields: Any) -> AskingGuest:
        guest = AskingGuest(self.agent.channels, name)
        self.addCleanup(guest.close)
        guest.enroll(**fields)
        self.agent.wait_state(name, "registered")
        return guest

    def test_an_accepted_action_goes_on_when_the_guest_is_ready(self) -> None:
        guest = self.guest()
        answer = self.ask(self.agent, "g1")
        self.assertEqual((answer["decision"], answer["answer"]), ("proceed", "complete"))
        kinds = [notify["notification_type"] for notify in guest.heard("action_notify")]
        self.assertEqual(kinds, ["revocable", "irrevocable"])

    def test_a_rejected_action_names_the_reason(self) -> None:
        guest = self.guest()
        guest.vote, guest.reason = "reject", "last member"
        answer = self.ask(self.agent, "g1", "live_migrate_begin")
        self.assertEqual((answer["decision"], answer["reason"]), ("reject", "last member"))
        self.assertEqual(self.ask(self.agent, "g1", vote=False)["decision"], "proceed")
        self.assertEqual(http_metrics(self.agent.http)["vitalwire_agent_actions_rejected_total"], 1)

    def test_the_nova_extension_is_told_the_reason(self) -> None:
        guest = self.guest()
        guest.vote, guest.reason = "reject", "last member"
        answer = actions.ask(str(self.agent.http), "g1", "stop", True, 2 * BOUND_SECONDS)
        self.assertEqual(answer, actions.Answer("last member", None))

    def test_a_guest_that_hangs_in_its_vote_delays_by_the_bound_and_no_other_beat(self) -> None:
        hanging = self.guest("g1", detection_time_ms=300)
        hanging.vote = None
        other = self.guest("g2", detection_time_ms=300)
        started = time.monotonic()
        answers: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: answers.append(self.ask(self.agent, "g1")))
        thread.start()
        hanging.wait("action_notify")
        before = other.challenges
        self.assertEqual(self.ask(self.agent, "g2")["decision"], "proceed")
        self.assertEqual(answers, [])
        thread.join()
        self.assertEqual((answers[0]["decision"], answers[0]["answer"]), ("proceed", "silent"))
        self.assertGreaterEqual(answers[0]["waited_ms"], 1000 * BOUND_SECONDS)
        self.assertGreater(other.challenges - before, (time.monotonic() - started) / 0.3)
        self.assertEqual(self.agent.faults(), [])

    def test_a_guest_whose_heartbeat_is_lost_is_not_waited_for(self) -> None:
        guest = self.guest(detection_time_ms=300)
        guest.vote, guest.answering = None, False
        answer = self.ask(self.agent, "g1")
        self.assertEqual((answer["decision"], answer["answer"]), ("proceed", "heartbeat_lost"))
        self.assertLess(answer["waited_ms"], 1000 * BOUND_SECONDS)

    def test_a_guest_that_is_not_there_is_not_waited_for(self) -> None:
        self.assertEqual(self.ask(self.agent, "nobody")["answer"], "not_registered")

    def test_the_end_of_an_action_is_told_to_a_guest_as_soon_as_it_is_here(self) -> None:
        self.assertEqual(self.ask(self.agent, "g1", "live_migrate_end")["answer"], "waiting")
        guest = self.guest()
        notify = guest.wait("action_notify")
        self.assertEqual((notify["event_type"], notify["timeout_ms"]), ("live_migrate_end", 0))

    def test_a_cgcs_guest_votes(self) -> None:
        guest = CgcsGuest(self.agent.channels, "g1", "cgcs.heartbeat")
        self.addCleanup(guest.close)
        guest.enroll()
        self.agent.wait_state("g1", "registered")
        answer = self.ask(self.agent, "g1", "pause")
        self.assertEqual((answer["decision"], answer["reason"]), ("reject", 'say "no"'))
        self.assertEqual(guest.wait("action_notify")["timeout_ms"], 1000 * BOUND_SECONDS)

    def test_what_is_no_question_is_refused(self) -> None:
        for body in (b"", b"{}", b'{"event":"explode"}', b'{"event":"stop","vote":1}', b"x" * 70_000):
            with self.subTest(body[:20]):
                status, _ = http_request(self.agent.http, "/v1/guests/g1/actions", "POST", body)
                self.assertIn(status, (400, 413))


class CgcsGuest(RawGuest):
    """Rejects every action, in words that its JSON does not escape."""

    def enroll(self) -> None:
        times = {"vote_secs": 8, "shutdown_notice_secs": 8, "suspend_notice_secs": 8, "resume_notice_secs": 13}
        self.say_cgcs(
            msg_type="init", invocation_id=1, name="vm1", heartbeat_interval_ms=500, **times, restart_secs=120,
            corrective_action="reboot",
        )
        self.wait("init_ack")

    def say_cgcs(self, **fields: Any) -> None:
        self.say(b"\n" + json.dumps({"version": 3, "revision": 1, "sequence": 1, **fields}).encode() + b"\n")

    def _hear(self, connection: Any, message: dict[str, Any]) -> None:
        if message["msg_type"] == "challenge":
            self.say_cgcs(
                msg_type="challenge_response", heartbeat_response=message["heartbeat_challenge"],
                heartbeat_health="healthy", corrective_action="none", log_msg="",
            )
        elif message["msg_type"] == "action_notify":
            echo = {key: message[key] for key in ("invocation_id", "event_type", "notification_type")}
            answer = {"version": 3, "revision": 1, "msg_type": "action_response", "sequence": 5, **echo}
            line = json.dumps({**answer, "vote_result": "reject", "log_msg": ""}, separators=(",", ":"))
            self.say(b"\n" + line.removesuffix('""}').encode() + b'"say "no""}\n')
        with self._changed:
            self._lines.append(message)


class SdkApplication(Application):
    def expect(self, kind: int) -> bytes:
        """The body of the next record of that type."""
        while True:
            while len(self.received) < SIZE:
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionResetError("vitalwired closed the connection")
                self.received += data
            found, self.received = self.received[:SIZE], self.received[SIZE:]
            if struct.unpack_from("=H", found, 10)[0] == kind:
                return found[20:]


class GuestTestCase(ActionsTestCase):
    """vitalwired as it is installed."""

    def setUp(self) -> None:
        self.agent = self.start_agent()
        self.calls = self.dir / "calls"
        self.script = self.dir / "on-event"
        self.sdk = self.dir / "sdk.sock"

    def boot(self, script: str = "exit 0", more: str = "", app_socket: str | Path = "none", **actions: str) -> Daemon:
        self.script.write_text(f'#!/bin/sh\necho "$1 $2" >> {self.calls}\n{script}\n')
        self.script.chmod(0o755)
        config = self.dir / "vitalwired.conf"
        times = "".join(f"{key} = {value}\n" for key, value in actions.items())
        config.write_text(f"[actions]\nevent_script = {self.script}\n{times}[sdk]\nheartbeat_socket = {self.sdk}\n{more}")
        argv = [BUILD / "guest" / "vitalwired", "--config", config, "--app-socket", app_socket, "--name", "g1",
                "--channel", f"unix:{self.agent.channels}/org.vitalwire.0.g1.sock"]
        log = self.dir / "guest.log"
        guest = self.start(Daemon(argv, log)).wait_ready()
        wait_until(lambda: "registered with the host" in log.read_text(), "the guest knows its session")
        return guest

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def sdk_application(self) -> SdkApplication:
        application = SdkApplication(self.sdk)
        self.addCleanup(application.close)
        application.send(init("db", interval=60_000))
        application.expect(INIT_ACK)
        return application


class InTheGuest(GuestTestCase):
    """An event script, and applications of the guest SDK."""

    def test_the_script_is_run_for_the_vote_and_for_the_notice(self) -> None:
        self.boot()
        answer = self.ask(self.agent, "g1")
        self.assertEqual((answer["decision"], answer["answer"]), ("proceed", "complete"))
        self.assertEqual(self.called(), ["revocable stop", "irrevocable stop"])

    def test_the_script_rejects_with_a_reason(self) -> None:
        self.boot('[ "$1" = irrevocable ] || { echo "last member"; exit 1; }')
        answer = self.ask(self.agent, "g1", "cold_migrate_begin")
        self.assertEqual((answer["decision"], answer["reason"]), ("reject", "event script: last member"))
        self.assertEqual(self.ask(self.agent, "g1", vote=False)["decision"], "proceed")

    def test_a_script_that_is_broken_consents_and_the_log_says_so(self) -> None:
        self.boot("exit 3")
        self.assertEqual(self.ask(self.agent, "g1")["decision"], "proceed")
        self.assertIn("exit status 3", (self.dir / "guest.log").read_text())

    def test_a_script_that_hangs_delays_by_what_was_declared_and_no_beat(self) -> None:
        self.boot("sleep 600", "[heartbeat]\ndetection_time = 10 s\n", vote_time="2 s", shutdown_notice="0 s")
        answer = self.ask(self.agent, "g1")
        self.assertEqual((answer["decision"], answer["answer"]), ("proceed", "timeout"))
        self.assertIn("event script did not answer in time", answer["reason"])
        self.assertLess(answer["waited_ms"], 2000)
        self.assertEqual(self.agent.faults(), [])

    def test_a_guest_that_hangs_altogether_is_not_waited_for(self) -> None:
        guest = self.boot()
        guest.signal(signal.SIGSTOP)
        answer = self.ask(self.agent, "g1")
        guest.signal(signal.SIGCONT)
        self.assertEqual((answer["decision"], answer["answer"]), ("proceed", "heartbeat_lost"))

    def test_the_script_is_run_when_it_is_over(self) -> None:
        self.boot()
        self.assertEqual(self.ask(self.agent, "g1", "live_migrate_end")["answer"], "notified")
        wait_until(lambda: self.called() == ["irrevocable live_migrate_end"], "the script is run")

    def test_an_application_of_the_sdk_votes_and_the_worst_counts(self) -> None:
        self.boot()
        application = self.sdk_application()
        answers: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: answers.append(self.ask(self.agent, "g1", "pause")))
        thread.start()
        invocation, event, kind = struct.unpack_from("=3I", application.expect(ACTION_NOTIFY))
        self.assertEqual((event, kind), (4, 1))  # pause, revocable
        application.send(record(ACTION_RESPONSE, struct.pack("=4I", invocation, event, kind, 2) + b"syncing"))
        thread.join()
        self.assertEqual(answers[0]["reason"], "sdk application db: syncing")
        self.assertEqual(answers[0]["decision"], "reject")

    def test_an_application_that_leaves_is_not_waited_for(self) -> None:
        self.boot()
        application = self.sdk_application()
        answers: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: answers.append(self.ask(self.agent, "g1")))
        thread.start()
        application.expect(ACTION_NOTIFY)
        application.close()
        thread.join()
        self.assertEqual((answers[0]["decision"], answers[0]["answer"]), ("proceed", "complete"))


class Action(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint32), ("event", ctypes.c_char_p), ("may_reject", ctypes.c_int),
                ("timeout_ms", ctypes.c_uint32)]


@unittest.skipIf(SANITIZED, "the library needs its sanitizer's runtime in the program")
class LinkedApplication(GuestTestCase):
    """An application of libvitalwire, called as C has it."""

    def test_it_votes_and_the_reason_is_told(self) -> None:
        socket = self.dir / "apps.sock"
        self.boot(app_socket=socket)
        library = ctypes.CDLL(str(BUILD / "guest" / "lib" / "libvitalwire.so.1"))
        asked: list[str] = []

        @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Action), ctypes.c_void_p)
        def on_action(handle: int, action: Any, _: int) -> None:
            found = action.contents
            asked.append(f"{found.event.decode()} {found.may_reject}")
            library.vw_action_answer(ctypes.c_void_p(handle), found.id, int(bool(found.may_reject)), b"syncing")

        os.environ["VITALWIRE_SOCKET"] = str(socket)
        self.addCleanup(os.environ.pop, "VITALWIRE_SOCKET")
        handle = ctypes.c_void_p()
        self.assertEqual(library.vw_open(None, ctypes.byref(handle)), 0)
        self.assertEqual(library.vw_action_subscribe(handle, on_action, None), 0)

        def answered() -> dict[str, Any]:
            """What the guest answers once it asks the application."""
            answers: list[dict[str, Any]] = []
            thread = threading.Thread(target=lambda: answers.append(self.ask(self.agent, "g1")))
            thread.start()
            while thread.is_alive():
                library.vw_dispatch(handle, 0)
                thread.join(0.01)
            return answers[0] if "stop 1" in asked else {}

        answer = wait_until(answered, "the application is asked")
        self.assertEqual(answer["decision"], "reject")
        self.assertRegex(answer["reason"], r"^application pid-\d+: syncing$")
        self.assertEqual(library.vw_close(handle), 0)


class WithoutVotes(ActionsTestCase):
    def test_the_operator_lets_no_guest_reject(self) -> None:
        agent = self.start_agent(heartbeat__action_votes="no")
        guest = AskingGuest(agent.channels, "g1")
        self.addCleanup(guest.close)
        guest.vote = "reject"
        guest.enroll()
        agent.wait_state("g1", "registered")
        self.assertEqual(self.ask(agent, "g1")["decision"], "proceed")
        self.assertEqual([each["notification_type"] for each in guest.heard("action_notify")], ["irrevocable"])


if __name__ == "__main__":
    unittest.main()
