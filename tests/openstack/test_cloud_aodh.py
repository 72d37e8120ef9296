#!/usr/bin/python3
"""The path of OPNFV Doctor without Vitrage: a guest hangs, Nova calls its server an error, and Aodh's event alarm notifies
the VNF manager."""

from pathlib import Path
import sys
import unittest
import uuid

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed.receiver import VnfManager
from cloudbed.two_nodes import GuestsTestCase


class EventAlarm(GuestsTestCase):
    """Aodh watches two servers; one of them hangs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.enterClassContext(cls.cloud.with_aodh())
        cls.manager_of_aodh = cls.enterClassContext(VnfManager())
        cls.hangs, cls.stays = (cls.new_class_guest(name, cls.cloud.node) for name in ("hangs", "stays"))

    def setUp(self):
        for guest in (self.hangs, self.stays):
            self.recover(guest)
            self.watch(guest.server)
        super().setUp()

    def watch(self, server):
        """As a VNF manager does for each of its servers."""
        query = [
            {"field": "traits.instance_id", "op": "eq", "type": "string", "value": server},
            {"field": "traits.state", "op": "eq", "type": "string", "value": "error"},
        ]
        alarm = {
            "name": f"error-{uuid.uuid4()}",
            "type": "event",
            "event_rule": {"event_type": "compute.instance.update", "query": query},
            "alarm_actions": [f"{self.manager_of_aodh.base_url}/{server}"],
        }
        made = self.admin.call("alarming", "POST", "/v2/alarms", alarm)["alarm_id"]
        self.addCleanup(self.admin.call, "alarming", "DELETE", f"/v2/alarms/{made}")

    def test_a_guest_that_hangs_is_an_alarm_at_the_vnf_manager(self):
        server = self.hangs.server
        with self.hangs.frozen():
            self.manager_of_aodh.wait_for(lambda body: body.get("current") == "alarm", "Aodh's alarm", 60)
        self.wait_told("cleared", "heartbeat_lost", server)

        (received,) = self.manager_of_aodh.received
        self.assertEqual((received.path, received.body["reason_data"]["event"]["event_type"]),
                         (f"/{server}", "compute.instance.update"))
        self.assert_told(("opened", "heartbeat_lost", server), ("cleared", "heartbeat_lost", server))
        self.assertEqual(self.errors(), {server})


if __name__ == "__main__":
    unittest.main()
