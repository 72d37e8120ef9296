#!/usr/bin/python3
"""The sink masakari and the real Masakari, API and engine: a server that hangs is stopped and started, also when it hangs
again."""

from pathlib import Path
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed.client import BOOT_SECONDS
from cloudbed.two_nodes import GuestsTestCase
from vmbed.procs import wait_until


class Recovery(GuestsTestCase):
    sinks = {"sink ha": {"type": "masakari", "longest_backoff": "2 s"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.enterClassContext(cls.cloud.with_masakari())
        cls.add_segment()
        cls.group = cls.new_class_group()
        cls.hangs = cls.new_class_guest("hangs", cls.cloud.node, cls.group)
        cls.stays = cls.new_class_guest("stays", cls.cloud.node)

    @classmethod
    def add_segment(cls):
        """Of the host that Masakari looks after; it stays with the cloud."""
        if cls.masakari("GET", "/segments")["segments"]:
            return
        segment = {"name": "computes", "recovery_method": "auto", "service_type": "compute"}
        made = cls.masakari("POST", "/segments", {"segment": segment})["segment"]["uuid"]
        host = {"name": cls.cloud.node.host, "type": "COMPUTE", "control_attributes": "none"}
        cls.masakari("POST", f"/segments/{made}/hosts", {"host": host})

    @classmethod
    def masakari(cls, method, path, body=None):
        return cls.admin.call("instance-ha", method, path, body)

    def setUp(self):
        for guest in (self.hangs, self.stays):
            self.recover(guest)
        super().setUp()

    def notifications(self):
        """Those of the server, the oldest first."""
        listed = self.masakari("GET", "/notifications?sort_key=id&sort_dir=asc")["notifications"]
        return [each for each in listed if each["payload"]["instance_uuid"] == self.hangs.server]

    def hang(self, number):
        """Until Masakari has recovered the server: the fault that it was notified of."""
        known = {fault["id"] for fault in self.new_faults()}
        self.controller.command("send", self.group, "hang")
        (fault,) = wait_until(
            lambda: [each for each in self.new_faults() if each["id"] not in known], "the fault is known"
        )
        wait_until(
            lambda: [each["status"] for each in self.notifications()] == ["finished"] * number,
            f"Masakari has finished with notification {number}",
            BOOT_SECONDS,
        )
        self.wait_beating(self.hangs)
        self.admin.wait_for_status(self.hangs.server, "ACTIVE")
        self.assertEqual(fault["kind"], "heartbeat_lost")
        return fault["id"]

    def test_a_server_that_hangs_and_hangs_again_is_recovered_both_times(self):
        first = self.hang(1)
        second = self.hang(2)

        self.assertNotEqual(first, second)
        words = [entry.get("detail", "") for entry in self.journal(second)]
        self.assertTrue(any("HTTP 409" in word for word in words), "Masakari has not taken it for a duplicate")
        for fault in (first, second):
            at_masakari = [entry["what"] for entry in self.journal(fault) if entry.get("sink") == "ha"]
            self.assertEqual(at_masakari.count("acknowledged"), 1, self.journal(fault))
        self.assert_told(*2 * (("opened", "heartbeat_lost", self.hangs.server),
                               ("cleared", "heartbeat_lost", self.hangs.server)))
        # The other server was left alone.
        self.assertEqual(self.nova.states(self.stays.server), [])
        self.assertEqual(self.errors(), set())


if __name__ == "__main__":
    unittest.main()
