#!/usr/bin/python3
"""The datasource and its templates in a real Vitrage, with real servers of a real Nova."""

from pathlib import Path
import sys
import unittest
import uuid

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed import cloud as cloudbed
from cloudbed.receiver import VnfManager
from cloudbed.testcase import CloudTestCase
from vmbed.procs import wait_until

SECONDS = 60.0


def setUpModule():
    global cloud, admin, image, flavor
    cloud = CloudTestCase.cloud = unittest.enterModuleContext(cloudbed.for_tests())
    admin = cloud.admin
    name = f"vitrage-{uuid.uuid4()}"
    # No system on it: the guest never gets past the BIOS.
    image = admin.upload_image(name, "raw", bytes(1 << 20))
    flavor = admin.create_flavor(name)


class VitrageTestCase(CloudTestCase):
    def known_server(self):
        """A running server that Vitrage knows."""
        server = self.new_server(flavor, image)
        wait_until(lambda: self.entity(server), f"Vitrage knows server {server}", SECONDS)
        return server

    def raise_alarm(self, server, alarm="guest.heartbeat.lost", **details):
        """Raises it, waits until Vitrage shows it, and returns it."""
        self.post(server, alarm, "down", **details)
        return wait_until(
            lambda: next(iter(self.alarms(server, alarm)), None), f"{alarm} is shown", SECONDS
        )

    def clear_alarm(self, server, alarm="guest.heartbeat.lost"):
        self.post(server, alarm, "up")
        wait_until(lambda: not self.alarms(server, alarm), f"{alarm} is cleared", SECONDS)

    def post(self, server, alarm, state, **details):
        admin.post_event(
            {
                "time": "2026-11-22T06:05:08.123456",
                "type": "vitalwire.heartbeat",
                "details": {"instance_id": server, "alarm": alarm, "state": state, **details},
            }
        )

    def alarms(self, resource, name):
        """Those of that name on the instance or host with that id."""
        return [
            alarm
            for alarm in admin.alarms()
            if alarm["name"] == name
            and resource in (alarm.get("instance_id"), alarm.get("hostname"))
        ]

    def entity(self, resource):
        """The instance as Vitrage sees it, or None."""
        request = {"resource_type": "nova.instance", "all_tenants": True}
        found = admin.call("rca", "POST", "/v1/resources", request)
        return next((each for each in found if each["id"] == resource), None)

    def wait_for_nova(self, server, status):
        admin.wait_for_status(server, status, SECONDS)


