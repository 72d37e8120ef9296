#!/usr/bin/python3
"""The controller that leads is killed at every step of a fault's way: received, written, sent, confirmed, noted."""

import contextlib
import itertools
from pathlib import Path
import sys
from typing import Callable, Iterator
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from ambush import READS, SENDS, SYNCS, WRITES, Ambush
from outage import OutageTestCase, pending, store_rows
from suite import Agent, Controller
from vmbed.procs import wait_until

# An ambush takes a moment to lay and may come too late or too early for its step; the next one is another try.
TRIES = 6

Change = Callable[[], None]
Kill = Callable[[Controller, Change], None]

# Until the other threads have come to where one of them is killed.
HELD = "sendto,sendmsg"


class Kills(OutageTestCase):
    def start_agent(self, host: str, *args: object, **more: object) -> Agent:
        # An ambush slows a controller down so much that it would be replaced before it comes to its step.
        return super().start_agent(host, *args, bus__controller_silent_after="2 s", **more)

    def setUp(self) -> None:
        super().setUp()
        self.sick = self.guest("sick", interval=200)
        self.well = self.guest("well", interval=5000)
        self.faults: list[str] = []
        self.reached: list[str] = []

    def fall_silent(self) -> None:
        self.sick.answering = False
        self.agent.wait_state("sick", "lost")
        self.faults.append(self.fault_of("sick"))

    def answer_again(self) -> None:
        self.sick.answering = True
        self.agent.wait_state("sick", "registered")

    def expected(self) -> str:
        """What the inspector has to be told last of the latest fault."""
        return "up" if self.sick.answering else "down"

    def survive(self, kill: Kill) -> None:
        """A fault and its clear: `kill` makes each happen, and ends the primary in between."""
        self.reached = []
        for change in (self.fall_silent, self.answer_again):
            lead = self.lead()
            wait_until(lambda: self.rests(lead), "the lead has nothing to do")
            kill(lead, change)
            wait_until(lambda: not lead.daemon.running, "the lead is dead")
            self.reached.append(self.state_at_death(lead))
            self.wait_told(self.faults[-1], self.expected())
            lead.close()
            lead.start()
            self.wait_connected()
        self.wait_all_over()
        self.assert_told_in_order(*self.faults)

    # What the dead one had done

    def state_at_death(self, lead: Controller) -> str:
        """How far it had come with the latest state of the latest fault, by its own store and by the inspector."""
        fault, status = self.faults[-1], self.expected()
        phase = {"down": "open", "up": "cleared"}[status]
        past = [row["fault"]["id"] for row in store_rows(lead.state, "history").values()]
        if fault in past or store_rows(lead.state, "deliveries").get(f"inspector/{fault}", {}).get("phase") == phase:
            return "noted"
        row = store_rows(lead.state, "faults").get(fault)
        if row is None or row["fault"]["state"] != phase:
            return "not written"
        return "written"


class AtEveryStep(Kills):
    """By what is on the dead one's disk and what the inspector has received the step is known to be the right one."""

    def kill_at(self, wanted: str, kill: Kill) -> None:
        """Until it has come about for a fault and for a clear."""
        hit = [False, False]
        for _ in range(TRIES):
            self.survive(kill)
            hit = [before or reached == wanted for before, reached in zip(hit, self.reached)]
            if all(hit):
                return
        self.fail(f"the lead is never killed when a fault, a clear is {wanted}: {hit}")

    @contextlib.contextmanager
    def ambush(self, lead: Controller, calls: str, held: str = "") -> Iterator[None]:
        trap = Ambush(lead.daemon, self.dir, calls, held=held)
        try:
            yield
            wait_until(lambda: trap.sprung, f"the lead comes to {calls}")
        finally:
            trap.call_off()

    def on_the_way(self, lead: Controller, change: Change) -> None:
        """Until the inspector has received it; it does not answer yet."""
        self.inspector.hang()
        change()
        said = {"fault_id": self.faults[-1], "status": self.expected()}
        wait_until(
            lambda: any(said.items() <= event["details"].items() for event in self.inspector.hanging()),
            "the inspector is asked",
        )
        wait_until(lambda: pending(lead) == 0, "the lead has written it")

    def test_received(self) -> None:
        def kill(lead: Controller, change: Change) -> None:
            with self.ambush(lead, WRITES, held=HELD):
                change()

        self.kill_at("not written", kill)

    def test_written(self) -> None:
        def kill(lead: Controller, change: Change) -> None:
            with self.ambush(lead, SYNCS, held=HELD):
                change()

        self.kill_at("written", kill)

    def test_sent(self) -> None:
        def kill(lead: Controller, change: Change) -> None:
            self.on_the_way(lead, change)
            lead.close()
            self.inspector.accept()

        self.kill_at("written", kill)

    def test_confirmed(self) -> None:
        def kill(lead: Controller, change: Change) -> None:
            self.on_the_way(lead, change)
            with self.ambush(lead, WRITES, held=HELD):
                self.inspector.accept()

        self.kill_at("written", kill)

    def test_noted_and_its_agent_not_told(self) -> None:
        def kill(lead: Controller, change: Change) -> None:
            self.on_the_way(lead, change)
            with self.ambush(lead, SYNCS, held=HELD):
                self.inspector.accept()

        self.kill_at("noted", kill)


class AnywhereBetween(Kills):
    def test_whatever_it_does_next_is_its_last(self) -> None:
        journal = self.dir / "steps.log"  # printed after a failure
        for calls, nth in itertools.product((READS, SENDS, WRITES, SYNCS), (1, 2, 3)):
            journal.write_text(f"killed at the {nth}. of {calls}\n")
            self.survive(lambda lead, change: self.kill_at(lead, change, calls, nth))

    def kill_at(self, lead: Controller, change: Change, calls: str, nth: int) -> None:
        trap = Ambush(lead.daemon, self.dir, calls, nth)
        try:
            change()
            wait_until(lambda: trap.sprung or self.delivered(), "the lead is dead or has done all there was to do")
        finally:
            trap.call_off()
        lead.close()

    def delivered(self) -> bool:
        return all(fault["delivered"] == fault["revision"] for fault in self.agent.faults())


if __name__ == "__main__":
    unittest.main()
