#!/usr/bin/python3
"""A large cloud's inventory: the real controller and, where it is installed, RabbitMQ; Keystone and Nova's lists as a fake serves them.

Nothing fails because a machine is slow; what cannot be right (a server that is missing) ends it.
"""

import argparse
import contextlib
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
from pathlib import Path
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from cloudbed.account import BROKER_RIGHTS
from cloudbed.cloud import free_ports
from cloudbed.infrastructure import Infrastructure
from cloudbed.services import kill_marked
from cloudbed.settings import Settings
from suite import BUILD, settings
from vmbed.procs import Daemon, http_json, http_metrics, http_request, temporary_dir, wait_until
from whole import BENCH, Figure, memory_mb

RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
USER, PASSWORD = "vitalwire", "secret"
CONTROLLER = BUILD / "controller" / "vitalwire-controller"


@dataclass(frozen=True)
class Size:
    servers: int = 50_000
    group_size: int = 10
    hosts: int = 1000
    notifications: int = 30_000
    rate: int = 2000  # notifications a second


SMOKE = Size(servers=1200, hosts=20, notifications=2000)


def identity(kind: str, number: int) -> str:
    """bench_agents calls its guests like these servers."""
    kinds = ("server", "group", "image", "message")
    return f"5bd4d2ba-1c8b-4d0f-9a3{kinds.index(kind)}-{number:012}"


def server(number: int, size: Size) -> dict:
    """As GET /servers/detail has it."""
    name, host = f"vnf-{number}", f"compute-{number % size.hosts}"
    return {
        "id": identity("server", number),
        "name": name,
        "status": "ACTIVE",
        "tenant_id": "99a9dab84fe64a8a8f5f268dbc2c9bbe",
        "user_id": "5b54c86409e14ed5bacc086d908fab3e",
        "metadata": {"role": "session border controller"},
        "hostId": "f81a69341dd2cb68475e846d26f37cc3e8644b3b8c467c239bbb9e64",
        "image": {"id": identity("image", 1), "links": [{"rel": "bookmark", "href": "http://nova/images/x"}]},
        "flavor": {
            "vcpus": 4, "ram": 8192, "disk": 20, "ephemeral": 0, "swap": 0, "original_name": "vnf.large",
            "extra_specs": {"vitalwire:heartbeat": "true", "vitalwire:messaging": "true", "hw:cpu_policy": "dedicated"},
        },
        "created": "2026-11-22T06:29:48Z",
        "updated": "2026-11-22T06:29:49Z",
        "addresses": {"oam": [{"version": 4, "addr": "10.0.0.1", "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:01"}]},
        "accessIPv4": "",
        "accessIPv6": "",
        "links": [{"rel": "self", "href": f"http://nova/v2.1/servers/{identity('server', number)}"}],
        "OS-DCF:diskConfig": "MANUAL",
        "progress": 0,
        "OS-EXT-AZ:availability_zone": "nova",
        "config_drive": "",
        "key_name": None,
        "OS-SRV-USG:launched_at": "2026-11-22T06:29:49.000000",
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-SRV-ATTR:host": host,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": f"{host}.example.net",
        "OS-EXT-SRV-ATTR:instance_name": f"instance-{number:08x}",
        "OS-EXT-SRV-ATTR:hostname": name,
        "OS-EXT-SRV-ATTR:user_data": "I2Nsb3VkLWNvbmZpZwo=" * 20,
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:vm_state": "active",
        "OS-EXT-STS:power_state": 1,
        "os-extended-volumes:volumes_attached": [],
        "locked": False,
        "tags": [],
    }


def group(number: int, size: Size) -> dict:
    members = range(number * size.group_size, (number + 1) * size.group_size)
    return {
        "id": identity("group", number),
        "name": f"group {number}",
        "policy": "anti-affinity",
        "rules": {},
        "members": [identity("server", member) for member in members],
        "project_id": "99a9dab84fe64a8a8f5f268dbc2c9bbe",
        "user_id": "5b54c86409e14ed5bacc086d908fab3e",
    }


