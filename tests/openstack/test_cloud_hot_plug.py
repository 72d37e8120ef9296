#!/usr/bin/python3
"""A cloud without the Nova extension: the agent gives the channel to the domains that Nova built, whenever it built them again."""

from pathlib import Path
import sys
import unittest
import uuid

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from cloudbed import account as accounts
from cloudbed import cloud as cloudbed
from cloudbed import compute, vnf
from cloudbed.controller import CloudController
from cloudbed.testcase import CloudTestCase
from suite import Agent
from vmbed import initramfs, kernel
from vmbed.guest import BOOT_SECONDS, KERNEL_ARGS
from vmbed.procs import ProcessTestCase, wait_until

SPECS = {"vitalwire:heartbeat": "true"}
SOURCE = {"source__libvirt__uri": "qemu:///system"}
# Nova builds a virtio-serial controller for the channel of this agent, and else for none.
WITH_CONTROLLER = {"hw_qemu_guest_agent": "yes"}
ATTACHED = 'vitalwire_agent_channel_attachments_total{outcome="done"}'


def setUpModule():
    global cloud, admin, account, linux, ramdisk, flavor
    cloud = CloudTestCase.cloud = unittest.enterModuleContext(cloudbed.for_tests())
    admin = cloud.admin
    account = accounts.open_account(cloud)
    linux = kernel.obtain()
    ramdisk = initramfs.build(initramfs.obeying_power_button(vnf.payload(), linux), linux)
    flavor = admin.create_flavor(f"plain-{uuid.uuid4()}", SPECS)
    unittest.addModuleCleanup(cloud.node.use_driver, compute.DRIVER, admin)
    cloud.node.use_driver(compute.PLAIN_DRIVER, admin)


class HotPlug(CloudTestCase, ProcessTestCase):
    def setUp(self):
        controller = CloudController(self.dir / "controller", cloud, account)
        self.addCleanup(controller.close)
        controller.start().wait_loaded()
        node = cloud.node
        self.agent = Agent(self.dir / node.host, node.host, controller, SOURCE, node.enter)
        self.addCleanup(self.agent.close)

    def new_guest(self, **properties):
        name = f"plain-{uuid.uuid4()}"
        image = admin.upload_linux(name, linux.image, ramdisk, KERNEL_ARGS, **properties)
        return self.new_server(flavor, image)

    def wait_attached(self, times):
        wait_until(lambda: self.agent.metric(ATTACHED) == times, "the channel is attached", BOOT_SECONDS)

    def wait_beating(self, server):
        self.agent.wait_state(server, "registered", BOOT_SECONDS)
        self.agent.wait_beats(server)

    def test_a_guest_beats_whenever_its_domain_was_built_anew(self):
        server = self.new_guest(**WITH_CONTROLLER)
        self.wait_attached(1)
        self.wait_beating(server)
        for times, (name, *steps) in enumerate(
            (
                ("hard reboot", ("reboot", {"type": "HARD"}, "ACTIVE")),
                ("stop and start", ("os-stop", None, "SHUTOFF"), ("os-start", None, "ACTIVE")),
            ),
            start=2,
        ):
            with self.subTest(operation=name):
                for action, argument, status in steps:
                    admin.act_and_wait(server, action, status, argument)
                self.wait_attached(times)
                self.wait_beating(server)
        self.assertEqual(self.agent.faults_opened(), {})

    def test_a_domain_without_a_controller_is_named_to_the_operator(self):
        server = self.new_guest()
        told = f"their machines a virtio-serial controller for it: 1 guest, {server}"
        wait_until(lambda: told in "\n".join(self.agent.problems()), "the agent's status names it")


if __name__ == "__main__":
    unittest.main()
