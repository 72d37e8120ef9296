#!/usr/bin/python3
"""Three brokers of one cluster, and a network that falls apart between them."""

import itertools
from pathlib import Path
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from broker_cluster import Cluster, enter_network
from message_broker import CONTROLLER
from one_guest import OneGuestTestCase
from suite import Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import temporary_dir, wait_equal, wait_until

ABSENCE = "no controller is connected"


def setUpModule() -> None:
    global cluster
    enter_network()
    folder = unittest.enterModuleContext(temporary_dir())
    cluster = unittest.enterModuleContext(Cluster(folder))


class Partition(OneGuestTestCase):
    """The agent is at the place of broker 3, which it prefers; the controllers are beside brokers 1 and 2."""

    def setUp(self) -> None:
        self.addCleanup(cluster.mend)
        self.inspector = self.enterContext(Inspector())
        self.controllers = [self.start_controller("controller-0", 1, 2, 3), self.start_controller("controller-1", 2, 1, 3)]
        bus = {"bus__controller": cluster.urls("compute-1", 3, 1, 2), **self.access()}
        self.agent = Agent(self.dir / "agent", "compute-1", [], wrap=cluster.places[2].command, bus=bus)
        self.addCleanup(self.agent.close)
        self.wait_links(2)
        self.meet_guest()

    def start_controller(self, name: str, *brokers: int) -> Controller:
        bus = {"bus__listen": cluster.urls(CONTROLLER, *brokers), **self.access()}
        controller = Controller(self.dir / name, self.inspector, bus)
        self.addCleanup(controller.close)
        return controller

    def access(self) -> dict[str, str | Path]:
        return {"bus__allow_plain_tcp": "yes", "bus__password_file": cluster.password_file}

    def story(self) -> list[str]:
        """What the inspector was told of the guest, without repetitions: another lead does not know what was told."""
        told = [event["details"] for event in self.inspector.events() if "instance_id" in event["details"]]
        statuses: dict[str, list[str]] = {}
        for (fault, status), _ in itertools.groupby((each["fault_id"], each["status"]) for each in told):
            statuses.setdefault(fault, []).append(status)
        for of_fault in statuses.values():
            # Nor does one know that it is over, and that this was told, too.
            while of_fault[:4] == ["down", "up"] * 2:
                del of_fault[:2]
        return list(itertools.chain(*statuses.values()))

    def wait_story(self, *statuses: str) -> None:
        wait_equal(self.story, list(statuses), f"the inspector is told {statuses}")

    def wait_well(self) -> None:
        def problems() -> list[str]:
            of_controllers = [each.status()["problems"] for each in self.controllers]
            return [*self.agent.problems(), *(entry["what"] for each in of_controllers for entry in each)]

        wait_until(lambda: not problems(), "nobody has a problem")

    def lost_hosts(self) -> list[str]:
        return [lost["host"] for lost in self.controllers[0].status()["agents"]["lost"]]

    def test_what_happens_beyond_it_is_told_when_it_is_over(self) -> None:
        cluster.places[2].cut()
        wait_until(lambda: any(ABSENCE in problem for problem in self.agent.problems()), "the agent says it is alone")
        wait_until(lambda: self.lost_hosts() == ["compute-1"], "the controller says that the agent is lost")
        self.lose_guest()
        self.recover_guest()
        self.assertEqual(self.story(), [])
        cluster.places[2].mend()
        self.wait_links(2)
        self.wait_story("down", "up")
        self.wait_well()
        self.assertEqual(self.lost_hosts(), [])

    def test_a_fault_that_was_told_before_it_is_cleared_once_after_it(self) -> None:
        self.lose_guest()
        self.wait_story("down")
        cluster.places[2].cut()
        self.wait_links(0)
        self.recover_guest()
        cluster.places[2].mend()
        self.wait_story("down", "up")
        self.wait_well()

    def test_who_is_on_the_side_of_the_majority_goes_on(self) -> None:
        cluster.places[0].cut()
        self.lose_guest()
        self.wait_story("down")
        self.recover_guest()
        self.wait_story("down", "up")
        cluster.places[0].mend()
        self.wait_links(2)
        self.wait_well()

    def test_without_a_majority_faults_wait(self) -> None:
        for place in cluster.places[:2]:
            place.cut()
        self.wait_links(0)
        self.lose_guest()
        for place in cluster.places[:2]:
            place.mend()
        self.wait_story("down")
        self.wait_links(2)
        self.recover_guest()
        self.wait_story("down", "up")
        self.wait_well()


if __name__ == "__main__":
    unittest.main()
