#!/usr/bin/python3
"""Tacker's Server Notifier: two controllers, and a Tacker that registers its servers and checks what it is told."""

import json
from pathlib import Path
import re
import sys
import unittest
import uuid

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from controller_case import CONTROLLER, ControllerTestCase, ScriptedAgent
from vmbed.procs import Daemon, free_port, http_json, http_request, wait_until
from vmbed.serving import HttpAnswer, HttpRequest, HttpServing

TENANT = "3f0c5c0d8a3b4d0f"
TOKEN = "s3cret-in-the-uri"
FAULT_IDS = ["1111", "1234"]
FAULT_TYPES = {"10", "11", "20", "21"}
NOTIFY = re.compile(r"/server_notification/vnf_instances/[0-9a-f-]{36}/servers/([0-9a-f-]{36})/notify")


class Tacker(HttpServing):
    """Takes a notification as Tacker's API does: 204, or 400 for what does not match what it has registered.

    healed   (server, fault id) of each notification that it took
    refused  what was wrong with the others
    off      the interface is switched off in its configuration: 404
    """

    def __init__(self):
        self.healed = []
        self.refused = []
        self.off = False
        self.alarms = {}  # server: alarm id
        self._vnf = uuid.uuid4()
        super().__init__()

    def fault_action(self, server):
        return f"{self.base_url}/server_notification/vnf_instances/{self._vnf}/servers/{server}/notify"

    def answer(self, request: HttpRequest) -> HttpAnswer:
        if self.off:
            return HttpAnswer(404)
        try:
            server, notification = self._read(request)
            self._check(server, notification)
        except (AssertionError, KeyError, ValueError) as wrong:
            self.refused.append(repr(wrong))
            return HttpAnswer(400)
        self.healed.append((server, notification["fault_id"]))
        return HttpAnswer(204)

    def _read(self, request):
        match = NOTIFY.fullmatch(request.path)
        assert request.method == "POST" and match, request
        assert request.headers["Content-Type"] == "application/json", request.headers
        body = json.loads(request.body)
        assert set(body) == {"notification"}, body
        return match[1], body["notification"]

    def _check(self, server, notification):
        assert set(notification) == {"host_id", "alarm_id", "fault_id", "fault_type", "fault_option"}, notification
        assert notification["host_id"] == "compute-1", notification
        assert notification["alarm_id"] == self.alarms[server], notification
        assert notification["fault_id"] in FAULT_IDS, notification
        assert notification["fault_type"] in FAULT_TYPES, notification
        assert set(notification["fault_option"]) == {"message"} and notification["fault_option"]["message"], notification


