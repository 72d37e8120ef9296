"""A domain with vitalwired on a libvirt host of the test's own, booted once for all tests of a class."""

import contextlib
from pathlib import Path
from typing import Any
import uuid

import guest_agent
from suite import Agent, GuestTestCase, vitalwired_payload
from vmbed import initramfs, kernel
from vmbed.guest import BOOT_SECONDS, Machine, Model
from vmbed.initramfs import Payload, Service
from vmbed.libvirtbed import Domain, Host

NAME = "web-1"
SOURCE = {"source__libvirt__uri": "qemu:///system", "source__libvirt__call_deadline": "2s"}


class LibvirtTestCase(GuestTestCase):
    MACHINE = Machine()

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.host = cls.enterClassContext(Host(cls.class_dir))
        found = kernel.obtain()
        cls.model = Model(found, initramfs.build(cls.payload(), found), cls.MACHINE)
        cls.guest_id = str(uuid.uuid4())
        cls.saved = cls.class_dir / "booted"
        cls.new_domain().create().wait_ready().save(cls.saved)

    @classmethod
    def payload(cls) -> initramfs.Payload:
        return vitalwired_payload(NAME)

    def setUp(self) -> None:
        super().setUp()
        self.domain = self.new_domain()
        self.addCleanup(self.remove_domain)

    @classmethod
    def new_domain(cls, **traits: Any) -> Domain:
        return Domain(cls.host, NAME, cls.model, identity=cls.guest_id, **traits)

    def remove_domain(self) -> None:
        self.domain.forget_control()
        for command in ("destroy", "undefine"):
            with contextlib.suppress(RuntimeError):  # it does not run; it is not defined
                self.domain.virsh(command)

    def start_domain(self) -> None:
        """From what was booted; defined as Nova's domains are."""
        # libvirt 9.0 gives up a domain if it is killed within moments of restoring it: wait until it is ready.
        self.domain.restore(self.saved).wait_ready().define()

    def agent_on(self, host: Host) -> Agent:
        return self.start_agent(host.name, SOURCE, host.command)

    def wait_beating(self, agent: Agent) -> None:
        agent.wait_state(self.guest_id, "registered", BOOT_SECONDS)
        agent.wait_beats(self.guest_id)


class GuestAgentTestCase(LibvirtTestCase):
    """The guest has Debian's qemu-ga and nothing of ours."""

    MACHINE = Machine(channels=(guest_agent.CHANNEL,))
    SERVICE = "qemu-ga"

    @classmethod
    def payload(cls) -> Payload:
        port = f"/dev/virtio-ports/{guest_agent.CHANNEL}"
        argv = ("/usr/sbin/qemu-ga", "-m", "virtio-serial", "-p", port, "-t", "/run")
        return Payload(
            files={argv[0]: Path(guest_agent.program() or "")},
            services=(Service(cls.SERVICE, argv),),
            init_lines=(f"hostname {NAME}",),
        )

    def signal(self, name: str) -> None:
        self.domain.ctl(f"service signal {self.SERVICE} {name}")
