#!/usr/bin/python3
"""A guest with Debian's qemu-ga and nothing of ours, whose socket is libvirt's. Needs root."""

import os
from pathlib import Path
import signal
import sys
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from guest_agent import program
from libvirt_guests import NAME, SOURCE, GuestAgentTestCase
from suite import Agent
from vmbed import initramfs, kernel
from vmbed.guest import BOOT_SECONDS
from vmbed.libvirtbed import Domain

FREEZE_STATUS = '{"execute":"guest-fsfreeze-status"}'
SETTINGS = {
    "heartbeat__guest_agent": "all",
    "heartbeat__guest_agent_interval": "2 s",
    "heartbeat__guest_agent_detect_multiplier": "2",
}


@unittest.skipUnless(program(), "needs the package qemu-guest-agent")
class GuestAgentOfLibvirt(GuestAgentTestCase):
    @classmethod
    def payload(cls) -> initramfs.Payload:
        """With a file system on its disk, because qemu-ga freezes those only."""
        return initramfs.with_file_system(super().payload(), kernel.obtain(), "/srv")

    @classmethod
    def new_domain(cls, **traits: bool) -> Domain:
        return super().new_domain(disk=True, **traits)

    def setUp(self) -> None:
        super().setUp()
        self.agent = Agent(
            self.dir / self.host.name, self.host.name, self.controller, SOURCE, self.host.command, **SETTINGS
        )
        self.addCleanup(self.agent.close)
        self.start_domain()
        self.agent.wait_state(self.guest_id, "registered", BOOT_SECONDS)

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
        run = self.domain_log().rpartition("starting up libvirt")[2]  # other tests use the guest agent as Nova does
        self.assertNotIn("tainted: custom-ga-command", run)
        self.assertIn("return", self.ping(), "others use the guest agent as before")

    def test_one_that_ends_is_lost_until_another_starts(self) -> None:
        self.domain.ctl(f"service stop {self.SERVICE}")
        self.assertEqual(self.wait_down("heartbeat_lost")["reason"], "the QEMU guest agent has closed its port")
        self.domain.ctl(f"service start {self.SERVICE}")
        self.wait_up("heartbeat_lost")

    def test_one_whose_machine_stands_still_is_lost_and_libvirt_serves_others(self) -> None:
        qemu = self.domain.qemu_pid()
        os.kill(qemu, signal.SIGSTOP)
        self.addCleanup(os.kill, qemu, signal.SIGCONT)
        self.assertEqual(self.wait_down("heartbeat_lost")["reason"], "the QEMU guest agent does not answer")
        self.assertEqual(self.host.virsh("list", "--name").split(), [NAME])
        os.kill(qemu, signal.SIGCONT)
        self.wait_up("heartbeat_lost")
        self.assertIn("return", self.ping())

    def test_frozen_file_systems_are_no_fault(self) -> None:
        self.domain.virsh("domfsfreeze")
        self.assertIn("frozen", self.domain.virsh("qemu-agent-command", FREEZE_STATUS))
        time.sleep(15)  # in which it would have been lost
        self.assertEqual(self.agent.guest(self.guest_id)["state"], "registered")
        self.domain.virsh("domfsthaw")
        self.agent.wait_beats(self.guest_id)
        self.assertEqual(self.agent.faults(), [])

    def test_one_that_hangs_while_file_systems_are_frozen_is_lost(self) -> None:
        self.domain.virsh("domfsfreeze")
        self.signal("STOP")
        self.assertEqual(self.wait_down("heartbeat_lost")["detail"], "guest_agent")
        self.signal("CONT")
        self.domain.virsh("domfsthaw")
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
