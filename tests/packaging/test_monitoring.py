#!/usr/bin/python3
"""The rules, the dashboard and the example of docs/monitoring: promtool accepts them, and every metric exists."""

import json
from pathlib import Path
import re
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from suite import Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, http_request, wait_until

FOLDER = ROOT / "docs" / "monitoring"
METRIC = re.compile(r"\bvitalwire_[a-z_]+\b")


def promtool(*arguments: str, cwd: Path = FOLDER) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode:
        raise AssertionError(done.stdout)
    return done.stdout


class Rules(unittest.TestCase):
    def test_promtool_runs_their_tests(self) -> None:
        self.assertIn("SUCCESS", promtool("test", "rules", "vitalwire.rules.test.yaml"))

    def test_every_alert_is_tested_both_ways(self) -> None:
        alerts = re.findall(r"alert: (\w+)", (FOLDER / "vitalwire.rules.yaml").read_text())
        tests = (FOLDER / "vitalwire.rules.test.yaml").read_text()
        self.assertTrue(alerts)
        for alert in alerts:
            self.assertRegex(tests, rf"alertname: {alert}\b")

    def test_runbooks_exist(self) -> None:
        pages = re.findall(r"runbook_url: file:///usr/share/doc/vitalwire/(\S+)", (FOLDER / "vitalwire.rules.yaml").read_text())
        self.assertTrue(pages)
        for page in pages:
            self.assertTrue((ROOT / "docs" / page).exists(), page)


class Metrics(ProcessTestCase):
    """Against what a controller with every kind of sink that needs no receiver, and an agent, expose."""

    def setUp(self) -> None:
        inspector = self.enterContext(Inspector())
        self.controller = Controller(self.dir / "controller", inspector)
        self.addCleanup(self.controller.close)
        self.agent = Agent(self.dir / "compute-1", "compute-1", self.controller)
        self.addCleanup(self.agent.close)
        wait_until(lambda: "vitalwire_controller_guests" in self.page(self.controller.http), "the controller's metrics")

    def page(self, socket: Path) -> str:
        return http_request(socket, "/metrics")[1].decode()

    def test_what_is_queried_exists(self) -> None:
        exposed = self.page(self.controller.http) + self.page(self.agent.http)
        # Registered with the source of the inventory, which is a file here.
        exposed += (ROOT / "controller" / "openstack" / "nova_inventory.cpp").read_text()
        known = set(METRIC.findall(exposed))
        for file in ("vitalwire.rules.yaml", "vitalwire-dashboard.json"):
            queried = set(METRIC.findall((FOLDER / file).read_text()))
            self.assertTrue(queried)
            self.assertEqual(queried - known, set(), file)

    def test_promtool_accepts_the_exposition(self) -> None:
        for socket in (self.controller.http, self.agent.http):
            checked = subprocess.run(["promtool", "check", "metrics"], input=self.page(socket), capture_output=True,
                                     text=True, check=False)
            # Status 3: only advice about names.
            self.assertIn(checked.returncode, (0, 3), checked.stderr)
            self.assertNotIn("error", checked.stderr)

    def test_the_dashboard_is_one(self) -> None:
        dashboard = json.loads((FOLDER / "vitalwire-dashboard.json").read_text())
        for panel in dashboard["panels"]:
            self.assertTrue(panel["targets"], panel["title"])


if __name__ == "__main__":
    unittest.main()