class ServerNotifier(ControllerTestCase):
    """Controllers a and b know of each other; the agent names the one lead that the test says."""

    def setUp(self):
        super().setUp()
        self.tacker = self.enterContext(Tacker())
        (self.dir / "token").write_text(TOKEN + "\n")
        (self.dir / "inventory.conf").touch()
        self.ports = {name: free_port() for name in "ab"}
        self.daemons = {}
        for name in "ab":
            self.start_one(name)

    def start_one(self, name):
        other = self.ports["b" if name == "a" else "a"]
        home = self.dir / name
        home.mkdir(exist_ok=True)
        (home / "controller.conf").write_text(
            f"[controller]\nhost = {name}\nstate = {home}/controller.db\n[bus]\nlisten = unix://{home}/bus\n"
            f"[http]\nlisten = unix:{home}/http\n[inventory]\nfile = {self.dir}/inventory.conf\n"
            f"[sink vnfm]\ntype = tacker\nlisten = 127.0.0.1:{self.ports[name]}\ntoken_file = {self.dir}/token\n"
            f"peers = http://127.0.0.1:{other}\nsync = 200 ms\ntimeout = 500 ms\nlongest_backoff = 500 ms\n")
        argv = [CONTROLLER, "--config", home / "controller.conf"]
        self.daemons[name] = self.start(Daemon(argv, home / "controller.log")).wait_ready()

    def agent_of(self, name):
        agent = ScriptedAgent(self.dir / name / "bus")
        self.addCleanup(agent.close)
        wait_until(lambda: http_json(self.dir / name / "http", "/v1/agents")["agents"], "the agent is connected")
        return agent

    def ask(self, name, method, path, body=None, token="/" + TOKEN):
        address = f"127.0.0.1:{self.ports[name]}"
        return http_request(address, token + path, method=method, body=json.dumps(body).encode() if body else None)

    def register(self, name, server):
        status, body = self.ask(name, "POST", f"/v2/{TENANT}/servers/{server}/alarms",
                                {"fault_action": self.tacker.fault_action(server), "fault_id": FAULT_IDS})
        self.assertEqual(status, 201, body)
        self.tacker.alarms[server] = json.loads(body)["alarm_id"]

    def unregister(self, name, server):
        path = f"/v2/{TENANT}/servers/{server}/alarms/{self.tacker.alarms[server]}"
        self.assertEqual(self.ask(name, "DELETE", path)[0], 204)

    def test_a_server_is_healed_whichever_controller_it_was_registered_at(self):
        agent = self.agent_of("b")
        server = str(uuid.uuid4())
        self.register("a", server)
        agent.await_delivered(agent.open(server))
        self.assertEqual((self.tacker.healed, self.tacker.refused), ([(server, "1234")], []))

    def test_a_fault_that_was_there_before_the_registration_is_told_then(self):
        agent = self.agent_of("b")
        server = str(uuid.uuid4())
        agent.await_delivered(agent.open(server))
        self.assertEqual(self.tacker.healed, [])
        self.register("a", server)
        wait_until(lambda: self.tacker.healed == [(server, "1234")], "Tacker is told")

    def test_after_the_end_of_its_registration_a_server_is_not_told_of(self):
        agent = self.agent_of("b")
        kept, removed = str(uuid.uuid4()), str(uuid.uuid4())
        for server in (kept, removed):
            self.register("a", server)
        self.unregister("b", removed)
        for server in (kept, removed):
            agent.await_delivered(agent.open(server))
        self.assertEqual((self.tacker.healed, self.tacker.refused), ([(kept, "1234")], []))

    def test_registrations_survive_that_one_controller_is_killed_and_another_was_away(self):
        kept, removed = str(uuid.uuid4()), str(uuid.uuid4())
        for server in (kept, removed):
            self.register("a", server)
        self.daemons["b"].kill()
        late = str(uuid.uuid4())
        self.register("a", late)
        self.unregister("a", removed)
        self.daemons["a"].kill()
        self.start_one("a")
        self.start_one("b")
        agent = self.agent_of("b")
        faults = [agent.open(server) for server in (kept, removed, late)]
        for fault in faults:
            agent.await_delivered(fault)
        wait_until(lambda: sorted(self.tacker.healed) == sorted([(kept, "1234"), (late, "1234")]), "Tacker is told")
        self.assertEqual(self.tacker.refused, [])

    def test_a_tacker_that_does_not_take_it_is_told_again(self):
        agent = self.agent_of("a")
        server = str(uuid.uuid4())
        self.register("a", server)
        self.tacker.off = True
        fault = agent.open(server)
        sink = lambda: http_json(self.dir / "a" / "http", "/v1/status")["sinks"][0]
        wait_until(lambda: sink()["failed_attempts"] >= 2, "it is tried again")
        self.assertIn("HTTP 404", sink()["last_error"])
        self.tacker.off = False
        agent.await_delivered(fault)
        self.assertEqual(self.tacker.healed, [(server, "1234")])

    def test_who_does_not_know_the_token_is_not_heard_and_it_is_in_no_log(self):
        server = str(uuid.uuid4())
        path = f"/v2/{TENANT}/servers/{server}/alarms"
        body = {"fault_action": self.tacker.fault_action(server), "fault_id": FAULT_IDS}
        for token in ("", "/guess"):
            self.assertEqual(self.ask("a", "POST", path, body, token)[0], 404)
        self.daemons["b"].kill()
        wait_until(lambda: http_json(self.dir / "a" / "http", "/v1/status")["problems"], "the peer is missed")
        status = http_request(self.dir / "a" / "http", "/v1/status")[1]
        self.assertNotIn(TOKEN.encode(), status)
        self.assertNotIn(TOKEN.encode(), (self.dir / "a" / "controller.log").read_bytes())


if __name__ == "__main__":
    unittest.main()
