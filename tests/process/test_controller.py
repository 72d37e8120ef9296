#!/usr/bin/python3
"""vitalwire-controller as a process: configuration, agents, sinks, restarts, secrets."""

from pathlib import Path
import signal
import socket
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from controller_case import CONTROLLER, ControllerTestCase
from vmbed.procs import Daemon, http_metrics, http_request, wait_until


class Configuration(ControllerTestCase):
    def check(self, *arguments):
        return subprocess.run([CONTROLLER, *arguments], capture_output=True, text=True, timeout=60)

    def test_reports_all_mistakes_with_their_lines_and_does_not_start(self):
        (self.dir / "bad.conf").write_text("[controller]\nlog_level = loud\n[bus]\nlisten = tcp://10.0.0.1:1\n"
                                           "[sink a]\ntype = pager\n[sink b]\ntype = doctor\nurl = x\ntypo = 1\n")
        for arguments in ([], ["--check-config"]):
            done = self.check("--config", self.dir / "bad.conf", *arguments)
            self.assertEqual(done.returncode, 2)
            found = [line.split("bad.conf:")[1].split(":")[0] for line in done.stderr.splitlines()]
            self.assertEqual(found, ["2", "4", "6", "9", "10"], done.stderr)

    def test_a_good_file_passes_the_check(self):
        self.assertEqual(self.check("--check-config", "--config", self.dir / "controller.conf").returncode, 0)

    def test_a_file_that_is_not_there_is_named(self):
        done = self.check("--config", "/nonexistent/x.conf")
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nonexistent/x.conf: cannot read", done.stderr)

    def test_a_second_controller_on_the_same_state_waits_for_it(self):
        self.start_controller()
        second = Daemon([CONTROLLER, "--config", self.dir / "controller.conf"], self.dir / "second.log")
        self.addCleanup(second.kill)
        waiting = "controller.db: another process uses this file"
        wait_until(lambda: waiting in second.log.read_text(), "the second one says what it waits for")
        self.assertEqual(second.stop(), 1)

    def test_the_check_finds_what_the_start_would(self):
        bus = f"[bus]\nlisten = unix://{self.dir}/bus\n"
        state = f"[controller]\nstate = {self.dir}/checked.db\n"
        sink = "[sink s]\ntype = webhook\n"
        for text, found in (
            (state + bus + "[http]\nlisten = localhost:8990\n", "[http] listen: expected an IP address"),
            (state + "[bus]\nlisten = tcp://localhost:8991\n", "[bus] listen: expected an IP address"),
            (state + bus + "[http]\nlisten = unix:nowhere\n", "[http] listen: expected unix:/path"),
            (state + bus + sink + "url = http://127.0.0.1:99999/\n", "[sink s] url: expected host:port"),
            (state + bus + sink + "url = https://127.0.0.1/\nca_file = /nowhere.pem\n", "/nowhere.pem: cannot read"),
            (bus + "[controller]\nstate = /proc/nowhere/controller.db\n", "[controller] state: /proc/nowhere: expected a folder"),
        ):
            with self.subTest(found):
                (self.dir / "checked.conf").write_text(text)
                done = self.check("--check-config", "--config", self.dir / "checked.conf")
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(found, done.stderr)

    def test_ends_in_order_when_asked(self):
        self.start_controller()
        self.assertEqual(self.controller.stop(), 0)


class Delivery(ControllerTestCase):
    def test_a_fault_goes_from_the_agent_to_the_inspector_and_back_as_delivered(self):
        self.start_controller()
        agent = self.start_agent()
        fault = agent.open("vm-1")
        agent.await_delivered(fault)
        agent.clear(fault)
        agent.await_delivered(fault)
        self.assertEqual(self.told(fault), ["down", "up"])
        self.assertEqual([r.method for r in self.inspector.requests], ["PUT", "PUT"])
        self.assertEqual(self.get("/v1/faults"), {"faults": []})
        self.assertEqual(http_request(self.dir / "http", "/v1/faults?all=1")[0], 200)
        metrics = http_metrics(self.dir / "http")
        self.assertEqual(metrics['vitalwire_controller_faults_opened_total{kind="heartbeat_lost"}'], 1)
        self.assertEqual(metrics['vitalwire_controller_sink_delivered_total{event="cleared",sink="inspector"}'], 1)

    def test_what_came_and_went_while_the_inspector_was_away_is_told_in_order(self):
        self.start_controller()
        agent = self.start_agent()
        for away in (self.inspector.refuse, self.inspector.hang, self.inspector.down):
            with self.subTest(away=away.__name__):
                away()
                first = agent.open("vm-1")
                agent.clear(first)
                second = agent.open("vm-1")
                wait_until(lambda: self.get("/v1/status")["sinks"][0]["failed_attempts"] >= 2, "it is tried again")
                self.assertFalse(self.get("/v1/status")["healthy"])
                self.inspector.up()
                agent.await_delivered(second)
                agent.await_delivered(first)
                self.assertEqual((self.told(first), self.told(second)), (["down", "up"], ["down"]))
                agent.clear(second)
                agent.await_delivered(second)
                wait_until(lambda: self.get("/v1/status")["healthy"], "all is well")

    def test_nothing_is_lost_when_the_controller_is_killed_at_any_step(self):
        self.start_controller()
        agent = self.start_agent()
        for round_ in range(5):
            faults = [agent.open(f"vm-{i}") for i in range(20)]
            if round_ % 2:
                wait_until(lambda: self.told(faults[0]), "one has arrived")
            self.controller.kill()
            for fault in faults[::2]:
                agent.clear(fault)
            self.start_controller()
            for fault in faults[1::2]:
                agent.clear(fault)
            for fault in faults:
                agent.await_delivered(fault)
                self.assertEqual(self.told(fault), ["down", "up"])

    def test_a_restart_repeats_nothing(self):
        self.start_controller()
        agent = self.start_agent()
        fault = agent.open("vm-1")
        agent.await_delivered(fault)
        self.controller.stop()
        agent.delivered.clear()
        self.start_controller()
        agent.await_delivered(fault)
        self.assertEqual(len(self.inspector.events()), 1)
        agent.clear(fault)
        self.await_told(fault, "down", "up")

    def test_faults_stay_when_the_agent_is_gone(self):
        self.start_controller()
        agent = self.start_agent()
        fault = agent.open("vm-1")
        agent.await_delivered(fault)
        agent.close()
        wait_until(lambda: not self.get("/v1/agents")["agents"][0]["connected"], "the agent is gone")
        self.assertEqual([f["id"] for f in self.get("/v1/faults")["faults"]], [fault])
        self.assertEqual(self.told(fault), ["down"])


