#!/usr/bin/python3
"""vitalwire-controller as a process: configuration, agents, sinks, restarts, secrets."""

import itertools
import json
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import threading
import unittest
import uuid

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from vmbed.inspector import Inspector
from vmbed.procs import Daemon, ProcessTestCase, http_json, http_metrics, http_request, wait_until

BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))
CONTROLLER = BUILD / "controller" / "vitalwire-controller"
OPENED = "2026-11-22T06:05:08.123456Z"


class Agent:
    """The agent's end of the bus, played by the test; connects again whenever it is cut off, and tells its faults."""

    def __init__(self, path, host="compute-1", lead=True):
        self.faults = {}
        self.delivered = {}
        self._path, self._host, self._lead = str(path), host, lead
        self._lock = threading.Lock()
        self._socket = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._ended.set()
        self._thread.join()

    def open(self, guest, kind="heartbeat_lost"):
        fault = {"id": str(uuid.uuid4()), "guest": guest, "kind": kind, "detail": "silent", "revision": 1,
                 "opened_at": OPENED, "updated_at": OPENED}
        self._tell(fault)
        return fault["id"]

    def clear(self, fault_id):
        fault = self.faults[fault_id]
        self._tell({**fault, "revision": fault["revision"] + 1, "cleared_at": OPENED, "clear_reason": "recovered"})

    def send_bytes(self, data):
        with self._lock:
            self._socket.sendall(data)

    def await_delivered(self, fault_id):
        wait_until(lambda: self.delivered.get(fault_id) == self.faults[fault_id]["revision"], "the agent is told so")

    def _tell(self, fault):
        with self._lock:
            self.faults[fault["id"]] = fault
            self._send(type="faults", faults=[fault])

    def _send(self, **message):
        try:
            if self._socket:
                self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the next connection tells everything

    def _run(self):
        while not self._ended.is_set():
            link = socket.socket(socket.AF_UNIX)
            try:
                link.connect(self._path)
                self._talk(link)
            except OSError:
                self._ended.wait(0.05)
            finally:
                with self._lock:
                    self._socket = None
                link.close()

    def _talk(self, link):
        with self._lock:
            self._socket = link
            self._send(type="hello", version=1, host=self._host, agent_version="test", instance="1", lead=self._lead)
            self._send(type="state_begin")
            self._send(type="faults", faults=list(self.faults.values()))
            self._send(type="state_end")
        buffer = b""
        link.settimeout(0.3)
        while not self._ended.is_set():
            try:
                data = link.recv(65536)
            except TimeoutError:
                with self._lock:
                    self._send(type="ping")
                continue
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for message in map(json.loads, lines):
                for item in message.get("items", []):
                    self.delivered[item["fault"]] = item["revision"]


class ControllerTest(ProcessTestCase):
    def setUp(self):
        self.inspector = self.enterContext(Inspector())
        self.configure()

    def configure(self, more=""):
        (self.dir / "inventory.conf").touch()
        (self.dir / "controller.conf").write_text(
            f"[controller]\nhost = ctl\nstate = {self.dir}/controller.db\n[bus]\nlisten = unix://{self.dir}/bus\n"
            f"[http]\nlisten = unix:{self.dir}/http\n[inventory]\nfile = {self.dir}/inventory.conf\n"
            f"[sink inspector]\ntype = doctor\nurl = http://{self.inspector.address}/events\ntimeout = 500 ms\n"
            f"longest_backoff = 500 ms\n{more}")

    def start_controller(self):
        argv = [CONTROLLER, "--config", self.dir / "controller.conf"]
        self.controller = self.start(Daemon(argv, self.dir / "controller.log")).wait_ready()

    def start_agent(self, host="compute-1"):
        agent = Agent(self.dir / "bus", host)
        self.addCleanup(agent.close)
        wait_until(lambda: host in [a["host"] for a in self.get("/v1/agents")["agents"] if a["connected"]],
                   "the agent is connected")
        return agent

    def get(self, path):
        return http_json(self.dir / "http", path)

    def told(self, fault_id):
        """What the inspector has accepted of that fault, without repetitions: they are allowed after a kill."""
        details = [event["details"] for event in self.inspector.events()]
        return [status for status, _ in itertools.groupby(d["status"] for d in details if d["fault_id"] == fault_id)]

    def await_told(self, fault_id, *statuses):
        wait_until(lambda: self.told(fault_id) == list(statuses), f"the inspector is told {statuses}")


class Configuration(ControllerTest):
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

    def test_a_second_controller_on_the_same_state_does_not_start(self):
        self.start_controller()
        done = self.check("--config", self.dir / "controller.conf")
        self.assertEqual(done.returncode, 1)
        self.assertIn("controller.db", done.stderr)

    def test_ends_in_order_when_asked(self):
        self.start_controller()
        self.assertEqual(self.controller.stop(), 0)


class Delivery(ControllerTest):
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


class BadInput(ControllerTest):
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


class Secrets(ControllerTest):
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
