#!/usr/bin/python3
"""A guest with Debian's qemu-ga and nothing of ours, whose socket is libvirt's. Needs root."""

from pathlib import Path
import sys
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from guest_agent import CHANNEL, program
from libvirt_guests import NAME, SOURCE, LibvirtTestCase
from suite import Agent
from vmbed.guest import BOOT_SECONDS, Machine
from vmbed.initramfs import Payload, Service

GUEST_AGENT = "qemu-ga"
SETTINGS = {
    "heartbeat__guest_agent": "all",
    "heartbeat__guest_agent_interval": "2 s",
    "heartbeat__guest_agent_detect_multiplier": "2",
}


@unittest.skipUnless(program(), "needs the package qemu-guest-agent")
class GuestAgentOfLibvirt(LibvirtTestCase):
    MACHINE = Machine(channels=(CHANNEL,))

    @classmethod
    def payload(cls) -> Payload:
        argv = ("/usr/sbin/qemu-ga", "-m", "virtio-serial", "-p", f"/dev/virtio-ports/{CHANNEL}", "-t", "/run")
        return Payload(
            files={argv[0]: Path(program() or "")},
            services=(Service(GUEST_AGENT, argv),),
            init_lines=(f"hostname {NAME}",),
        )

    def setUp(self) -> None:
        super().setUp()
        self.agent = Agent(
            self.dir / self.host.name, self.host.name, self.controller, SOURCE, self.host.command, **SETTINGS
        )
        self.addCleanup(self.agent.close)
        self.start_domain()
        self.agent.wait_state(self.guest_id, "registered", BOOT_SECONDS)

    def signal(self, name: str) -> None:
        self.domain.ctl(f"service signal {GUEST_AGENT} {name}")

    def domain_log(self) -> str:
        return (self.host.folder / "log" / "qemu" / f"{NAME}.log").read_text(errors="replace")

    def ping(self) -> str:
        return self.domain.virsh("qemu-agent-command", '{"execute":"guest-ping"}')

    def test_one_that_hangs_is_lost_until_it_goes_on(self) -> None:
        self.signal("STOP")
        details = self.wait_down("heartbeat_lost")
        self.assertEqual(details["detail"], "guest_agent")
        self.assertEqual(details["reason"], "the QEMU guest agent does not answer")
        self.signal("CONT")
        self.wait_up("heartbeat_lost")
        self.agent.wait_beats(self.guest_id)
        self.assertNotIn("tainted: custom-ga-command", self.domain_log())
        self.assertIn("return", self.ping(), "others use the guest agent as before")

    def test_one_that_ends_is_lost_until_another_starts(self) -> None:
        self.domain.ctl(f"service stop {GUEST_AGENT}")
        self.assertEqual(self.wait_down("heartbeat_lost")["reason"], "the QEMU guest agent has closed its port")
        self.domain.ctl(f"service start {GUEST_AGENT}")
        self.wait_up("heartbeat_lost")

    def test_a_suspended_domain_is_no_fault(self) -> None:
        self.domain.virsh("suspend")
        self.agent.wait_state(self.guest_id, "held")
        time.sleep(15)  # in which it would have been lost
        self.domain.virsh("resume")
        self.agent.wait_state(self.guest_id, "registered")
        self.agent.wait_beats(self.guest_id)
        self.assertEqual(self.agent.faults(), [])


if __name__ == "__main__":
    unittest.main()
