#!/usr/bin/python3
"""What peers are told of a server's life in a real Nova: the same, line by line, as of the captured one."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
import sys
import unittest
import uuid

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from cloudbed import account as accounts
from cloudbed import cloud as cloudbed
from cloudbed import fake_compute
from cloudbed.controller import CloudController
from cloudbed.fake_compute import FakeNode
from cloudbed.testcase import CloudTestCase
from raw_guest import RawGuest
from server_group import settle, wait_served
from suite import Agent
from vmbed import initramfs, kernel
from vmbed.guest import KERNEL_ARGS
from vmbed.procs import ProcessTestCase, wait_until

SPECS = {"vitalwire:messaging": "true"}
# What the captured notifications of such a life tell peers; a unit test proves that.
LIFE = ROOT / "tests" / "unit" / "controller" / "openstack" / "nova_life.txt"
# Servers A and B of that life begin on these.
HOME, OTHER = "compute-1", "compute-0"

ON_ONE_NODE = (
    ("stop", "os-stop", None, "SHUTOFF"),
    ("start", "os-start", None, "ACTIVE"),
    ("pause", "pause", None, "PAUSED"),
    ("unpause", "unpause", None, "ACTIVE"),
    ("suspend", "suspend", None, "SUSPENDED"),
    ("resume", "resume", None, "ACTIVE"),
    ("soft reboot", "reboot", {"type": "SOFT"}, "ACTIVE"),
    ("hard reboot", "reboot", {"type": "HARD"}, "ACTIVE"),
    ("reset-state to error", "os-resetState", {"state": "error"}, "ERROR"),
    ("hard reboot out of error", "reboot", {"type": "HARD"}, "ACTIVE"),
    ("reset-state to error again", "os-resetState", {"state": "error"}, "ERROR"),
    ("reset-state to active", "os-resetState", {"state": "active"}, "ACTIVE"),
)
RESIZED = "resize to the other host, confirmed"
MIGRATED_BACK = "cold migration back, reverted; the launch time changes while it reverts"
EVACUATED = "evacuation: the host is the old one to the end"


def setUpModule():
    global cloud, admin, account, image
    cloud = CloudTestCase.cloud = unittest.enterModuleContext(cloudbed.for_tests())
    admin = cloud.admin
    account = accounts.open_account(cloud)
    linux = kernel.obtain()
    ramdisk = initramfs.build(initramfs.obeying_power_button(initramfs.Payload(), linux), linux)
    image = admin.upload_linux(f"life-{uuid.uuid4()}", linux.image, ramdisk, KERNEL_ARGS)


def life():
    """Section to what is told: "active/powering-off@compute-1"."""
    sections = {}
    for line in filter(None, LIFE.read_text().splitlines()):
        if line.startswith("["):
            lines = sections.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            lines.append(line.partition(" ")[2].removesuffix(" in the group"))
    return sections


class LifeTestCase(CloudTestCase, ProcessTestCase):
    def setUp(self):
        self.controller = CloudController(self.dir / "controller", cloud, account)
        self.addCleanup(self.controller.close)
        self.controller.start().wait_loaded()
        self.group = self.new_group()

    def new_peer(self, flavor, host):
        """One of the group, on a node with an agent of ours, that receives what the others send."""
        agent = Agent(self.dir / host, host, self.controller)
        self.addCleanup(agent.close)
        peer = RawGuest(agent.channels, self.new_server(flavor, image, self.group, host))
        self.addCleanup(peer.close)
        wait_served(peer)
        return peer

    def check_told(self, peer, operations, hosts):
        """`operations` yields a section when it was done; `hosts`: the captured host to the one here."""
        captured = life()
        expected = []
        for name in operations:
            lines = [self.as_here(line, hosts) for line in captured[name]]
            expected += lines
            with self.subTest(operation=name):
                wait_until(lambda: len(self.told(peer)) >= len(expected), f"the peer is told of {name}")
                self.assertEqual(self.told(peer)[-len(lines) :], lines)
        settle(peer)
        self.assertEqual(self.told(peer), expected)

    def as_here(self, line, hosts):
        if line == "gone" or line == "":
            return f"deleted/@{hosts[HOME]}"
        state, _, host = line.partition("@")
        return f"{state}@{hosts.get(host, host)}"

    def told(self, guest):
        """As nova_life.txt writes it."""
        states = [message["data"] for message in guest.heard("notification")]
        return [f"{s['state']}/{s['state_description']}@{s.get('host', '')}" for s in states]

    def do_on_one_node(self, server):
        for name, action, argument, status in ON_ONE_NODE:
            admin.act_and_wait(server, action, status, argument)
            yield name

    def do_to_the_end(self, server):
        admin.act_and_wait(server, "rebuild", "ACTIVE", {"imageRef": image})
        yield "rebuild"
        admin.call("compute", "PUT", f"/servers/{server}", {"server": {"name": "other"}})
        yield "rename"
        metadata = {"metadata": {"role": "db"}}
        admin.call("compute", "POST", f"/servers/{server}/metadata", metadata)
        yield "set metadata"


class OnOneNode(LifeTestCase):
    """Of real guests: libvirt and QEMU."""

    def test_is_told_as_captured(self):
        flavor = admin.create_flavor(f"life-{uuid.uuid4()}", SPECS)
        peer = self.new_peer(flavor, cloud.node.host)
        self.check_told(peer, self.do_all(flavor), {HOME: cloud.node.host})

    def do_all(self, flavor):
        server = self.new_server(flavor, image, self.group)
        yield "create"
        yield from self.do_on_one_node(server)
        yield from self.do_to_the_end(server)
        admin.delete_server(server)
        yield "delete"


class BetweenNodes(LifeTestCase):
    """Resize, migrations and evacuation, between nodes of Nova's fake driver."""

    def setUp(self):
        super().setUp()
        nodes = [FakeNode(cloud, host).start() for host in ("fake-0", "fake-1")]
        self.other, self.home = nodes
        for node in nodes:
            self.addCleanup(node.fail)
            node.wait_ready()
        specs = {**SPECS, **fake_compute.SPECS}
        self.flavor = admin.create_flavor(f"life-{uuid.uuid4()}", specs)
        self.larger = admin.create_flavor(f"larger-{uuid.uuid4()}", specs, ram=192)

    def test_is_told_as_captured(self):
        peer = self.new_peer(self.flavor, self.home.host)
        self.check_told(peer, self.do_all(), {HOME: self.home.host, OTHER: self.other.host})

    def do_all(self):
        server = self.new_server(self.flavor, image, self.group, self.home.host)
        yield "create"
        second = self.new_server(self.flavor, image, self.group, self.other.host)
        yield "create the other"
        yield from self.do_on_one_node(server)

        admin.act_and_wait(server, "resize", "VERIFY_RESIZE", {"flavorRef": self.larger})
        admin.act_and_wait(server, "confirmResize", "ACTIVE")
        yield RESIZED
        admin.act_and_wait(server, "migrate", "VERIFY_RESIZE")
        self.wait_past_launch(server)
        admin.act_and_wait(server, "revertResize", "ACTIVE")
        yield MIGRATED_BACK
        where = {"host": self.home.host, "block_migration": "auto"}
        admin.act_and_wait(server, "os-migrateLive", "ACTIVE", where)
        yield "live migration"
        yield from self.do_to_the_end(server)

        self.other.fail()
        admin.act(second, "evacuate", {"host": self.home.host})
        admin.wait_for_host(second, self.home.host)
        yield EVACUATED
        admin.delete_server(server)
        yield "delete"

    def wait_past_launch(self, server):
        """Nova tells the launch time in whole seconds: within one second it would not change."""
        launched = admin.server(server)["OS-SRV-USG:launched_at"]
        launched = datetime.fromisoformat(launched).replace(tzinfo=timezone.utc, microsecond=0)
        after = launched + timedelta(seconds=1)
        wait_until(lambda: datetime.now(timezone.utc) >= after, "the second of its launch is over")


if __name__ == "__main__":
    unittest.main()
