#!/usr/bin/python3
"""Faults on their way into a real Vitrage and a real Nova: servers of Nova's whose heartbeat the test plays."""

from pathlib import Path
import signal
import sys
import unittest
import uuid

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed import account as accounts
from cloudbed import cloud as cloudbed
from cloudbed.controller import CloudController
from cloudbed.testcase import CloudTestCase
from raw_guest import RawGuest
from suite import Agent
from vmbed.procs import temporary_dir, wait_until

SECONDS = 90.0
LOST = "guest.heartbeat.lost"


def setUpModule():
    global cloud, admin, image, flavor
    cloud = CloudTestCase.cloud = unittest.enterModuleContext(cloudbed.for_tests())
    admin = cloud.admin
    name = f"sinks-{uuid.uuid4()}"
    # No system on it: the guest never gets past the BIOS, and its channel is the test's.
    image = admin.upload_image(name, "raw", bytes(1 << 20))
    flavor = admin.create_flavor(name)


class SinkTestCase(CloudTestCase):
    """A server whose guest has registered; `sink` is told of its faults."""

    sink = {}

    def setUp(self):
        self.dir = self.enterContext(temporary_dir())
        self.server = self.new_server(flavor, image)
        account = accounts.open_account(cloud)
        self.controller = CloudController(self.dir / "controller", cloud, account, {"sink cloud": self.sink})
        self.addCleanup(lambda: self.controller.close())
        self.controller.start().wait_loaded()
        self.agent = Agent(self.dir / "agent", cloud.node.host, self.controller)
        self.addCleanup(self.agent.close)
        self.guest = RawGuest(self.agent.channels, self.server)
        self.addCleanup(self.guest.close)
        self.guest.register()
        self.agent.wait_state(self.server, "registered")

    def fall_silent(self):
        self.guest.answering = False
        self.agent.wait_state(self.server, "lost")

    def recover(self):
        self.guest.answering = True
        self.agent.wait_state(self.server, "registered")

    def wait_settled(self):
        """The sink has confirmed everything."""
        wait_until(lambda: self.sink_status()["queued"] == 0, "everything is confirmed", SECONDS)
        self.assertEqual(self.sink_status()["state"], "ok")

    def sink_status(self):
        return self.controller.page("/v1/status")["sinks"][0]

    def status(self):
        """In Nova."""
        return admin.server(self.server)["status"]

    def fault(self):
        """The newest."""
        return max(self.controller.faults(), key=lambda fault: fault["opened_at"])


class Vitrage(SinkTestCase):
    sink = {"type": "vitrage", "reconcile_interval": "2 s"}

    def alarms(self):
        return [alarm for alarm in admin.alarms() if alarm.get("instance_id") == self.server]

    def wait_alarm(self):
        (alarm,) = wait_until(self.alarms, "Vitrage shows an alarm on the server", SECONDS)
        return alarm

    def wait_no_alarm(self):
        wait_until(lambda: not self.alarms(), "Vitrage shows no alarm on the server", SECONDS)

    def post(self, state, event):
        """Behind the controller's back."""
        details = {"instance_id": self.server, "alarm": LOST, "state": state, "monitor_event_id": event}
        admin.post_event({"time": "2026-11-22T06:05:08.123456", "type": "vitalwire.heartbeat", "details": details})

    def told_again(self, event):
        return self.controller.metric(f'sink_resent_total{{event="{event}",sink="cloud"}}')

    def test_a_fault_is_an_alarm_while_it_lasts(self):
        self.fall_silent()
        alarm = self.wait_alarm()
        self.assertEqual((alarm["name"], alarm["id"]), (LOST, self.fault()["id"]))
        self.assertEqual(alarm["vitrage_operational_severity"], "CRITICAL")
        self.assertEqual(alarm["cause"], "the guest stopped answering its heartbeat (silent)")
        self.wait_settled()

        self.recover()
        self.wait_no_alarm()
        self.wait_settled()

    def test_faults_while_vitrage_is_down_are_told_when_it_is_back(self):
        graph = cloud.vitrage.services["vitrage-graph"]
        self.addCleanup(cloud.vitrage.wait_up, admin)
        self.addCleanup(graph.start)
        graph.stop(signal.SIGKILL)
        self.fall_silent()
        wait_until(lambda: self.sink_status()["state"] != "ok", "Vitrage takes nothing")
        self.recover()
        first = self.fault()["id"]
        self.fall_silent()

        graph.start()
        cloud.vitrage.wait_up(admin)

        alarm = self.wait_alarm()
        self.assertNotEqual(self.fault()["id"], first)
        self.assertEqual(alarm["name"], LOST)
        self.wait_settled()
        self.recover()
        self.wait_no_alarm()

    def test_an_alarm_that_vitrage_lost_is_raised_again(self):
        self.fall_silent()
        self.wait_alarm()
        self.wait_settled()
        self.post("up", "somebody")
        wait_until(lambda: self.told_again("opened"), "the controller raises it again", SECONDS)
        self.wait_alarm()
        self.wait_settled()

    def test_an_alarm_that_vitrage_shows_after_its_fault_is_over_is_cleared_again_also_after_a_restart(self):
        self.fall_silent()
        self.wait_alarm()
        fault = self.fault()["id"]
        self.recover()
        self.wait_no_alarm()
        self.wait_settled()
        self.controller.close()
        self.post("down", fault)
        self.wait_alarm()

        self.controller.start()

        self.wait_no_alarm()
        self.assertEqual(self.told_again("cleared"), 1)


class NovaState(SinkTestCase):
    sink = {"type": "nova_reset_state"}

    def test_a_fault_is_an_error_that_stays(self):
        self.fall_silent()
        admin.wait_for_status(self.server, "ERROR", SECONDS)
        self.recover()
        self.wait_settled()
        self.assertEqual(self.status(), "ERROR")

    def test_what_an_operator_sets_during_a_fault_stays(self):
        self.fall_silent()
        admin.wait_for_status(self.server, "ERROR", SECONDS)
        self.wait_settled()
        admin.act(self.server, "os-resetState", {"state": "active"})
        self.controller.close()
        self.controller.start().wait_loaded()
        wait_until(lambda: self.controller.page("/v1/status")["agents"]["connected"], "the agent is back")
        self.wait_settled()
        self.assertEqual(self.status(), "ACTIVE")

    def test_a_fault_of_a_server_that_was_deleted_is_settled(self):
        admin.delete_server(self.server)
        self.fall_silent()
        self.wait_settled()


class NovaStateActive(SinkTestCase):
    sink = {"type": "nova_reset_state", "on_clear": "active"}

    def test_the_end_of_a_fault_makes_the_server_active(self):
        self.fall_silent()
        admin.wait_for_status(self.server, "ERROR", SECONDS)
        self.recover()
        wait_until(lambda: self.status() == "ACTIVE", "Nova calls the server active", SECONDS)
        self.wait_settled()


if __name__ == "__main__":
    unittest.main()
