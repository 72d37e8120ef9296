#!/usr/bin/python3
"""A machine with nothing in it but a hardware watchdog that is not fed. Real libvirtd and QEMU; needs root."""

import contextlib
from pathlib import Path
import sys
import unittest
import uuid

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from bare_machine import compiled, domain_xml
from libvirt_guests import SOURCE
from suite import Agent, GuestTestCase
from vmbed.libvirtbed import Host

NAME = "appliance"


class Watchdog(GuestTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.host = cls.enterClassContext(Host(cls.class_dir))
        cls.kernel = compiled(ROOT / "tests" / "libvirt" / "watchdog_guest.c", cls.host)

    def start(self, action: str) -> None:
        """The agent, and then the machine."""
        self.agent = Agent(
            self.dir / self.host.name,
            self.host.name,
            self.controller,
            SOURCE,
            self.host.command,
            heartbeat__machine_faults="all",
        )
        self.addCleanup(self.agent.close)
        self.guest_id = str(uuid.uuid4())
        self.host.create(domain_xml(NAME, self.guest_id, self.kernel, f"<watchdog model='ib700' action='{action}'/>"))

    def test_one_that_fires_is_a_fault_until_the_operator_ends_the_domain(self) -> None:
        self.start("none")
        self.assertEqual(self.wait_down("watchdog_fired")["detail"], "none")
        self.host.virsh("destroy", NAME)
        # A transient domain is gone as soon as it has stopped.
        self.assertIn(self.wait_up("watchdog_fired")["clear_reason"], ("domain_stopped", "removed"))
        self.assert_told(("watchdog_fired", "down"), ("watchdog_fired", "up"))

    def tearDown(self) -> None:
        with contextlib.suppress(RuntimeError):  # it was destroyed
            self.host.virsh("destroy", NAME)
        super().tearDown()

    def test_one_that_pauses_its_machine_is_not_taken_for_an_operators_pause(self) -> None:
        self.start("pause")
        self.assertEqual(self.wait_down("watchdog_fired")["detail"], "pause")
        self.assertEqual(self.wait_down("stopped_by_host")["detail"], "watchdog")
        self.assertEqual(self.host.virsh("domstate", "--reason", NAME).strip(), "paused (watchdog)")
        self.host.virsh("resume", NAME)
        self.wait_up("stopped_by_host")
        self.assertEqual(self.wait_up("watchdog_fired")["clear_reason"], "resumed")


if __name__ == "__main__":
    unittest.main()
