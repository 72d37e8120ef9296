#!/usr/bin/python3
"""Nova's notifications at a real RabbitMQ, and a played Keystone and Nova: what the broker does without a word to anybody."""

import json
import os
from pathlib import Path
import sys
import time
import unittest
import uuid

import amqp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from controller_case import CONTROLLER
from message_broker import Broker
from vmbed.procs import Daemon, ProcessTestCase, http_json, temporary_dir, wait_until
from vmbed.serving import HttpAnswer, HttpServing

LISTENER = "notified"
# As the operator's guide has them.
LISTENER_RIGHTS = (r"^vitalwire\..*", r"^vitalwire\..*", r"^(nova|vitalwire\..*)$")
SERVER = "0f8fad5b-d9cb-469f-a165-70867728950e"
CONFIGURATION = """
[controller]
host = {host}
state = {dir}/controller.db
[bus]
listen = unix://{dir}/bus
[http]
listen = unix:{dir}/http
[inventory]
type = nova
poll_interval = 1 h
full_poll_interval = 1 h
[openstack]
auth_url = {cloud}/v3
username = vitalwire
password_file = {dir}/password
project_name = service
[notifications]
url = {broker}
password_file = {dir}/password
"""


class PlayedCloud(HttpServing):
    """Keystone, and Nova with one server, which is active."""

    def answer(self, request):
        path = request.path.split("?")[0]
        answers = {
            "/v3/auth/tokens": (201, {"token": {"catalog": [{"type": "compute", "endpoints": [
                {"interface": "public", "region_id": "one", "url": f"{self.base_url}/v2.1"}]}]}}),
            "/v2.1/": (200, {"version": {"version": "2.90"}}),
            "/v2.1/servers/detail": (200, {"servers": [self.server()]}),
            f"/v2.1/servers/{SERVER}": (200, {"server": self.server()}),
            "/v2.1/os-server-groups": (200, {"server_groups": []}),
        }
        status, body = answers.get(path, (404, {"itemNotFound": {"message": path}}))
        return HttpAnswer(status, {"X-Subject-Token": "token"}, json.dumps(body).encode())

    def server(self):
        return {"id": SERVER, "name": "vm", "OS-EXT-STS:vm_state": "active", "OS-EXT-SRV-ATTR:host": "compute-1",
                "updated": "2026-11-30T10:00:00Z", "flavor": {"original_name": "small", "extra_specs": {}}}


def setUpModule() -> None:
    global broker
    folder = unittest.enterModuleContext(temporary_dir())
    users = {LISTENER: LISTENER_RIGHTS, "nova": (".*", ".*", ".*")}
    broker = unittest.enterModuleContext(Broker(folder / "broker", users))


class NovaNotifications(ProcessTestCase):
    def setUp(self) -> None:
        connection = amqp.Connection(f"127.0.0.1:{broker.port}", "nova", "secret")
        connection.connect()
        self.addCleanup(connection.close)
        self.nova = connection.channel()
        self.declare_exchange()
        cloud = self.enterContext(PlayedCloud())
        (self.dir / "password").write_text("secret\n")
        (self.dir / "password").chmod(0o600)
        self.host = f"ctl-{uuid.uuid4().hex[:8]}"  # its queue outlives it
        text = CONFIGURATION.format(host=self.host, dir=self.dir, cloud=cloud.base_url, broker=broker.url(LISTENER))
        (self.dir / "controller.conf").write_text(text)
        without = [word for name in os.environ if name.startswith("OS_") for word in ("-u", name)]
        argv = ["env", *without, CONTROLLER, "--config", self.dir / "controller.conf"]
        daemon = Daemon(argv, self.dir / "controller.log").wait_ready()
        self.addCleanup(daemon.kill)
        wait_until(lambda: self.state() == "active", "the inventory is read")
        self.until_notified("paused")

    def declare_exchange(self) -> None:
        self.nova.exchange_declare("nova", "topic", durable=False, auto_delete=False)

    def until_notified(self, state: str) -> None:
        def is_notified() -> bool:
            self.notify(state, time.time())
            return self.state() == state

        wait_until(is_notified, f"the controller is notified that the server is {state}", pause=0.2)

    def notify(self, state: str, at: float) -> None:
        server = {"uuid": SERVER, "display_name": "vm", "host": "compute-1", "state": state,
                  "flavor": {"nova_object.data": {"name": "small", "extra_specs": {}}}}
        message = {"message_id": str(uuid.uuid4()), "publisher_id": "nova-compute:compute-1",
                   "event_type": "instance.update", "payload": {"nova_object.data": server},
                   "timestamp": time.strftime("%Y-%m-%d %H:%M:%S.999999", time.gmtime(at))}
        self.nova.basic_publish(amqp.Message(json.dumps(message)), "nova", "versioned_notifications.info")

    def state(self) -> str:
        guests = http_json(self.dir / "http", "/v1/guests")["guests"]
        return next((guest["cloud_state"] for guest in guests if guest["guest"] == SERVER), "")

    def test_an_exchange_that_nova_declares_again_is_bound_again(self) -> None:
        self.nova.exchange_delete("nova")
        self.declare_exchange()
        self.until_notified("stopped")

    def test_a_binding_that_somebody_removes_comes_back(self) -> None:
        self.nova.queue_unbind(f"vitalwire.notifications.{self.host}", "nova", "versioned_notifications.*")
        self.until_notified("stopped")

    def problems(self) -> dict[str, str]:
        return {each["what"]: each["detail"] for each in http_json(self.dir / "http", "/v1/status")["problems"]}

    def test_another_reader_of_the_queue_is_a_problem(self) -> None:
        shared, queue = "others read the queue of Nova's notifications", f"vitalwire.notifications.{self.host}"
        tag = self.nova.basic_consume(queue, callback=lambda message: None, no_ack=True)
        wait_until(lambda: shared in self.problems(), "the controller sees the other one", 30)
        self.assertEqual(self.problems()[shared], f"queue {queue} has 2 readers, and each gets a part")
        self.nova.basic_cancel(tag)
        wait_until(lambda: shared not in self.problems(), "it is alone", 30)

    def test_one_that_comes_late_makes_the_controller_ask(self) -> None:
        self.notify("stopped", time.time() - 600)
        wait_until(lambda: self.state() == "active", "Nova's answer counts")


if __name__ == "__main__":
    unittest.main()
