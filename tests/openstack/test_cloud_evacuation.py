#!/usr/bin/python3
"""A compute node is lost and its servers are evacuated: what the node reports when it is back touches no healthy server."""

from pathlib import Path
import signal
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed.two_nodes import TwoNodesTestCase
from cloudbed.vnf import Guest
from stalling_proxy import StallingProxy
from vmbed.procs import wait_until

STALE = "hosts report faults of guests that the inventory has elsewhere"


class Evacuation(TwoNodesTestCase):
    """Two guests on the node that is lost, one on the other. Between the lost node and the controller is a network that
    can be cut."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.safe, cls.lost = cls.nodes
        cls.group = cls.new_class_group()
        cls.bystander = cls.new_class_guest("bystander", cls.safe, cls.group)

    @classmethod
    def start_agent(cls, node, bus=None):
        if node is cls.cloud.node:
            return super().start_agent(node)
        path = cls.dir / "network.sock"
        cls.network = StallingProxy(str(cls.controller.bus), path)
        cls.addClassCleanup(cls.network.close)
        return super().start_agent(node, {"bus__controller": f"unix://{path}"})

    def setUp(self):
        self.addCleanup(self.repair)
        self.one = self.new_guest("one", self.lost, self.group)
        self.two = self.new_guest("two", self.lost, self.group)
        for guest in (self.bystander, self.one, self.two):
            self.recover(guest)
        super().setUp()

    def cut_off(self):
        """From the controller and from Nova."""
        self.network.stall()
        self.lost.services["nova-compute"].stop(signal.SIGKILL)
        self.wait_told("opened", "host_unreachable", self.lost.host)

    def power_off(self):
        """No connection is closed: nobody is left to do it."""
        self.network.stall()
        self.lost.kill()
        self.agents[self.lost.host].close()
        self.wait_told("opened", "host_unreachable", self.lost.host)

    def power_on(self):
        """With what is on its disk; nova-compute is not there yet."""
        self.lost.services["libvirtd"].start().wait_ready()
        self.agents[self.lost.host].start()

    def evacuate(self):
        """By an operator, as soon as the alarm has arrived."""
        self.lost.force_down(self.admin, True)
        for guest in (self.one, self.two):
            self.admin.act(guest.server, "evacuate", {"host": self.safe.host})
        for guest in (self.one, self.two):
            self.admin.wait_for_host(guest.server, self.safe.host)
            self.wait_beating(guest, self.safe)

    def reconnect(self):
        self.network.resume()
        self.wait_told("cleared", "host_unreachable", self.lost.host)

    def start_nova(self):
        """Nova removes from the node what was evacuated."""
        self.lost.services["nova-compute"].start()
        self.lost.force_up(self.admin)
        for guest in (self.one, self.two):
            agent = self.agents[self.lost.host]
            wait_until(lambda: not agent.guest(guest.server), f"{guest.server} is gone from {self.lost.host}")

    def repair(self):
        """For the next test, whatever happened in this one."""
        self.network.resume()
        self.lost.up()
        self.lost.force_up(self.admin)
        if not self.agents[self.lost.host].daemon.running:
            self.agents[self.lost.host].start()
        wait_until(lambda: not self.controller.page("/v1/status")["alarms"], "no alarm is left")

    def check(self, *told, errors=()):
        """All beat where Nova has them; nobody was notified of more, and no other server was ever in ERROR."""
        for guest in (self.bystander, self.one, self.two):
            self.wait_beating(guest)
            self.assertEqual(self.admin.server(guest.server)["status"], "ACTIVE")
        self.assert_told(*told)
        self.assertEqual(self.errors(), set(errors))

    def unreachable(self, event):
        return (event, "host_unreachable", self.lost.host)

    def wait_stale(self, kind, guest):
        """The returned node reports it, of a guest that is elsewhere."""
        report = f"{self.lost.host} reports {kind} of guest {guest.server} on {self.safe.host}"
        wait_until(lambda: report in self.controller.problems().get(STALE, ""), report)

    def test_a_host_that_never_comes_back(self):
        lost_heartbeat = ("heartbeat_lost", self.one.server)
        self.one.freeze()
        self.wait_told("opened", *lost_heartbeat)
        wait_until(lambda: self.one.server in self.errors(), "Nova calls it an error")
        self.power_off()
        self.evacuate()

        self.wait_told("cleared", *lost_heartbeat)
        of_guest = (("opened", *lost_heartbeat), ("cleared", *lost_heartbeat))
        self.check(*of_guest, self.unreachable("opened"), errors={self.one.server})

        self.controller.command("forget", self.lost.host)
        self.wait_told("cleared", "host_unreachable", self.lost.host)
        self.check(*of_guest, self.unreachable("opened"), self.unreachable("cleared"), errors={self.one.server})

    def test_a_host_that_comes_back_and_its_guests_have_ended(self):
        self.cut_off()
        self.evacuate()
        for guest in (self.one, self.two):
            Guest(self.cloud, guest.server, self.lost).kill()

        self.reconnect()
        for guest in (self.one, self.two):
            self.wait_stale("vm_crashed", guest)
        self.check(self.unreachable("opened"), self.unreachable("cleared"))

        self.start_nova()
        wait_until(lambda: STALE not in self.controller.problems(), "nothing is reported any more")
        self.check(self.unreachable("opened"), self.unreachable("cleared"))

    def test_a_host_that_was_without_power_comes_back_without_its_guests(self):
        self.power_off()
        self.evacuate()
        self.power_on()

        self.reconnect()
        for guest in (self.one, self.two):
            self.wait_stale("vm_crashed", guest)
        self.check(self.unreachable("opened"), self.unreachable("cleared"))

        self.start_nova()
        wait_until(lambda: STALE not in self.controller.problems(), "nothing is reported any more")
        self.check(self.unreachable("opened"), self.unreachable("cleared"))

    def test_a_host_that_comes_back_and_its_guests_still_run(self):
        self.cut_off()
        self.evacuate()

        self.reconnect()
        twice = [("running_twice", guest.server) for guest in (self.one, self.two)]
        for each in twice:
            self.wait_told("opened", *each)
        opened = [self.unreachable("opened"), self.unreachable("cleared"), *(("opened", *each) for each in twice)]
        self.check(*opened)

        # Of the copies that nobody needs one hangs and one ends: that is no fault of the guests.
        old = [Guest(self.cloud, guest.server, self.lost) for guest in (self.one, self.two)]
        with old[0].frozen():
            old[1].kill()
            self.wait_stale("heartbeat_lost", self.one)
            self.wait_stale("vm_crashed", self.two)
            self.wait_told("cleared", *twice[1])
        self.start_nova()
        for each in twice:
            self.wait_told("cleared", *each)
        self.check(*opened, *(("cleared", *each) for each in twice))


if __name__ == "__main__":
    unittest.main()
