#!/usr/bin/python3
"""Hosts and controllers that fall silent without closing a connection: who is named, who is replaced, and who is not."""

from pathlib import Path
import signal
import sys
import unittest
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from message_broker import Broker
from outage import OutageTestCase
from stalling_proxy import StallingProxy
from suite import Agent, Controller, common_broker
from vmbed.procs import wait_until

UNREACHABLE = "host_unreachable"


class SilenceTestCase(OutageTestCase):
    HOSTS = ("compute-1", "compute-2", "compute-3")

    def alarms(self) -> list[dict[str, Any]]:
        """Of hosts, as the inspector was told."""
        return [event["details"] for event in self.inspector.events() if "instance_id" not in event["details"]]

    def told_of_hosts(self) -> list[tuple[str, str, str]]:
        """Each once: both controllers may raise the same."""
        return list(dict.fromkeys((one["kind"], one["hostname"], one["status"]) for one in self.alarms()))

    def wait_alarms(self, *expected: tuple[str, str, str]) -> None:
        wait_until(lambda: self.told_of_hosts() == list(expected), f"the inspector is told {expected}")


class SilentHost(SilenceTestCase):
    def test_an_agent_that_hangs_is_unreachable_until_it_sends_again(self) -> None:
        self.agent.daemon.signal(signal.SIGSTOP)
        self.wait_alarms((UNREACHABLE, "compute-1", "down"))
        # Also after the bus has given the connection up.
        for controller in self.controllers:
            wait_until(lambda each=controller: each.status()["agents"]["lost"], "the connection is given up")
        self.agent.daemon.signal(signal.SIGCONT)
        self.wait_alarms((UNREACHABLE, "compute-1", "down"), (UNREACHABLE, "compute-1", "up"))
        self.wait_connected()

    def test_one_that_ends_or_is_upgraded_is_not(self) -> None:
        self.agent.stop()
        self.agent.start()
        self.wait_connected()
        self.agent.daemon.signal(signal.SIGKILL)
        self.agent.daemon.wait()
        self.wait_alarms(("agent_lost", "compute-1", "down"))
        self.agent.close()
        self.agent.start()
        self.wait_alarms(("agent_lost", "compute-1", "down"), ("agent_lost", "compute-1", "up"))

    def test_a_controller_that_was_stopped_blames_nobody(self) -> None:
        for controller in self.controllers:
            controller.daemon.signal(signal.SIGSTOP)
        # Long enough that every connection would be given up.
        wait_until(lambda: not any(self.links_up(agent) for agent in self.agents), "the agents have no controller")
        for controller in self.controllers:
            controller.daemon.signal(signal.SIGCONT)
        self.wait_connected()
        self.wait_well()
        self.assertEqual(self.told_of_hosts(), [])


class CutOff(SilenceTestCase):
    """What compute-1 sends goes through `way`, which can stop to carry it: no connection is closed."""

    def start_agent(self, host: str, **more: Any) -> Agent:
        if host != "compute-1":
            return super().start_agent(host, **more)
        self.ways: list[StallingProxy] = []
        agent = Agent(self.dir / host, host, self.controllers, bus=self.bus_through_ways(host))
        self.addCleanup(lambda: agent.close())
        return agent

    def bus_through_ways(self, host: str) -> dict[str, str | Path]:
        broker = common_broker()
        if isinstance(broker, Broker):
            port = self.way(StallingProxy(("127.0.0.1", broker.port))).port
            return {"bus__controller": f"amqp://{host}@127.0.0.1:{port}/", "bus__password_file": broker.password_file}
        paths = {each: self.dir / f"{each.name}.way" for each in self.controllers}
        for each, path in paths.items():
            self.way(StallingProxy(str(each.bus), path))
        return {"bus__controller": " ".join(f"unix://{path}" for path in paths.values())}

    def way(self, proxy: StallingProxy) -> StallingProxy:
        self.addCleanup(proxy.close)
        self.ways.append(proxy)
        return proxy

    def test_a_host_behind_a_dead_network_is_unreachable_until_it_sends_again(self) -> None:
        for way in self.ways:
            way.stall()
        self.wait_alarms((UNREACHABLE, "compute-1", "down"))
        for way in self.ways:
            way.resume()
        self.wait_alarms((UNREACHABLE, "compute-1", "down"), (UNREACHABLE, "compute-1", "up"))


class HungPrimary(SilenceTestCase):
    def others(self, lead: Controller) -> list[Controller]:
        return [each for each in self.controllers if each is not lead]

    def test_is_replaced_by_the_agents_and_learns_of_it_when_it_is_back(self) -> None:
        lead = self.lead()
        lead.daemon.signal(signal.SIGSTOP)
        wait_until(lambda: self.lead() in self.others(lead), "another controller is primary")
        lead.daemon.signal(signal.SIGCONT)
        self.wait_connected()
        self.assertIn(self.lead(), self.others(lead), "no change without need")


if __name__ == "__main__":
    unittest.main()
