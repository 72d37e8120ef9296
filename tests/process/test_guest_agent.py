#!/usr/bin/python3
"""Guests that nobody gave a daemon of ours: their QEMU guest agent is the evidence."""

from pathlib import Path
import signal
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from guest_agent import PlayedGuestAgent, RealGuestAgent, program
from raw_guest import RawGuest
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

    def test_guests_that_hang_hold_nobody_up(self) -> None:
        hung = [self.played(f"hung-{number}") for number in range(20)]
        lives = self.played("lives")
        for number in range(20):
            self.agent.wait_state(f"hung-{number}", "registered")
        for each in hung:
            each.hang()
        for number in range(20):
            self.agent.wait_state(f"hung-{number}", "lost")
        self.agent.wait_beats("lives", 3)
        self.assertEqual(self.agent.guest("lives")["misses"], 0)
        self.assertTrue(lives.commands)


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