class FakeCloud:
    """Keystone and Nova's two lists, page by page; all made before the first question."""

    def __init__(self, size: Size) -> None:
        self._servers = [json.dumps(server(number, size)) for number in range(size.servers)]
        self._groups = [json.dumps(group(number, size)) for number in range(size.servers // size.group_size)]
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
                self.answer(200, cloud.page(path, query).encode())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(201, json.dumps(cloud.token()).encode(), {"X-Subject-Token": "token"})

            def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def __enter__(self) -> "FakeCloud":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def token(self) -> dict:
        where = {"interface": "public", "region_id": "RegionOne", "url": f"{self.url}/v2.1"}
        times = {"issued_at": "2026-11-22T06:00:00.000000Z", "expires_at": "2026-11-22T07:00:00.000000Z"}
        return {"token": {**times, "catalog": [{"type": "compute", "endpoints": [where]}]}}

    def page(self, path: str, query: dict[str, list[str]]) -> str:
        if path == "/v2.1/":
            return '{"version": {"version": "2.93"}}'
        limit = int(query["limit"][0])
        if path == "/v2.1/os-server-groups":
            first = int(query["offset"][0])
            return f'{{"server_groups": [{",".join(self._groups[first:first + limit])}]}}'
        if "changes-since" in query:
            return '{"servers": []}'
        first = int(query.get("marker", ["0"])[0])
        links = ""
        if first + limit < len(self._servers):
            href = f"http://nova/v2.1/servers/detail?all_tenants=1&limit={limit}&marker={first + limit}"
            links = f', "servers_links": [{{"rel": "next", "href": "{href}"}}]'
        return f'{{"servers": [{",".join(self._servers[first:first + limit])}]{links}}}'


class Pulse:
    """Asks for /healthz all the time: the longest answer is how long the event loop was away."""

    def __init__(self, address: Path, every: float = 0.005) -> None:
        self.longest = 0.0
        self.answers = 0
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address,))
        self._thread.start()

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return 1000 * self.longest

    def _run(self, address: Path) -> None:
        while not self._ended.wait(self._every):
            began = time.monotonic()
            http_request(address, "/healthz")
            self.longest = max(self.longest, time.monotonic() - began)
            self.answers += 1


def notification(number: int, size: Size) -> str:
    """Every server is stopped, then started, and so on; as long as Nova's with its context."""
    server_number = number % size.servers
    state = "active" if (number // size.servers) % 2 else "stopped"
    host = f"compute-{server_number % size.hosts}"
    data = {
        "uuid": identity("server", server_number),
        "tenant_id": "99a9dab84fe64a8a8f5f268dbc2c9bbe",
        "display_name": f"vnf-{server_number}",
        "host_name": f"vnf-{server_number}",
        "host": host,
        "node": f"{host}.example.net",
        "launched_at": "2026-11-22T06:29:49Z",
        "state": state,
        "task_state": None,
        "metadata": {"role": "session border controller"},
        "flavor": {"nova_object.data": {"name": "vnf.large", "extra_specs": {"vitalwire:heartbeat": "true", "vitalwire:messaging": "true"}}},
    }
    message = {
        "message_id": identity("message", number),
        "publisher_id": f"nova-compute:{host}",
        "event_type": "instance.update",
        "payload": {"nova_object.name": "InstanceUpdatePayload", "nova_object.data": data},
        "_context_request_spec": "x" * 2500,
    }
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(message)})


