"""The whole cloud, as a test holds it."""
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from typing import Iterator

from .aodh import Aodh
from .client import OpenStack
from .compute import DRIVER, ComputeNode
from .control import ControlPlane
from .infrastructure import Infrastructure
from .masakari import Masakari
from .services import LOOPBACK, Service, kill_marked, once
from .settings import PASSWORD, Settings
from .vitrage import Vitrage

PROJECT = Path(__file__).resolve().parents[3]
NOVA_EXTENSION = PROJECT / "host" / "nova"
VITRAGE_DATASOURCE = PROJECT / "controller" / "vitrage"

# The directory of a cloud that the tests use and leave up. Without it each brings up its own.
SHARED = "VITALWIRE_TEST_CLOUD"
STATE = "cloud.json"


class Cloud:
    """A cloud in a directory. `up` may be called again at any time; it starts what does not run."""

    def __init__(self, home: Path, driver: str = DRIVER) -> None:
        self.home = home.resolve()
        for name in ("run", "log", "etc"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        self.config = Settings(self.home, self._first_port())
        self.infrastructure = Infrastructure(self.config)
        self.control = ControlPlane(self.config, NOVA_EXTENSION)
        self.node = ComputeNode(self.config, NOVA_EXTENSION, "compute-1", driver)
        self.second = ComputeNode(self.config, NOVA_EXTENSION, "compute-2", driver)
        self.vitrage = Vitrage(self.config, VITRAGE_DATASOURCE)
        self.aodh = Aodh(self.config)
        self.masakari = Masakari(self.config)

    def up(self) -> "Cloud":
        self.infrastructure.up()
        self.control.up()
        self.node.up()
        self.vitrage.up()
        self.admin = self.login()
        self._wait_usable(self.node)
        self.vitrage.wait_up(self.admin)
        return self

    @contextlib.contextmanager
    def second_node(self) -> Iterator[ComputeNode]:
        """Brings it up if it is not there. It stays, and the scheduler uses it in this context only."""
        node = self.second
        node.up()
        node.enable(self.admin, True)
        try:
            self._wait_usable(node)
            yield node
        finally:
            node.enable(self.admin, False)

    @contextlib.contextmanager
    def with_aodh(self) -> Iterator[Aodh]:
        with self._with_service(self.aodh, "aodh", "alarming", self.config.url("aodh")):
            yield self.aodh

    @contextlib.contextmanager
    def with_masakari(self) -> Iterator[Masakari]:
        url = self.config.url("masakari", "/v1")
        with self._with_service(self.masakari, "masakari", "instance-ha", url):
            yield self.masakari

    @contextlib.contextmanager
    def _with_service(
        self, service: Aodh | Masakari, name: str, kind: str, url: str
    ) -> Iterator[None]:
        """Runs it in this context; the first time it is added to the cloud."""
        once(self.home, f"{name}-database", lambda: self.infrastructure.add_database(name))
        once(
            self.home,
            f"{name}-user",
            lambda: self.control.add_service(self.admin, name, kind, url),
        )
        self.admin.authenticate()  # for the new catalog
        service.up()
        try:
            yield
        finally:
            service.down()

    def _wait_usable(self, node: ComputeNode) -> None:
        node.wait_up(self.admin)
        once(self.home, f"{node.host}-mapped", self.control.map_hosts)
        node.wait_schedulable(self.admin)

    def down(self, keep: bool = False) -> None:
        """Stops everything; the directory goes too, unless it is to be kept for a faster start."""
        for service in reversed(self.services().values()):
            service.stop(signal.SIGTERM if keep else signal.SIGKILL)
        for node in self.nodes():
            node.down()
        kill_marked(self.home)
        if not keep:
            shutil.rmtree(self.home)

    def login(self, user: str = "admin", project: str = "admin") -> OpenStack:
        return OpenStack(self.config.auth_url, user, PASSWORD, project)

    def services(self) -> dict[str, Service]:
        """By name; those of a compute node only while it is there."""
        parts = (self.infrastructure, self.control, self.vitrage)
        outside = {name: each for part in parts for name, each in part.services.items()}
        inside = [each for node in self.nodes() for each in node.services.values()]
        return {**outside, **{each.name: each for each in inside}}

    def nodes(self) -> list[ComputeNode]:
        """Those that are up."""
        return [node for node in (self.node, self.second) if node.is_up]

    def __enter__(self) -> "Cloud":
        try:
            return self.up()
        except BaseException:
            self.down()
            raise

    def __exit__(self, *_: object) -> None:
        self.down()

    def _first_port(self) -> int:
        known = self.home / STATE
        if not known.exists():
            known.write_text(json.dumps({"first_port": free_ports(len(Settings.PORTS))}))
        return json.loads(known.read_text())["first_port"]


@contextlib.contextmanager
def for_tests() -> Iterator[Cloud]:
    """The shared cloud if there is one, else one of the caller's own."""
    shared = os.environ.get(SHARED)
    if shared:
        if not (Path(shared) / STATE).exists():
            raise RuntimeError(f"{SHARED}={shared}: no cloud is there; `./cloud up` makes one")
        yield Cloud(Path(shared)).up()
        return
    with Cloud(Path(tempfile.mkdtemp(prefix="vitalwire-cloud-"))) as cloud:
        yield cloud


def free_ports(count: int) -> int:
    """The first of `count` free ports in a row, outside the range the kernel gives to clients."""
    client_ports = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    while True:
        first = random.randrange(10240, int(client_ports[0]) - count)
        with contextlib.ExitStack() as probes:
            try:
                for port in range(first, first + count):
                    probe = probes.enter_context(socket.socket())
                    probe.bind((LOOPBACK, port))
            except OSError:
                continue
        return first