class BadInput(ControllerTestCase):
    def test_garbage_on_the_bus_ends_that_connection_and_disturbs_nobody(self):
        self.start_controller()
        agent, other = self.start_agent(), self.start_agent("compute-2")
        for garbage in (b"\xff\xfe\x00\n", b"{}\n", b'{"type":"faults","faults":[{"id":"../../x"}]}\n',
                        b"[" * 100000 + b"\n", b"x" * (2 << 20)):
            try:
                other.send_bytes(garbage)
            except OSError:
                pass  # cut off while it was still sending
            fault = agent.open("vm-1")
            agent.await_delivered(fault)
            agent.clear(fault)
            agent.await_delivered(fault)
            wait_until(lambda: self.get("/v1/status")["agents"]["connected"] == 2, "the other one is back")

    def test_a_connection_that_says_nothing_is_ended(self):
        self.start_controller()
        silent = socket.socket(socket.AF_UNIX)
        self.addCleanup(silent.close)
        silent.connect(str(self.dir / "bus"))
        silent.settimeout(30)
        while silent.recv(4096):
            pass

    def test_a_broken_inventory_is_named_and_the_last_good_one_counts(self):
        (self.dir / "inventory.conf").write_text("[guest vm-1]\nname = web\nhost = compute-1\n")
        self.start_controller()
        self.assertEqual(self.get("/v1/guests")["guests"][0]["display_name"], "web")
        (self.dir / "inventory.conf").write_text("[guest vm-1]\nname = web\nhots = compute-1\n")
        wait_until(lambda: self.get("/v1/status")["problems"], "the problem is shown")
        self.assertIn("inventory.conf:3: [guest vm-1] hots", self.get("/v1/status")["problems"][0]["detail"])
        self.assertEqual(self.get("/v1/guests")["guests"][0]["display_name"], "web")
        (self.dir / "inventory.conf").write_text("[guest vm-1]\nname = db\n")
        wait_until(lambda: self.get("/v1/guests")["guests"][0]["display_name"] == "db", "it is read again")
        self.assertTrue(self.get("/v1/status")["healthy"])


class Secrets(ControllerTestCase):
    def test_they_reach_the_receiver_and_nothing_else(self):
        (self.dir / "token").write_text("Bearer s3cr3t-token\n")
        self.configure(f"secret_file = {self.dir}/token\nuser = u\npassword_env = VW_TEST_PASSWORD\n"
                       "secret_header = X-Token\n")
        argv = [CONTROLLER, "--config", self.dir / "controller.conf", "--set", "controller.log_level=debug"]
        environment = {"VW_TEST_PASSWORD": "s3cr3t-password"}
        self.controller = self.start(Daemon(argv, self.dir / "controller.log", environment)).wait_ready()
        agent = self.start_agent()
        self.inspector.refuse()
        fault = agent.open("vm-1")
        wait_until(lambda: self.get("/v1/status")["sinks"][0]["failed_attempts"] >= 1, "an attempt has failed")
        pages = [http_request(self.dir / "http", path)[1]
                 for path in ("/v1/status", "/v1/faults", "/metrics", "/v1/agents")]
        self.inspector.accept()
        agent.await_delivered(fault)
        self.controller.signal(signal.SIGHUP)
        self.controller.stop()
        headers = self.inspector.requests[-1].headers
        self.assertEqual(headers["X-Token"], "Bearer s3cr3t-token")
        self.assertTrue(headers["Authorization"].startswith("Basic "))
        for text in [*pages, (self.dir / "controller.log").read_bytes(), (self.dir / "controller.db").read_bytes()]:
            self.assertNotIn(b"s3cr3t", text)


if __name__ == "__main__":
    unittest.main()
