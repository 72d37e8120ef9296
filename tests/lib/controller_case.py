"""vitalwire-controller as a process, with agents that the test plays and receivers that it asks."""

from datetime import datetime, timezone
import itertools
import json
import os
from pathlib import Path
import socket
import threading
import uuid

from vmbed.inspector import Inspector
from vmbed.procs import Daemon, ProcessTestCase, http_json, wait_until

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))
CONTROLLER = BUILD / "controller" / "vitalwire-controller"
GUESTS_IN_A_MESSAGE = 500


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class ScriptedAgent:
    """The agent's end of the bus, played by the test; connects again whenever it is cut off, and tells its faults."""

    def __init__(self, path, host="compute-1", lead=True, guests=()):
        self.faults = {}
        self._guests = guests
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
                 "opened_at": now(), "updated_at": now()}
        self._tell(fault)
        return fault["id"]

    def clear(self, fault_id):
        fault = self.faults[fault_id]
        self._tell({**fault, "revision": fault["revision"] + 1, "cleared_at": now(), "clear_reason": "recovered"})

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
            for begin in range(0, len(self._guests), GUESTS_IN_A_MESSAGE):
                self._send(type="guests", guests=self._guests[begin:begin + GUESTS_IN_A_MESSAGE])
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


class ControllerTestCase(ProcessTestCase):
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
        agent = ScriptedAgent(self.dir / "bus", host)
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
