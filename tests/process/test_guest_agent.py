#!/usr/bin/python3
"""Guests that nobody gave a daemon of ours: their QEMU guest agent is the evidence."""

from pathlib import Path
import signal
import sys
import time
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from guest_agent import Crowd, PlayedGuestAgent, RealGuestAgent, program
from raw_guest import RawGuest, heartbeat
from suite import Agent, Controller, fault_event
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, wait_until

# Found within three seconds.
QUICK = {"heartbeat__guest_agent_interval": "1 s", "heartbeat__guest_agent_detect_multiplier": "2"}


class GuestAgentTestCase(ProcessTestCase):
    whose = "all"

    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())
        self.controller = Controller(self.dir / "controller", self.inspector)
        self.addCleanup(self.controller.close)
        self.agent = Agent(
            self.dir / "agent", "compute-1", self.controller, heartbeat__guest_agent=self.whose, **QUICK
        )
        self.addCleanup(self.agent.close)

    def told(self, guest: str, kind: str, status: str) -> dict:
        return self.inspector.wait_event(fault_event(guest, kind, status), f"{kind} {status} of {guest}")["details"]


class PlayedAgent(GuestAgentTestCase):
    def played(self, guest: str = "g1", **more: str) -> PlayedGuestAgent:
        played = PlayedGuestAgent(self.agent.channels, guest, **more)
        self.addCleanup(played.close)
        return played

    def test_a_guest_that_hangs_is_lost_by_the_evidence_of_its_agent_until_it_goes_on(self) -> None:
        played = self.played()
        self.agent.wait_state("g1", "registered")
        played.hang()
        details = self.told("g1", "heartbeat_lost", "down")
        self.assertEqual(details["detail"], "guest_agent")
        self.assertEqual(details["reason"], "the QEMU guest agent does not answer")
        played.go_on()
        self.told("g1", "heartbeat_lost", "up")
        self.agent.wait_state("g1", "registered")

    def test_is_sent_nothing_but_guest_sync(self) -> None:
        played = self.played()
        self.agent.wait_beats("g1")
        self.assertEqual(set(played.commands), {"guest-sync"})

    def test_half_a_command_in_the_agents_parser_is_reset(self) -> None:
        played = self.played()
        self.agent.wait_state("g1", "registered")
        played.hold_half_a_command()
        played.hang_up()
        self.agent.wait_beats("g1")
        self.assertEqual(self.agent.faults(), [])

    def test_half_a_command_amid_a_connection_is_reset_with_the_next(self) -> None:
        played = self.played()
        self.agent.wait_state("g1", "registered")
        resets = played.resets
        played.hold_half_a_command()
        wait_until(lambda: played.resets > resets, "the agent resets the parser")
        self.agent.wait_beats("g1")
        self.assertEqual(self.agent.faults(), [])

    def test_answers_that_are_stale_or_none_keep_no_guest_alive(self) -> None:
        played = self.played()
        self.agent.wait_state("g1", "registered")
        played.hang()
        played.send(b'{"return": 1}\n{"return": {}}\n{"error": {"class": "GenericError", "desc": "x"}}\ngarbage\n')
        self.told("g1", "heartbeat_lost", "down")
        # What it missed is answered first, and is stale.
        played.before_answers = b'{"return": {}, "id": 77}\n'
        played.go_on()
        self.told("g1", "heartbeat_lost", "up")

    def test_a_port_of_ours_serves_as_well(self) -> None:
        self.played("g2", channel="org.vitalwire.qga.0")
        self.agent.wait_state("g2", "registered")

    def test_a_heartbeat_of_the_guests_own_takes_its_place(self) -> None:
        played = self.played()
        self.agent.wait_state("g1", "registered")
        guest = RawGuest(self.agent.channels, "g1")
        self.addCleanup(guest.close)
        guest.register()
        wait_until(lambda: self.agent.guest("g1")["channels"] == ["org.vitalwire.0"], "the native channel counts")
        guest.answering = False
        self.assertEqual(self.told("g1", "heartbeat_lost", "down")["detail"], "silent")
        self.assertTrue(played.commands)