class Broker:
    """RabbitMQ with a user that has the least rights."""

    def __init__(self, home: Path) -> None:
        self._home = home
        for name in ("run", "log", "etc"):
            (home / name).mkdir(parents=True)
        self._settings = Settings(home, free_ports(len(Settings.PORTS)))
        self.port = self._settings.ports["broker"]
        self._infrastructure = Infrastructure(self._settings)

    def __enter__(self) -> "Broker":
        self._infrastructure.broker_up()
        self._infrastructure.add_broker_user(USER, *BROKER_RIGHTS, password=PASSWORD)
        self._infrastructure.add_broker_user("nova", ".*", ".*", ".*", password=PASSWORD)
        return self

    def __exit__(self, *_: object) -> None:
        self._infrastructure.rabbitmq.stop()
        kill_marked(self._home)

    def publish(self, bodies: list[str], rate: int) -> float:
        """Returns the seconds it took."""
        argv = [BENCH / "bench_notifier", str(self.port), "nova", PASSWORD, "nova", str(rate)]
        done = subprocess.run(argv, input="\n".join(bodies), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return float(done.stdout)


class Controller:
    """With the fake cloud's inventory, and the broker's notifications if there is one."""

    def __init__(self, folder: Path, cloud: FakeCloud, broker: Broker | None) -> None:
        secret = folder / "password"
        secret.write_text(f"{PASSWORD}\n")
        self.http = folder / "http"
        arguments = settings(
            controller__host="controller-1",
            controller__state=folder / "controller.db",
            bus__listen=f"unix://{folder}/bus",
            http__listen=f"unix:{self.http}",
            inventory__type="nova",
            openstack__auth_url=cloud.url,
            openstack__username=USER,
            openstack__password_file=secret,
            openstack__project_name="service",
        )
        if broker:
            url = f"amqp://{USER}@127.0.0.1:{broker.port}/"
            arguments += settings(notifications__url=url, notifications__password_file=secret)
        self.began = time.monotonic()
        self.daemon = Daemon([CONTROLLER, *arguments], folder / "controller.log").wait_ready()

    def __enter__(self) -> "Controller":
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.kill()

    def metric(self, name: str) -> float:
        return http_metrics(self.http)[f"vitalwire_controller_nova_{name}"]


def start_up(controller: Controller, size: Size) -> list[Figure]:
    pulse = Pulse(controller.http)
    wait_until(lambda: http_request(controller.http, "/readyz")[0] == 200, "the inventory is loaded", 300)
    seconds = time.monotonic() - controller.began
    away = pulse.stop()
    memory = memory_mb(controller.daemon.pid, "Rss")
    groups = http_json(controller.http, "/v1/groups", 60)["groups"]
    if len(groups) * size.group_size != size.servers or any(each["members"] != size.group_size for each in groups):
        raise RuntimeError("servers or groups are missing")
    return [
        Figure(f"inventory of {size.servers} servers: start-up", seconds, 0, "s", "30 s", ""),
        Figure(f"inventory of {size.servers} servers: RSS", memory, 0, "MB", "300 MB", ""),
        Figure("inventory: longest absence of the loop", away, 0, "ms", "50 ms", ""),
    ]


def notifications(controller: Controller, broker: Broker, size: Size) -> list[Figure]:
    """How many a second arrive when Nova sends `rate`, and how long after the last one it is booked."""
    wait_until(lambda: controller.metric("listening"), "the controller receives notifications")
    bodies = [notification(number, size) for number in range(size.notifications)]
    before = controller.metric("notifications_total")
    pulse = Pulse(controller.http)
    seconds = broker.publish(bodies, size.rate)
    published = time.monotonic()
    heard = before + size.notifications
    wait_until(lambda: controller.metric("notifications_total") >= heard, "all notifications are heard", 120)
    late = time.monotonic() - published
    away = pulse.stop()
    last = http_json(controller.http, "/v1/guests", 60)["guests"]
    wrong = [each for each in last if each["cloud_state"] != expected_state(each["display_name"], size)]
    if wrong:
        raise RuntimeError(f"{len(wrong)} servers are not as they were notified: {wrong[0]}")
    return [
        Figure("notifications: a second, through RabbitMQ", size.notifications / (seconds + late), 0, "", "2000", ""),
        Figure("notifications: the last one is booked after", 1000 * late, 0, "ms", "1 s", ""),
        Figure("notifications: longest absence of the loop", away, 0, "ms", "50 ms", ""),
        Figure("notifications: RSS afterwards", memory_mb(controller.daemon.pid, "Rss"), 0, "MB", "300 MB", ""),
    ]


def expected_state(name: str, size: Size) -> str:
    server_number = int(name.removeprefix("vnf-"))
    times = (size.notifications - server_number + size.servers - 1) // size.servers
    return "stopped" if times % 2 else "active"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="in seconds, to see that it runs")
    size = SMOKE if parser.parse_args().smoke else Size()
    with contextlib.ExitStack() as keep:
        folder = keep.enter_context(temporary_dir())
        cloud = keep.enter_context(FakeCloud(size))
        broker = keep.enter_context(Broker(folder / "broker")) if RABBITMQ.exists() else None
        if broker:
            broker.publish([], size.rate)  # Nova has been there
        controller = keep.enter_context(Controller(folder, cloud, broker))
        for figure in start_up(controller, size):
            print(figure, flush=True)
        if not broker:
            print("notifications: rabbitmq-server is not installed")
            return 0
        for figure in notifications(controller, broker, size):
            print(figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
