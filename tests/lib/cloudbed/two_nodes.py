"""The base of tests with real guests on one or two compute nodes: an agent on each, a controller with receivers, and what all
of them recorded."""
import uuid
from typing import Any, Mapping

from suite import Agent
from vmbed import initramfs, kernel
from vmbed.guest import BOOT_SECONDS, KERNEL_ARGS
from vmbed.procs import temporary_dir, wait_until

from . import account as accounts
from . import cloud as cloudbed
from . import vnf
from .client import OpenStack
from .compute import ComputeNode
from .controller import CloudController, Section
from .nova_events import NovaEvents
from .receiver import VnfManager
from .testcase import CloudTestCase

SPECS = {"vitalwire:heartbeat": "true", "vitalwire:messaging": "true"}
SOURCE = {"source__libvirt__uri": "qemu:///system"}
# Where nova-compute asks the agent of its host.
AGENT_SOCKET = "/run/vitalwire/agent.sock"


class GuestsTestCase(CloudTestCase):
    """Guests have the default detection time. `sinks`: more receivers than the VNF manager and Nova's own state."""

    sinks: Mapping[str, Section] = {"sink nova": {"type": "nova_reset_state"}}
    agent_settings: Mapping[str, str] = {}

    @classmethod
    def setUpClass(cls) -> None:
        cls.cloud = cls.enterClassContext(cloudbed.for_tests())
        cls.admin = cls.cloud.admin
        cls.nodes = cls.enter_nodes()
        cls.dir = cls.enterClassContext(temporary_dir())
        cls.vnf_manager = cls.enterClassContext(VnfManager())
        cls.nova = cls.enterClassContext(NovaEvents(cls.cloud))
        cls.make_image()
        cls.flavor = cls.admin.create_flavor(f"two-nodes-{uuid.uuid4()}", SPECS)
        account = accounts.open_account(cls.cloud)
        webhook = {"type": "webhook", "url": cls.vnf_manager.url}
        cls.controller = CloudController(
            cls.dir / "controller", cls.cloud, account, {"sink vnfm": webhook, **cls.sinks}
        )
        cls.addClassCleanup(cls.controller.close)
        cls.controller.start().wait_loaded()
        cls.agents = {node.host: cls.start_agent(node) for node in cls.nodes}

    @classmethod
    def enter_nodes(cls) -> tuple[ComputeNode, ...]:
        """Those with an agent."""
        return (cls.cloud.node,)

    @classmethod
    def make_image(cls) -> None:
        """Of the same guest for all tests on one cloud."""
        linux = kernel.obtain()
        ramdisk = initramfs.build(initramfs.obeying_power_button(cls.payload(), linux), linux)
        cls.image = cls.admin.shared_linux(linux.image, ramdisk, KERNEL_ARGS)

    @classmethod
    def payload(cls) -> initramfs.Payload:
        return vnf.payload("")

    @classmethod
    def start_agent(cls, node: ComputeNode, bus: dict[str, str] | None = None) -> Agent:
        node.path(AGENT_SOCKET).parent.mkdir(exist_ok=True)
        more = {"agent__listen": f"unix:{AGENT_SOCKET}", **cls.agent_settings}
        agent = Agent(cls.dir / node.host, node.host, cls.controller, SOURCE, node.enter, bus, **more)
        agent.http = node.path(AGENT_SOCKET)
        cls.addClassCleanup(agent.close)
        return agent

    def setUp(self) -> None:
        self.begin_record()

    def begin_record(self) -> None:
        """What was before is not this test's."""
        self._known = {fault["id"] for fault in self.controller.faults()}
        self._opened = {host: agent.faults_opened() for host, agent in self.agents.items()}
        self.vnf_manager.received.clear()
        self.nova.changes.clear()

    # Guests

    @classmethod
    def new_class_group(cls) -> str:
        group = cls.admin.create_server_group(f"group-{uuid.uuid4()}")
        cls.addClassCleanup(cls.admin.delete_server_group, group)
        return group

    @classmethod
    def new_class_guest(cls, name: str, node: ComputeNode, group: str | None = None) -> vnf.Guest:
        """A server on that node, which need not have booted."""
        server = cls.admin.create_server(name, cls.flavor, cls.image, group, node.host)
        cls.addClassCleanup(cls.admin.delete_server, server)
        return vnf.Guest(cls.cloud, server, node)

    def new_guest(
        self, name: str, node: ComputeNode, group: str | None = None, admin: OpenStack | None = None
    ) -> vnf.Guest:
        """A server on that node, which need not have booted; `admin`: who creates it."""
        server = (admin or self.admin).create_server(name, self.flavor, self.image, group, node.host)
        self.addCleanup(self.admin.delete_server, server)
        return vnf.Guest(self.cloud, server, node)

    def wait_beating(self, guest: vnf.Guest, node: ComputeNode | None = None) -> None:
        """Until it has answered several challenges, on that node from now on if one is named."""
        guest.node = node or guest.node
        agent = self.agents[guest.node.host]
        agent.wait_state(guest.server, "registered", BOOT_SECONDS)
        agent.wait_beats(guest.server)

    def recover(self, guest: vnf.Guest) -> None:
        """Whatever the test before left: it beats, and Nova calls it active."""
        wait_until(lambda: self.admin.is_settled(guest.server), f"{guest.server} is built", BOOT_SECONDS)
        if self.admin.server(guest.server)["status"] == "ERROR":
            self.admin.act(guest.server, "os-resetState", {"state": "active"})
        self.wait_beating(guest, self.node_of(guest))

    def node_of(self, guest: vnf.Guest) -> ComputeNode:
        """As Nova has it."""
        host = self.admin.server(guest.server)["OS-EXT-SRV-ATTR:host"]
        return next(node for node in self.nodes if node.host == host)

    # What was recorded

    def told(self) -> list[tuple[str, str, str]]:
        """What the VNF manager was notified of: event, kind, guest (or host, of an alarm that has no guest)."""
        bodies = [received.body for received in list(self.vnf_manager.received)]
        return [
            (body["event"], body["fault"]["kind"], body["fault"]["guest"] or body["fault"]["host"])
            for body in bodies
        ]

    def wait_told(self, event: str, kind: str, subject: str, seconds: float = 60.0) -> None:
        wait_until(
            lambda: (event, kind, subject) in self.told(),
            f"the VNF manager is notified: {event} {kind} of {subject}",
            seconds,
        )

    def new_faults(self) -> list[dict[str, Any]]:
        """At the controller, open or not, delivered or not."""
        return [fault for fault in self.controller.faults() if fault["id"] not in self._known]

    def errors(self) -> set[str]:
        """Servers that were in ERROR, if only for a moment."""
        return {change.server for change in list(self.nova.changes) if change.state == "error"}

    def assert_untroubled(self) -> None:
        """No fault at an agent or the controller, nothing at a receiver, no server in ERROR."""
        opened = {host: agent.faults_opened() for host, agent in self.agents.items()}
        self.assertEqual(self.journals(self.new_faults()), "")
        self.assertEqual(opened, self._opened)
        self.assertEqual(self.told(), [])
        self.assertEqual(self.errors(), set())

    def assert_told(self, *expected: tuple[str, str, str]) -> None:
        """Exactly of these, once each, in any order; a report of other hosts than the guest's was sent to nobody."""
        self.assertEqual(sorted(self.told()), sorted(expected), self.journals(self.new_faults()))
        for fault in self.new_faults():
            if fault.get("withheld"):
                receivers = [entry["sink"] for entry in self.journal(fault["id"]) if "sink" in entry]
                self.assertEqual(receivers, [], self.journals([fault]))

    def journals(self, faults: list[dict[str, Any]]) -> str:
        """For people: what each is and what happened to it."""
        lines = []
        for fault in faults:
            words = (fault["id"], fault["kind"], fault["detail"], fault["guest"], "on", fault["host"], fault["state"])
            lines.append(" ".join(words))
            for entry in self.journal(fault["id"]):
                lines.append("    " + " ".join(f"{key}={value}" for key, value in entry.items()))
        return "\n".join(lines)

    def journal(self, fault: str) -> list[dict[str, Any]]:
        return self.controller.page(f"/v1/faults/{fault}")["journal"]["entries"]


class TwoNodesTestCase(GuestsTestCase):
    @classmethod
    def enter_nodes(cls) -> tuple[ComputeNode, ...]:
        return cls.cloud.node, cls.enterClassContext(cls.cloud.second_node())
