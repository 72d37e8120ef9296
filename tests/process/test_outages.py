#!/usr/bin/python3
"""Everybody is away whom a fault is to reach, or its agent is: nothing is lost, nothing invented, and somebody says so."""

from pathlib import Path
import signal
import sys
from typing import Any
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from outage import OutageTestCase, operator_sees
from stalling_proxy import StallingProxy
from suite import Agent, common_broker
from vmbed.procs import wait_until

# More than an agent keeps of one guest (64).
FLAPS = 70
# Of those that came and went unheard a controller tells the last few, and counts the others in them.
MOST_MESSAGES = 20

NO_CONTROLLER = "no controller is connected"


class BothControllersAway(OutageTestCase):
    def test_what_came_and_went_meanwhile_is_told_in_order_and_not_all_of_it(self) -> None:
        flapping = self.guest("flapping", interval=100)
        failing = self.guest("failing")
        recovering = self.guest("recovering")
        self.guest("sound", interval=5000)
        self.wait_connected()
        for controller in self.controllers:
            controller.close()
        failing.answering = recovering.answering = False
        self.agent.wait_state("recovering", "lost")
        recovering.answering = True
        for _ in range(FLAPS):
            flapping.answering = False
            self.agent.wait_state("flapping", "lost")
            flapping.answering = True
            self.agent.wait_state("flapping", "registered")
        flapping.forget()
        flapping.register(interval=5000, name="flapping")  # a busy machine makes it flap no more
        self.agent.wait_state("failing", "lost")
        self.assert_the_agent_says_so()
        known = {fault["id"] for fault in self.agent.faults()}
        lasting = self.fault_of("failing")

        for controller in self.controllers:
            controller.start()
        self.wait_connected()
        self.wait_told(lasting, "down")
        wait_until(lambda: len(self.agent.faults()) == 1, "all others are over and delivered")
        self.assertLessEqual(len(self.told_about("flapping")), MOST_MESSAGES)
        collapsed = sum(details.get("collapsed", 0) for details in self.told_about("flapping"))
        told = len({details["fault_id"] for details in self.told_about("flapping")})
        self.assertEqual(told + collapsed, len(known) - 2)
        failing.answering = True
        self.wait_all_over()
        self.wait_well()
        self.assert_told_in_order(*known.intersection(self.told_of()))
        self.assertEqual({details["instance_id"] for details in self.told()}, {"flapping", "failing", "recovering"})
        self.assertNotIn("not delivered", operator_sees(self.agent))

    def told_about(self, guest: str) -> list[dict[str, Any]]:
        return [details for details in self.told() if details["instance_id"] == guest]

    def assert_the_agent_says_so(self) -> None:
        wait_until(lambda: NO_CONTROLLER in operator_sees(self.agent), "the operator sees it")
        status = self.agent.status()
        [problem] = [entry for entry in status["problems"] if entry["what"] == NO_CONTROLLER]
        opened = [fault["opened_at"] for fault in self.agent.faults()]
        self.assertLess(min(link["since"] for link in status["links"]), problem["since"])
        self.assertEqual(status["undelivered"]["faults"], len(opened))
        self.assertGreaterEqual(status["undelivered"]["oldest"], min(opened))
        self.assertIn(f"not delivered yet: {len(opened)} faults", operator_sees(self.agent))


class AgentCutOff(OutageTestCase):
    """Its primary raises an alarm about its host, and nobody anything about its guests."""

    MORE = {"self_monitoring__agent_lost_after": "1 s"}

    def setUp(self) -> None:
        super().setUp()
        self.lost_before = self.guest("lost_before")
        self.lost_meanwhile = self.guest("lost_meanwhile")
        self.guest("sound", interval=5000)
        self.lost_before.answering = False
        self.agent.wait_state("lost_before", "lost")
        self.first = self.fault_of("lost_before")
        self.wait_told(self.first, "down")
        self.wait_connected()

    def alarms(self) -> list[str]:
        """What the inspector was told last of lost agents and silent hosts, one for each controller that says so."""
        last = {}
        for event in self.inspector.events():
            details = event["details"]
            if details["kind"] in ("agent_lost", "host_unreachable"):
                self.assertEqual(details["hostname"], "compute-1")
                self.assertNotIn("instance_id", details)
                last[details["fault_id"]] = details["status"]
        return list(last.values())

    def wait_cut_off(self) -> None:
        for controller in self.controllers:
            wait_until(lambda each=controller: each.status()["agents"]["lost"], f"{controller.name} misses the agent")
            self.assertIn("LOST AGENT", operator_sees(controller))
            [lost] = controller.status()["agents"]["lost"]
            self.assertEqual((lost["host"], lost["guests"], lost["faults"]), ("compute-1", 3, 1))
        # The agent's primary raises the alarm; the other one may have lost its own link only.
        wait_until(lambda: any(each.status()["alarms"] for each in self.controllers), "the primary raises its alarm")
        wait_until(lambda: set(self.alarms()) == {"down"}, "the inspector is told of the lost agent")
        self.assertEqual([details["status"] for details in self.told()], ["down"])

    def wait_back(self, *faults: str) -> None:
        """All is well again, and these are the faults that were told."""
        self.wait_connected()
        self.lost_before.answering = self.lost_meanwhile.answering = True
        self.wait_all_over()
        wait_until(lambda: set(self.alarms()) == {"up"}, "the inspector is told that the agent is back")
        self.wait_well()
        self.assert_told_in_order(*faults)

    def test_a_frozen_agent_finds_afterwards_who_is_silent_and_blames_nobody_else(self) -> None:
        self.agent.daemon.signal(signal.SIGSTOP)
        self.lost_meanwhile.answering = False
        self.wait_cut_off()
        self.agent.daemon.signal(signal.SIGCONT)
        self.agent.wait_state("lost_meanwhile", "lost")
        second = self.fault_of("lost_meanwhile")
        self.wait_told(second, "down")
        self.wait_back(self.first, second)

    def test_an_agent_behind_a_dead_network_tells_afterwards_what_happened_in_order(self) -> None:
        for way in self.ways:
            way.stall()
        self.wait_cut_off()
        self.lost_meanwhile.answering = False
        self.agent.wait_state("lost_meanwhile", "lost")
        second = self.fault_of("lost_meanwhile")
        self.lost_meanwhile.answering = True
        self.agent.wait_state("lost_meanwhile", "registered")
        wait_until(lambda: NO_CONTROLLER in operator_sees(self.agent), "the agent says that it is alone")
        for way in self.ways:
            way.resume()
        self.wait_told(second, "up")
        self.wait_back(self.first, second)

    def start_agent(self, host: str, **_: object) -> Agent:
        """All that it says to anybody goes through `ways`."""
        broker = common_broker()
        if broker:
            self.ways = [StallingProxy(("127.0.0.1", broker.port))]
            bus = {"bus__controller": f"amqp://{host}@127.0.0.1:{self.ways[0].port}/",
                   "bus__password_file": broker.password_file}
        else:
            paths = {each: self.dir / f"{each.name}.way" for each in self.controllers}
            self.ways = [StallingProxy(str(each.bus), path) for each, path in paths.items()]
            bus = {"bus__controller": " ".join(f"unix://{path}" for path in paths.values())}
        for way in self.ways:
            self.addCleanup(way.close)
        agent = Agent(self.dir / host, host, self.controllers, bus=bus)
        self.addCleanup(lambda: agent.close())
        return agent


if __name__ == "__main__":
    unittest.main()
