#!/usr/bin/python3
"""What vitalwire-controller tells of the suite itself: agents that are lost, sinks that fail."""

import itertools
from pathlib import Path
import sys
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from controller_case import ControllerTestCase
from vmbed.inspector import Inspector
from vmbed.procs import http_metrics, wait_until


class SelfWatch(ControllerTestCase):
    def setUp(self):
        super().setUp()
        self.configure("[self_monitoring]\nagent_lost_after = 1 s\nsink_failing_after = 1 s\n")

    def events(self, kind):
        return [event for event in self.inspector.events() if event["details"]["kind"] == kind]

    def await_statuses(self, kind, *statuses):
        """Without repetitions: they are allowed after a kill."""
        def told():
            return [status for status, _ in itertools.groupby(e["details"]["status"] for e in self.events(kind))]

        wait_until(lambda: told() == list(statuses), f"the inspector is told of {kind}: {statuses}")


class LostAgent(SelfWatch):
    def test_is_an_alarm_of_its_host_until_it_is_back(self):
        self.start_controller()
        agent = self.start_agent()
        fault = agent.open("vm-1")
        self.await_told(fault, "down")
        lost_at = time.time()
        agent.close()
        self.await_statuses("agent_lost", "down")
        self.assertGreaterEqual(time.time() - lost_at, 1)
        event = self.events("agent_lost")[0]
        self.assertEqual(event["type"], "compute.host.vitalwire")
        self.assertEqual(event["details"]["hostname"], "compute-1")
        self.assertEqual(event["details"]["monitor_event_id"], "agent_lost.compute-1:1")
        self.assertNotIn("instance_id", event["details"])
        self.assertEqual([lost["host"] for lost in self.get("/v1/status")["agents"]["lost"]], ["compute-1"])
        self.start_agent()
        self.await_statuses("agent_lost", "down", "up")
        self.assertEqual(self.get("/v1/status")["agents"]["lost"], [])
        self.assertEqual(self.told(fault)[0], "down")

    def test_is_told_as_over_also_when_the_controller_was_killed_meanwhile(self):
        self.start_controller()
        self.start_agent().close()
        self.await_statuses("agent_lost", "down")
        self.controller.kill()
        self.start_controller()
        self.start_agent()
        self.await_statuses("agent_lost", "down", "up")
        name = 'vitalwire_controller_internal_alarms_open{kind="agent_lost"}'
        self.assertEqual(http_metrics(self.dir / "http")[name], 0)


class FailingSink(SelfWatch):
    def test_is_told_to_the_others_and_shown_with_what_waits(self):
        other = self.enterContext(Inspector())
        self.configure("[self_monitoring]\nsink_failing_after = 1 s\n"
                       f"[sink other]\ntype = webhook\nurl = http://{other.address}/\nlongest_backoff = 500 ms\n")
        self.start_controller()
        agent = self.start_agent()
        other.refuse()
        fault = agent.open("vm-1")
        self.await_statuses("sink_failing", "down")
        details = self.events("sink_failing")[0]["details"]
        self.assertEqual((details["hostname"], details["detail"]), ("ctl", "other"))
        self.assertIn("HTTP 503", details["reason"])
        sink = next(sink for sink in self.get("/v1/status")["sinks"] if sink["name"] == "other")
        self.assertEqual((sink["queued"], sink["state"]), (1, "retrying"))
        self.assertEqual(sink["oldest_waiting"], agent.faults[fault]["opened_at"])
        self.assertIn("HTTP 503", sink["last_error"])
        self.assertLessEqual(sink["oldest_waiting"], sink["failing_since"])
        other.accept()
        agent.await_delivered(fault)
        self.await_statuses("sink_failing", "down", "up")
        self.assertEqual([event["fault"]["kind"] for event in other.events()], ["heartbeat_lost"])
        sink = next(sink for sink in self.get("/v1/status")["sinks"] if sink["name"] == "other")
        self.assertNotIn("failing_since", sink)
        self.assertNotIn("oldest_waiting", sink)


if __name__ == "__main__":
    unittest.main()
