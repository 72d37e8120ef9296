#!/usr/bin/python3
"""The Nova extension in a real nova-compute, with guests that answer on the channel."""

from pathlib import Path
import socket
import sys
import unittest
import uuid
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed import cloud as cloudbed
from cloudbed.testcase import CloudTestCase
from vmbed import initramfs, kernel
from vmbed.guest import BOOT_SECONDS, KERNEL_ARGS
from vmbed.procs import wait_until

CHANNEL = "org.vitalwire.0"


def setUpModule():
    global cloud, admin, image
    cloud = CloudTestCase.cloud = unittest.enterModuleContext(cloudbed.for_tests())
    admin = cloud.admin
    linux = kernel.obtain()
    guest = initramfs.obeying_power_button(initramfs.echo_payload(CHANNEL), linux)
    ramdisk = initramfs.build(guest, linux)
    image = admin.upload_linux(f"echo-{uuid.uuid4()}", linux.image, ramdisk, KERNEL_ARGS)


class ChannelTestCase(CloudTestCase):
    def new_flavor(self, extra_specs):
        flavor = admin.create_flavor(f"channels-{uuid.uuid4()}", extra_specs)
        self.addCleanup(admin.call, "compute", "DELETE", f"/flavors/{flavor}")
        return flavor

    def new_guest(self, extra_specs):
        """A server that is ACTIVE; its flavor has these extra specs."""
        return self.new_server(self.new_flavor(extra_specs), image)

    def channels(self, server):
        """Channel names to socket paths, as libvirt's live XML has them."""
        domain = ElementTree.fromstring(cloud.node.output(["virsh", "dumpxml", server]))
        return {
            channel.find("target").get("name"): channel.find("source").get("path")
            for channel in domain.findall("devices/channel[@type='unix']")
        }

    def nova_compute_log(self):
        return cloud.node.services["nova-compute"].log.read_text()

    def wait_for_echo(self, server):
        """Until the guest, through the channel, answers a question that is new."""
        path = cloud.node.path(self.channels(server)[CHANNEL])
        wait_until(lambda: answers(path), f"the guest of {server} answers", BOOT_SECONDS)


def answers(path):
    question = uuid.uuid4().hex
    try:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(5)
            channel.connect(str(path))
            channel.sendall(f"\n{question}\n".encode())
            received = b""
            while f"ECHO {question}".encode() not in received:
                data = channel.recv(4096)
                if not data:
                    return False
                received += data
    except OSError:
        return False
    return True


class ChannelsAtBoot(ChannelTestCase):
    def test_a_flavor_without_our_keys_gets_no_channel(self):
        self.assertEqual(self.channels(self.new_guest({})), {})

    def test_cgcs_guests_get_their_two_channels(self):
        server = self.new_guest(
            {"sw:wrs:guest:heartbeat": "True", "sw:wrs:srv_grp_messaging": "True"}
        )
        self.assertEqual(sorted(self.channels(server)), ["cgcs.heartbeat", "cgcs.messaging"])

    def test_a_bad_value_is_logged_and_the_server_boots_without_the_channel(self):
        flavor = self.new_flavor({})
        # Only a client older than microversion 2.86 gets this past Nova's API.
        admin.call(
            "compute",
            "POST",
            f"/flavors/{flavor}/os-extra_specs",
            {"extra_specs": {"vitalwire:heartbeat": "maybe"}},
            OpenStack_API_Version="compute 2.85",
        )
        server = self.new_server(flavor, image)
        self.assertEqual(self.channels(server), {})
        warning = "extra spec vitalwire:heartbeat is 'maybe', expected a boolean"
        self.assertRegex(self.nova_compute_log(), f"{server}.*{warning}")


class ChannelLife(ChannelTestCase):
    """The channel, at the same path, and a guest that answers on it, after each operation."""

    def test_the_channel_survives_what_an_operator_does(self):
        server = self.new_guest({"vitalwire:heartbeat": "true", "vitalwire:messaging": "true"})
        at_boot = self.channels(server)
        self.assertEqual(list(at_boot), [CHANNEL])
        self.wait_for_echo(server)

        operations = (
            ("soft reboot", [("reboot", {"type": "SOFT"}, "ACTIVE")]),
            ("hard reboot", [("reboot", {"type": "HARD"}, "ACTIVE")]),
            ("stop and start", [("os-stop", None, "SHUTOFF"), ("os-start", None, "ACTIVE")]),
            ("pause", [("pause", None, "PAUSED"), ("unpause", None, "ACTIVE")]),
            ("suspend", [("suspend", None, "SUSPENDED"), ("resume", None, "ACTIVE")]),
            ("rebuild", [("rebuild", {"imageRef": image}, "ACTIVE")]),
        )
        for name, steps in operations:
            with self.subTest(operation=name):
                for action, argument, status in steps:
                    admin.act_and_wait(server, action, status, argument)
                self.assertEqual(self.channels(server), at_boot)
                self.wait_for_echo(server)
        self.assertNotRegex(self.nova_compute_log(), f"{server}.*Failed to soft reboot")

    def test_the_guest_answers_on_after_a_restart_of_nova_compute_and_libvirtd(self):
        server = self.new_guest({"vitalwire:heartbeat": "true"})
        at_boot = self.channels(server)
        self.wait_for_echo(server)
        for name in ("libvirtd", "nova-compute"):
            with self.subTest(restarted=name):
                cloud.node.restart(name, admin)
                self.assertEqual(self.channels(server), at_boot)
                self.wait_for_echo(server)

    def test_a_deleted_server_leaves_no_socket(self):
        server = self.new_guest({"vitalwire:heartbeat": "true"})
        path = cloud.node.path(self.channels(server)[CHANNEL])
        self.assertTrue(path.exists())
        admin.delete_server(server)
        self.assertFalse(path.exists())


if __name__ == "__main__":
    unittest.main()
