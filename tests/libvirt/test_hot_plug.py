#!/usr/bin/python3
"""Channels that the agent attaches to running domains: real libvirtd, real guests with vitalwired. Needs root."""

import os
from pathlib import Path
import signal
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from libvirt_guests import LibvirtTestCase
from vmbed.guest import Machine
from vmbed.procs import wait_until

CHANNEL = "org.vitalwire.0"
NO_CONTROLLER = "vitalwire_agent_machines_without_port_controller_total"
ATTACHED = 'vitalwire_agent_channel_attachments_total{outcome="done"}'


class HotPlug(LibvirtTestCase):
    """A domain without any channel of ours; its guest waits for one."""

    MACHINE = Machine(channels=())

    def setUp(self) -> None:
        super().setUp()
        self.agent = self.agent_on(self.host)

    def ask_for(self, *channels: str) -> None:
        """What the operator wants of the guest."""
        wanted = f"channels = {' '.join(channels)}\n" if channels else ""
        self.controller.write_inventory(f"[guest {self.guest_id}]\nhost = {self.host.name}\n{wanted}")

    def wait_problem(self, text: str) -> None:
        wait_until(lambda: text in self.problems(), f"the agent's status says '{text}'")

    def wait_no_problem(self) -> None:
        wait_until(lambda: not self.problems(), "the agent's status says nothing")

    def problems(self) -> str:
        return "\n".join(self.agent.problems())

    def test_a_guest_answers_on_the_channel_it_is_given(self) -> None:
        self.start_domain()
        self.ask_for(CHANNEL)
        self.wait_beating(self.agent)
        self.assertIn(CHANNEL, self.domain.virsh("dumpxml", "--inactive"))
        self.assertEqual(self.agent.metric(ATTACHED), 1)
        self.assert_no_fault(self.agent)

    def test_a_domain_that_was_made_anew_is_given_its_channel_again(self) -> None:
        self.ask_for(CHANNEL)
        self.start_domain()
        self.wait_beating(self.agent)
        self.domain.virsh("destroy")
        self.domain.define()  # as Nova does it, without what it did not make itself
        self.domain.virsh("start")
        wait_until(lambda: self.agent.metric(ATTACHED) == 2, "the channel is attached again")
        self.wait_beating(self.agent)
        self.assert_no_fault(self.agent)

    def test_only_what_was_asked_for_is_attached(self) -> None:
        self.start_domain()
        self.ask_for()
        self.outlast_deadlines()
        self.assertNotIn(CHANNEL, self.domain.virsh("dumpxml"))
        self.ask_for("cgcs.heartbeat", "cgcs.messaging")
        self.agent.wait_state(self.guest_id, "unregistered")
        wait_until(lambda: len(self.agent.guest(self.guest_id)["channels"]) == 2, "both channels are found")
        self.assertNotIn(CHANNEL, self.domain.virsh("dumpxml"))

    def test_a_domain_without_a_controller_is_named_until_it_ends(self) -> None:
        self.domain = self.new_domain(serial_controller=False)
        self.domain.create()
        self.ask_for(CHANNEL)
        self.wait_problem(f"their machines a virtio-serial controller for it: 1 guest, {self.guest_id}")
        self.domain.virsh("suspend")
        self.domain.virsh("resume")
        self.assertEqual(self.agent.metric(NO_CONTROLLER), 1)
        self.domain.virsh("destroy")
        self.wait_no_problem()

    def test_a_machine_that_stands_still_is_given_its_channel_when_it_goes_on(self) -> None:
        self.start_domain()
        os.kill(self.domain.qemu_pid(), signal.SIGSTOP)
        self.ask_for(CHANNEL)
        self.wait_problem("libvirt does not finish it within 2000 ms")
        self.assertNotIn("cannot see", self.problems())
        os.kill(self.domain.qemu_pid(), signal.SIGCONT)
        self.wait_beating(self.agent)
        self.wait_no_problem()


if __name__ == "__main__":
    unittest.main()
