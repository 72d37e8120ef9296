#!/usr/bin/python3
"""The rules, the dashboard and the example of docs/monitoring: promtool accepts them, and every metric exists."""

import json
from pathlib import Path
import re
import shutil
import subprocess
import sys
import time
from typing import Any
import unittest
import urllib.error
import urllib.parse
import urllib.request

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from raw_guest import RawGuest
from suite import Agent, Controller, fault_event
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, free_port, http_metrics, http_request, wait_until

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

    def test_what_runs_and_how_it_is_are_gauges(self) -> None:
        for program, socket in (("controller", self.controller.http), ("agent", self.agent.http)):
            page = self.page(socket)
            self.assertRegex(page, rf'(?m)^vitalwire_{program}_build_info\{{version="\d+\.\d+\.\d+[^"]*"\}} 1$')
            self.assertRegex(page, rf"(?m)^vitalwire_{program}_problems \d")
        self.assertLess(http_metrics(self.controller.http)["vitalwire_controller_inventory_age_seconds"], 1)

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


PROMETHEUS = """
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: vitalwire-controller
    static_configs: [{{targets: ["{controller}"]}}]
  - job_name: vitalwire-agent
    static_configs: [{{targets: ["{agent}"]}}]
"""


@unittest.skipUnless(shutil.which("prometheus"), "needs the package prometheus")
class Dashboard(ProcessTestCase):
    """Its queries as Grafana sends them, to a real Prometheus that scrapes a real controller and agent."""

    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(3)]
        controller_page, agent_page, self.address = addresses
        listen = f"unix:{self.dir}/controller/http.sock {controller_page}"
        self.controller = Controller(self.dir / "controller", self.inspector, http__listen=listen)
        self.addCleanup(self.controller.close)
        self.agent = Agent(self.dir / "compute-1", "compute-1", self.controller, metrics__listen=agent_page)
        self.addCleanup(self.agent.close)
        configuration = self.dir / "prometheus.yml"
        rules = FOLDER / "vitalwire.rules.yaml"
        configuration.write_text(PROMETHEUS.format(rules=rules, controller=controller_page, agent=agent_page))
        argv = ["setpriv", "--pdeathsig", "KILL", "prometheus", f"--config.file={configuration}",
                f"--storage.tsdb.path={self.dir}/tsdb", f"--web.listen-address={self.address}"]
        with (self.dir / "prometheus.log").open("w") as log:
            prometheus = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self.addCleanup(prometheus.wait)
        self.addCleanup(prometheus.kill)
        wait_until(lambda: len(self.asked("query", query="up == 1")) == 2, "Prometheus scrapes both")

    def asked(self, page: str, **arguments: str) -> list[Any]:
        """The series of the answer; none while Prometheus does not answer yet."""
        address = f"http://{self.address}/api/v1/{page}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return []
            raise AssertionError(f"{arguments}: {error.read().decode()}") from error
        except urllib.error.URLError:
            return []

    def let_something_happen(self) -> None:
        """A guest that is watched, lost, and well again."""
        guest = RawGuest(self.agent.channels, "vm-1")
        self.addCleanup(guest.close)
        guest.register()
        self.agent.wait_beats("vm-1")
        guest.answering = False
        self.inspector.wait_event(fault_event("vm-1", "heartbeat_lost", "down"), "the fault")

    def test_every_query_has_an_answer_with_data(self) -> None:
        self.let_something_happen()
        panels = json.loads((FOLDER / "vitalwire-dashboard.json").read_text())["panels"]
        self.assertGreater(len(panels), 8)
        for panel in panels:
            for target in panel["targets"]:
                query = target["expr"]
                wait_until(lambda: self.drawn(query), f"{panel['title']}: {query} has data")  # noqa: B023

    def drawn(self, query: str) -> bool:
        """A line of points that are numbers, as the panel draws it, with the labels by which it tells lines apart."""
        labels = [label.strip() for found in re.findall(r"by \(([^)]+)\)", query) for label in found.split(",")]
        now = time.time()
        series = self.asked("query_range", query=query, start=str(now - 10), end=str(now), step="1")
        if "histogram_quantile" in query:
            labels.remove("le")
        for each in series:
            self.assertEqual([label for label in labels if label not in each["metric"]], [], query)
        return any(value != "NaN" for each in series for _, value in each["values"])

    def test_what_is_open_is_what_the_controller_has_open(self) -> None:
        self.let_something_happen()
        query = 'vitalwire_controller_faults_open{kind="heartbeat_lost"}'
        wait_until(lambda: [each["value"][1] for each in self.asked("query", query=query)] == ["1"], "one open fault")

    def test_an_alert_fires_when_an_agent_is_away(self) -> None:
        self.agent.daemon.kill()

        def pending() -> bool:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/alerts", timeout=10) as answer:
                return bool(json.load(answer)["data"]["alerts"])

        wait_until(pending, "an alert of the rules is pending or fires")


if __name__ == "__main__":
    unittest.main()
