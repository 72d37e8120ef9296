#!/usr/bin/python3
"""The sink alertmanager and two real Alertmanagers in a cluster: what they show, whom they notify, and what they lose."""

import json
from pathlib import Path
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from alertmanager import Alertmanager
from raw_guest import RawGuest
from suite import Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, http_metrics, wait_until
from vmbed.serving import HttpAnswer, HttpServing

GUEST = "0f8fad5b-d9cb-469f-a165-70867728950e"
INVENTORY = f"""
[group web-pair]
name = The web pair
project = red
[guest {GUEST}]
name = web-1
host = compute-1
group = web-pair
"""
# An alert that is not refreshed ends after this.
LIFETIME_SECONDS = 10


class Pager(HttpServing):
    """Whom Alertmanager notifies; `received`: status, alertname and instance of each alert."""

    def __init__(self):
        self.received = []
        super().__init__()

    def answer(self, request):
        for alert in json.loads(request.body)["alerts"]:
            labels = alert["labels"]
            self.received.append((alert["status"], labels["alertname"], labels.get("instance", labels["host"])))
        return HttpAnswer()


class Cluster(ProcessTestCase):
    def setUp(self):
        self.pager = self.enterContext(Pager())
        self.members = []
        for name in ("am-1", "am-2"):
            member = Alertmanager(self.dir / name, self.pager.base_url, self.members)
            self.addCleanup(member.kill)
            self.members.append(member)
        for member in self.members:
            wait_until(lambda: member.members() == 2, f"{member.address} sees both members")
        inspector = self.enterContext(Inspector())
        sinks = {}
        for number, member in enumerate(self.members, 1):
            sinks[f"sink__am{number}__type"] = "alertmanager"
            sinks[f"sink__am{number}__url"] = member.url
            sinks[f"sink__am{number}__reconcile_interval"] = "1 s"
            sinks[f"sink__am{number}__lifetime"] = f"{LIFETIME_SECONDS} s"
        self.controller = Controller(self.dir / "controller", inspector, **sinks)
        self.addCleanup(self.controller.close)
        self.controller.write_inventory(INVENTORY)
        self.agent = Agent(self.dir / "compute-1", "compute-1", self.controller)
        self.addCleanup(self.agent.close)
        self.guest = RawGuest(self.agent.channels, GUEST)
        self.addCleanup(self.guest.close)
        self.guest.register(name="raw")
        self.agent.wait_state(GUEST, "registered")

    def fall_silent(self):
        self.guest.answering = False
        self.agent.wait_state(GUEST, "lost")

    def recover(self):
        self.guest.answering = True
        self.agent.wait_state(GUEST, "registered")

    def wait_alert(self, member):
        (alert,) = wait_until(member.alerts, f"{member.address} has the alert")
        return alert

    def wait_no_alert(self, member):
        wait_until(lambda: not member.alerts(), f"{member.address} has no alert")

    def resent(self):
        """As lost, to both."""
        metrics = http_metrics(self.controller.http)
        return sum(value for name, value in metrics.items() if "sink_resent_total" in name)

    def test_a_fault_is_an_alert_at_both_and_pages_once(self):
        self.fall_silent()
        for member in self.members:
            alert = self.wait_alert(member)
            expected = {"alertname": "VitalwireHeartbeatLost", "source": "vitalwire", "severity": "critical",
                        "kind": "heartbeat_lost", "host": "compute-1", "instance": GUEST, "instance_id": GUEST,
                        "group": "The web pair", "project": "red"}
            self.assertEqual(alert["labels"], expected)
            for word in ("web-1", GUEST, "compute-1"):
                self.assertIn(word, member.amtool("alert"))
            self.assertNotIn("", alert["annotations"].values())
        paged = [("firing", "VitalwireHeartbeatLost", GUEST)]
        wait_until(lambda: self.pager.received, "the pager is notified")

        self.recover()
        for member in self.members:
            self.wait_no_alert(member)
        wait_until(lambda: len(self.pager.received) > 1, "the pager is notified of the end")
        self.assertEqual(self.pager.received, [*paged, ("resolved", *paged[0][1:])])

    def test_an_alert_lasts_as_long_as_its_fault(self):
        self.fall_silent()
        first = {member.url: self.wait_alert(member) for member in self.members}
        for member in self.members:
            # Beyond the end that it was given at first.
            wait_until(
                lambda: self.wait_alert(member)["endsAt"] > first[member.url]["endsAt"], "the alert is refreshed"
            )
            self.assertEqual(self.wait_alert(member)["startsAt"], first[member.url]["startsAt"])
        self.assertEqual(self.resent(), 0)

    def test_a_member_that_lost_everything_has_the_alert_again(self):
        self.fall_silent()
        first, second = self.members
        for member in self.members:
            self.wait_alert(member)
        second.kill()
        second.start()
        self.wait_alert(second)
        self.assertEqual(self.resent(), 1)
        self.recover()
        for member in self.members:
            self.wait_no_alert(member)

    def test_a_fault_that_ends_while_a_member_is_away_is_over_there_when_it_is_back(self):
        self.fall_silent()
        first, second = self.members
        for member in self.members:
            self.wait_alert(member)
        second.kill()
        self.recover()
        self.wait_no_alert(first)
        second.start()
        waiting = [sink for sink in self.controller.status()["sinks"] if sink["name"] == "am2"]
        self.assertTrue(waiting)
        wait_until(lambda: self.queued("am2") == 0, "the member has the end")
        self.assertEqual(second.alerts(), [])

    def queued(self, name):
        return next(sink["queued"] for sink in self.controller.status()["sinks"] if sink["name"] == name)

    def test_an_operator_silences_a_host_by_its_label(self):
        first, second = self.members
        first.amtool("silence", "add", "--comment=work", "--duration=1h", "host=compute-1")
        wait_until(lambda: "compute-1" in second.amtool("silence"), "both have the silence")
        self.fall_silent()
        for member in self.members:
            self.assertEqual(self.wait_alert(member)["status"]["state"], "suppressed")
        self.recover()
        for member in self.members:
            self.wait_no_alert(member)
        self.assertEqual(self.pager.received, [])


if __name__ == "__main__":
    unittest.main()