class TwoHundredThatHang(GuestAgentTestCase):
    """Beside guests that are found within 900 ms, and one whose guest agent is asked every second."""

    HUNG = [f"hung-{number}" for number in range(200)]
    HONEST = [f"honest-{number}" for number in range(8)]
    INTERVAL, DETECTION = 0.3, 0.9
    WATCHED_SECONDS = 10

    def setUp(self) -> None:
        super().setUp()
        self.honest = [self.native(guest) for guest in self.HONEST]
        self.answering = PlayedGuestAgent(self.agent.channels, "answering")
        self.addCleanup(self.answering.close)
        self.agent.wait_beats("answering")

    def native(self, name: str) -> RawGuest:
        guest = RawGuest(self.agent.channels, name)
        self.addCleanup(guest.close)
        guest.say(heartbeat("init", invocation_id=7, revision=1, name=name, detection_time_ms=900))
        guest.wait("init_ack")
        return guest

    def usage(self) -> tuple[int, int]:
        """Threads and descriptors of the agent."""
        process = Path("/proc", str(self.agent.daemon.pid))
        return len(list((process / "task").iterdir())), len(list((process / "fd").iterdir()))

    def assert_usage(self, threads: int, descriptors: int) -> None:
        """Beside these descriptors only what its own store and its HTTP interface have open now and then."""
        now = self.usage()
        self.assertEqual(now[0], threads)
        self.assertLessEqual(now[1], descriptors + 4)

    def seconds_until_told(self, guest: RawGuest) -> float:
        guest.answering = False
        since = time.monotonic()
        self.told(guest.id, "heartbeat_lost", "down")
        wanted = guest.id.encode()
        told = min(request.time for request in self.inspector.requests if wanted in request.body)
        guest.answering = True
        self.told(guest.id, "heartbeat_lost", "up")
        return told - since

    def test_delay_no_beat_and_no_fault_of_others_and_cost_a_descriptor_each(self) -> None:
        threads, descriptors = self.usage()
        crowd = Crowd(self.agent.channels, self.HUNG)
        for guest in self.HUNG:
            self.agent.wait_state(guest, "lost")
        self.assert_usage(threads, descriptors + len(self.HUNG))

        begun, challenges = time.monotonic(), [guest.challenges for guest in self.honest]
        asked = len(self.answering.commands)
        time.sleep(self.WATCHED_SECONDS)  # a measurement, not a wait
        passed = time.monotonic() - begun
        for guest, before in zip(self.honest, challenges, strict=True):
            self.assertGreater(guest.challenges - before, 0.9 * passed / self.INTERVAL - 1, guest.id)
            self.assertEqual(self.agent.guest(guest.id)["misses"], 0)
        self.assertGreater(len(self.answering.commands) - asked, 0.9 * passed - 1)
        self.assertEqual(self.agent.guest("answering")["misses"], 0)
        self.assertEqual(self.agent.faults_opened(), {"heartbeat_lost": len(self.HUNG)})
        self.assert_usage(threads, descriptors + len(self.HUNG))  # the longer they hang

        # A machine that others use may be late once; what the hung ones delay would be late each time.
        self.assertLess(min(map(self.seconds_until_told, self.honest[:3])), self.DETECTION + self.INTERVAL / 3)

        crowd.go_on()
        for guest in self.HUNG:
            self.agent.wait_state(guest, "registered")


class ByFlavor(GuestAgentTestCase):
    whose = "flavor"

    def test_only_guests_whose_policy_says_so_are_asked(self) -> None:
        self.controller.write_inventory(
            "[guest asked]\nhost = compute-1\nguest_agent = yes\n[guest other]\nhost = compute-1\n"
        )
        asked = PlayedGuestAgent(self.agent.channels, "asked")
        self.addCleanup(asked.close)
        other = PlayedGuestAgent(self.agent.channels, "other")
        self.addCleanup(other.close)
        self.agent.wait_state("asked", "registered")
        self.agent.wait_beats("asked", 3)
        self.assertEqual(other.commands, [])


@unittest.skipUnless(program(), "needs the package qemu-guest-agent")
class DebiansAgent(GuestAgentTestCase):
    def real(self) -> RealGuestAgent:
        real = RealGuestAgent(self.agent.channels, "g1", self.dir / "qemu-ga")
        self.addCleanup(real.kill)
        return real

    def test_a_guest_agent_that_stands_still_is_lost_until_it_goes_on(self) -> None:
        real = self.real()
        self.agent.wait_state("g1", "registered")
        real.signal(signal.SIGSTOP)
        self.assertEqual(self.told("g1", "heartbeat_lost", "down")["detail"], "guest_agent")
        real.signal(signal.SIGCONT)
        self.told("g1", "heartbeat_lost", "up")
        self.agent.wait_beats("g1")

    def test_one_that_ends_is_lost_and_its_successor_recovers(self) -> None:
        real = self.real()
        self.agent.wait_state("g1", "registered")
        real.signal(signal.SIGKILL)
        details = self.told("g1", "heartbeat_lost", "down")
        self.assertEqual(details["reason"], "the QEMU guest agent has closed its port")
        self.real()
        self.told("g1", "heartbeat_lost", "up")


if __name__ == "__main__":
    unittest.main()
