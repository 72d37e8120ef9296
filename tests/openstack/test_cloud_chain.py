#!/usr/bin/python3
"""From a hung guest to the VNF manager: vitalwired in servers of a real Nova, its agent and controller, and the cloud's own path."""

from pathlib import Path
import sys
import time
import unittest
import uuid

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from cloudbed import account as accounts
from cloudbed import cloud as cloudbed
from cloudbed import vnf
from cloudbed.controller import CloudController
from cloudbed.receiver import VnfManager
from cloudbed.testcase import CloudTestCase
from suite import Agent
from vmbed import initramfs, kernel
from vmbed.guest import BOOT_SECONDS, KERNEL_ARGS
from vmbed.procs import temporary_dir, wait_until

SPECS = {"vitalwire:heartbeat": "true", "vitalwire:messaging": "true"}
SOURCE = {"source__libvirt__uri": "qemu:///system"}


class Chain(CloudTestCase):
    """Two servers in a group, an agent on their compute node, a controller, a VNF manager: for all tests the same ones."""

    @classmethod
    def setUpClass(cls):
        cls.cloud = cls.enterClassContext(cloudbed.for_tests())
        cls.admin = cls.cloud.admin
        cls.dir = cls.enterClassContext(temporary_dir())
        cls.vnf_manager = cls.enterClassContext(VnfManager())
        cls.start_servers()
        cls.start_vitalwire()

    @classmethod
    def start_servers(cls):
        name = f"chain-{uuid.uuid4()}"
        linux = kernel.obtain()
        ramdisk = initramfs.build(initramfs.obeying_power_button(vnf.payload(), linux), linux)
        cls.image = cls.admin.upload_linux(name, linux.image, ramdisk, KERNEL_ARGS)
        cls.flavor = cls.admin.create_flavor(name, SPECS)
        cls.group = cls.admin.create_server_group(name)
        cls.addClassCleanup(cls.admin.call, "compute", "DELETE", f"/os-server-groups/{cls.group}")
        servers = [
            cls.admin.create_server(each, cls.flavor, cls.image, cls.group)
            for each in ("web-1", "web-2")
        ]
        for server in servers:
            cls.addClassCleanup(cls.admin.delete_server, server)
        cls.web_1, cls.web_2 = (vnf.Guest(cls.cloud, server) for server in servers)

    @classmethod
    def start_vitalwire(cls):
        account = accounts.open_account(cls.cloud)
        webhook = {"type": "webhook", "url": cls.vnf_manager.url}
        settings = {"sink vnfm": webhook, "sink journal": {"type": "log"}}
        cls.controller = CloudController(cls.dir / "controller", cls.cloud, account, settings)
        cls.addClassCleanup(cls.controller.close)
        cls.controller.start().wait_loaded()
        node = cls.cloud.node
        cls.agent = Agent(cls.dir / node.host, node.host, cls.controller, SOURCE, node.enter)
        cls.addClassCleanup(cls.agent.close)

    def setUp(self):
        for guest in (self.web_1, self.web_2):
            self.wait_beating(guest)

    def wait_beating(self, guest):
        self.agent.wait_state(guest.server, "registered", BOOT_SECONDS)
        self.agent.wait_beats(guest.server)

    def tell_all(self, text):
        """As the operator."""
        self.controller.command("send", self.group, text)

    def wait_heard(self, guest, kind, who, text):
        wait_until(
            lambda: any(line.startswith(text) for line in guest.heard(kind, who)),
            f"{guest.server} hears {kind} {who} {text}",
            BOOT_SECONDS,
        )

    def test_guests_of_a_group_hear_each_other(self):
        self.tell_all("say good morning")
        self.wait_heard(self.web_1, "broadcast", self.web_2.server, "good morning")
        self.wait_heard(self.web_2, "broadcast", self.web_1.server, "good morning")

    def test_a_guest_is_answered_about_its_group(self):
        self.tell_all("status")
        wait_until(lambda: len(self.web_1.states()) >= 2, "web-1 is answered", BOOT_SECONDS)
        states = {server: (state, heartbeat) for server, state, _, heartbeat, _ in self.web_1.states()}
        expected = {guest.server: ("active", "healthy") for guest in (self.web_1, self.web_2)}
        self.assertEqual(states, expected)

    def test_a_peer_that_is_stopped_is_notified(self):
        self.admin.act_and_wait(self.web_2.server, "os-stop", "SHUTOFF")
        self.addCleanup(self.admin.act_and_wait, self.web_2.server, "os-start", "ACTIVE")
        self.wait_heard(self.web_1, "notification", self.web_2.server, "stopped")

    def test_what_an_operator_does_is_no_fault_and_the_guest_comes_back(self):
        server = self.web_1.server
        for name, *steps in (
            ("soft reboot", ("reboot", {"type": "SOFT"}, "ACTIVE")),
            ("hard reboot", ("reboot", {"type": "HARD"}, "ACTIVE")),
            ("stop and start", ("os-stop", None, "SHUTOFF"), ("os-start", None, "ACTIVE")),
            ("rebuild", ("rebuild", {"imageRef": self.image}, "ACTIVE")),
            ("pause", ("pause", None, "PAUSED"), ("unpause", None, "ACTIVE")),
            ("suspend", ("suspend", None, "SUSPENDED"), ("resume", None, "ACTIVE")),
        ):
            with self.subTest(operation=name):
                for action, argument, status in steps:
                    self.admin.act_and_wait(server, action, status, argument)
                    time.sleep(2.5 * vnf.INTERVAL_SECONDS)  # a guest that is not held would be lost by now
                self.wait_beating(self.web_1)
                self.assertEqual(self.agent.faults_opened(), {})
        self.assertEqual(self.controller.faults(), [])
        self.assertEqual(self.vnf_manager.received, [])


if __name__ == "__main__":
    unittest.main()
