#!/usr/bin/python3
"""An agent's or a controller's disk is full: faults are told all the same, somebody says so, and then it is all written."""

from pathlib import Path
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from outage import OutageTestCase, operator_sees
from small_disk import SmallDisk
from suite import Agent, Controller
from vmbed.procs import wait_until


class FullDisk(OutageTestCase):
    def setUp(self) -> None:
        self.disk = SmallDisk(self.dir / "disk")
        self.addCleanup(self.disk.close)
        super().setUp()
        self.sick = self.guest("sick")
        self.guest("sound", interval=5000)
        self.wait_connected()

    def lose(self) -> str:
        self.sick.answering = False
        self.agent.wait_state("sick", "lost")
        fault = self.fault_of("sick")
        self.wait_told(fault, "down")
        return fault

    def recover(self) -> None:
        self.sick.answering = True
        self.wait_all_over()

    def wait_says_so(self, one: Agent | Controller, problem: str, since: str) -> None:
        """`since`: a time before the disk was full, as a program of ours says it."""
        wait_until(lambda: problem in operator_sees(one), f"the operator sees that {problem}")
        [entry] = [entry for entry in one.status()["problems"] if entry["what"] == problem]
        self.assertRegex(entry["detail"], "full.*; changes that wait: [1-9]")
        self.assertGreater(entry["since"], since)


class OfAController(FullDisk):
    """The only one: what it does not write nobody else remembers."""

    CONTROLLERS = 1
    PROBLEM = "the store cannot be written"

    def start_controller(self, name: str, **_: object) -> Controller:
        return super().start_controller(name, self.disk.wrap, controller__state=self.disk.folder / "controller.db")

    def test_a_fault_is_told_and_written_when_there_is_space_again(self) -> None:
        [controller] = self.controllers
        self.disk.fill()
        fault = self.lose()
        self.wait_says_so(controller, self.PROBLEM, controller.status()["since"])
        self.disk.empty()
        self.wait_well()
        wait_until(lambda: self.rests(controller), "all is written")
        self.agent.close()
        controller.close()
        controller.start()
        self.assertEqual([entry["id"] for entry in controller.faults()], [fault])
        self.agent.start()
        self.wait_connected()
        self.recover()
        self.assert_told_in_order(fault)

    def test_it_starts_and_tells_while_its_disk_is_full(self) -> None:
        [controller] = self.controllers
        first = self.lose()
        self.disk.fill()
        controller.close()
        controller.start()
        self.wait_connected()
        self.sick.answering = True
        self.wait_told(first, "up")
        second = self.lose()
        self.wait_says_so(controller, self.PROBLEM, controller.status()["since"])
        self.disk.empty()
        self.recover()
        self.wait_well()
        self.assert_told_in_order(first, second)


class OfAnAgent(FullDisk):
    PROBLEM = "the state cannot be written"

    def start_agent(self, host: str, **_: object) -> Agent:
        return super().start_agent(host, self.disk.wrap, agent__state=self.disk.folder / "agent.db")

    def assert_survives_a_kill(self, fault: str) -> None:
        self.agent.close()
        self.agent.start()
        self.agent.wait_state("sick", "lost")
        self.assertEqual(self.fault_of("sick"), fault)
        self.wait_connected()

    def test_a_fault_is_told_and_written_when_there_is_space_again(self) -> None:
        self.disk.fill()
        fault = self.lose()
        self.wait_says_so(self.agent, self.PROBLEM, self.agent.status()["since"])
        self.disk.empty()
        self.wait_well()
        self.assert_survives_a_kill(fault)
        self.recover()
        self.assert_told_in_order(fault)

    def test_it_forgets_nothing_of_before_when_it_is_killed_while_its_disk_is_full(self) -> None:
        fault = self.lose()
        self.wait_well()
        self.disk.fill()
        self.assert_survives_a_kill(fault)
        self.recover()
        self.disk.empty()
        self.wait_well()
        self.assert_told_in_order(fault)


if __name__ == "__main__":
    unittest.main()