class Alarms(VitrageTestCase):
    def test_a_lost_heartbeat_is_an_alarm_on_the_instance(self):
        server = self.known_server()

        alarm = self.raise_alarm(server, cause="silent", monitor_event_id="fault-1")

        self.assertEqual(alarm["vitrage_type"], "vitalwire")
        self.assertEqual(alarm["vitrage_resource_id"], self.entity(server)["vitrage_id"])
        self.assertEqual(alarm["vitrage_operational_severity"], "CRITICAL")
        self.assertEqual((alarm["id"], alarm["cause"]), ("fault-1", "silent"))

    def test_a_repeated_event_is_the_same_alarm(self):
        server = self.known_server()
        first = self.raise_alarm(server, cause="silent")

        self.post(server, first["name"], "down", cause="channel closed")
        newest = f"/v1/alarm/{first['vitrage_id']}"
        wait_until(
            lambda: admin.call("rca", "GET", newest)["cause"] == "channel closed",
            "the alarm is updated",
            SECONDS,
        )

        (again,) = self.alarms(server, first["name"])
        self.assertEqual(again["vitrage_id"], first["vitrage_id"])

    def test_an_alarm_outlives_a_snapshot_and_a_restart_and_clears_after_it(self):
        server = self.known_server()
        first = self.raise_alarm(server)

        snapshots = self.snapshots()
        wait_until(lambda: self.snapshots() > snapshots, "Vitrage took a snapshot", SECONDS)
        (kept,) = self.alarms(server, first["name"])
        self.assertEqual(kept["vitrage_id"], first["vitrage_id"])

        cloud.vitrage.services["vitrage-graph"].restart()
        cloud.vitrage.wait_up(admin)
        (kept,) = self.alarms(server, first["name"])
        self.assertEqual(kept["vitrage_id"], first["vitrage_id"])

        self.clear_alarm(server)

    def test_an_alarm_on_an_instance_that_vitrage_does_not_know_comes_and_goes(self):
        unknown = str(uuid.uuid4())
        self.raise_alarm(unknown)
        self.clear_alarm(unknown)

    def test_an_alarm_clears_after_its_server_was_deleted(self):
        server = self.known_server()
        self.raise_alarm(server)
        admin.delete_server(server)
        self.clear_alarm(server)

    def test_a_lost_agent_is_an_alarm_on_the_host(self):
        self.addCleanup(self.post_host, "up")
        self.post_host("down")
        alarm = wait_until(
            lambda: next(iter(self.alarms(cloud.node.host, "agent.lost")), None),
            "agent.lost is shown",
            SECONDS,
        )
        self.assertEqual(alarm["vitrage_resource_type"], "nova.host")
        self.assertEqual(alarm["vitrage_operational_severity"], "SEVERE")

        self.post_host("up")
        wait_until(
            lambda: not self.alarms(cloud.node.host, "agent.lost"), "agent.lost clears", SECONDS
        )

    def test_a_bad_event_raises_nothing_and_the_log_says_why(self):
        name = f"guest.{uuid.uuid4()}"
        self.post(str(uuid.uuid4()), name, "down")
        log = cloud.vitrage.services["vitrage-graph"].log
        expected = f"'alarm' is '{name}', expected one of: guest.heartbeat.lost"
        wait_until(lambda: expected in log.read_text(), "vitrage-graph explains", SECONDS)
        self.assertEqual([alarm for alarm in admin.alarms() if alarm["name"] == name], [])

    def post_host(self, state):
        details = {"hostname": cloud.node.host, "alarm": "agent.lost", "state": state}
        time = "2026-11-22T06:05:08.123456"
        admin.post_event({"time": time, "type": "vitalwire.host", "details": details})

    def snapshots(self):
        log = cloud.vitrage.services["vitrage-graph"].log
        return log.read_text().count("get_all and processing took")


class Templates(VitrageTestCase):
    def test_a_lost_heartbeat_puts_the_server_in_error_and_the_vnf_manager_is_told(self):
        with VnfManager() as vnf_manager:
            self.subscribe(vnf_manager.url)
            server = self.known_server()

            self.raise_alarm(server)
            self.wait_for_nova(server, "ERROR")
            self.wait_told(vnf_manager, "vitrage.alarm.activate", server)

            self.clear_alarm(server)
            self.wait_for_nova(server, "ACTIVE")
            self.wait_told(vnf_manager, "vitrage.alarm.deactivate", server)

    def test_of_two_faults_the_last_to_clear_brings_the_server_back(self):
        server = self.known_server()
        self.raise_alarm(server, "guest.heartbeat.lost")
        self.raise_alarm(server, "guest.vm.crashed")
        self.wait_for_nova(server, "ERROR")

        self.clear_alarm(server, "guest.heartbeat.lost")
        self.assertEqual(self.entity(server)["vitrage_aggregated_state"], "ERROR")
        self.assertEqual(admin.server(server)["status"], "ERROR")

        self.clear_alarm(server, "guest.vm.crashed")
        self.wait_for_nova(server, "ACTIVE")

    def test_an_unhealthy_guest_is_suboptimal_and_nova_is_left_alone(self):
        server = self.known_server()
        self.raise_alarm(server, "guest.unhealthy")
        wait_until(
            lambda: self.entity(server)["vitrage_aggregated_state"] == "SUBOPTIMAL",
            "the instance is suboptimal",
            SECONDS,
        )
        self.assertEqual(admin.server(server)["status"], "ACTIVE")
        self.clear_alarm(server, "guest.unhealthy")

    def subscribe(self, url):
        webhook = admin.call("rca", "POST", "/v1/webhook", {"url": url})
        self.addCleanup(admin.call, "rca", "DELETE", f"/v1/webhook?id={webhook['id']}")

    def wait_told(self, vnf_manager, event, server):
        def matches(body):
            payload = body["payload"]
            resource = payload.get("resource") or {}
            return (body["notification"], payload["name"], resource.get("id")) == (
                event,
                "VM guest not responding",
                server,
            )

        return vnf_manager.wait_for(matches, f"{event} of {server}", SECONDS)


if __name__ == "__main__":
    unittest.main()
