"""Three RabbitMQs that are one cluster, each at a place of a network that can be cut. It needs root.

The network is the test's own: `enter_network` moves the test's process into it, everything the test starts follows, and
all of it is gone with the last of these processes. The test's programs run at the switch, or at a place (Place.command).
"""

import ctypes
import os
from pathlib import Path
import signal
import socket
import subprocess
from typing import Sequence

from cloudbed.infrastructure import Infrastructure
from cloudbed.services import kill_marked
from cloudbed.settings import Settings
from message_broker import CONTROLLER, HOSTS, PASSWORD, Rights, agent_rights, controller_rights, definitions
from vmbed.procs import wait_until

_CLONE_NEWNET = 0x40000000
_SWITCH_ADDRESS = "10.9.0.254"
_PORT = 5672

# Seconds without a sign until one node takes another for lost; RabbitMQ's own is 60.
_TICK_SECONDS = 4


def enter_network() -> None:
    """Before the test starts a thread or a process."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "a network of its own needs root: run the tests as root")
    _ip("link", "set", "lo", "up")
    _ip("link", "add", "switch", "type", "bridge")
    _ip("address", "add", f"{_SWITCH_ADDRESS}/24", "dev", "switch")
    _ip("link", "set", "switch", "up")


def _ip(*words: str, inside: Sequence[str] = ()) -> None:
    subprocess.run([*inside, "ip", *words], check=True)


class Place:
    """A network namespace, and its cable to the switch."""

    def __init__(self, number: int) -> None:
        self.address = f"10.9.0.{number}"
        self._cable = f"place{number}"
        # It does nothing but keep the namespace, and dies with us.
        self._keeper = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"])
        wait_until(self._is_apart, f"place {number} has a network of its own")
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "uplink", "netns", str(self._keeper.pid))
        _ip("link", "set", self._cable, "master", "switch", "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{self.address}/24", "dev", "uplink"),
            ("link", "set", "uplink", "up"),
        ):
            _ip(*words, inside=self.command([]))

    def _is_apart(self) -> bool:
        return os.readlink(f"/proc/{self._keeper.pid}/ns/net") != os.readlink("/proc/self/ns/net")

    def command(self, argv: Sequence[str | Path]) -> list[str | Path]:
        """`argv` as a program of this place."""
        return ["nsenter", f"--net=/proc/{self._keeper.pid}/ns/net", *argv]

    def cut(self) -> None:
        """From everywhere else, and nobody is told: what is sent is gone."""
        _ip("link", "set", self._cable, "down")

    def mend(self) -> None:
        _ip("link", "set", self._cable, "up")

    def close(self) -> None:
        self._keeper.kill()
        self._keeper.wait()


class _Node(Infrastructure):
    def __init__(self, config: Settings, place: Place, places: Sequence[Place], users: dict[str, Rights]) -> None:
        self._place = place
        self._places = places
        self._users = users
        super().__init__(config, place.command)

    def _write_configuration(self) -> None:
        data = self._home / "rabbitmq"
        data.mkdir(exist_ok=True)
        (data / "plugins").write_text("[].\n")
        cookie = data / ".erlang.cookie"  # the same everywhere: it lets one node speak to another
        if not cookie.exists():
            cookie.write_text("VITALWIRE")
            cookie.chmod(0o400)
        (self._etc / "definitions.json").write_text(definitions(self._users))
        (self._etc / "rabbitmq.conf").write_text(self._broker_settings())

    def _broker_settings(self) -> str:
        nodes = (
            f"cluster_formation.classic_config.nodes.{number} = node@{place.address}"
            for number, place in enumerate(self._places, 1)
        )
        return "\n".join((
            "cluster_formation.peer_discovery_backend = classic_config",
            *nodes,
            "cluster_partition_handling = pause_minority",
            f"load_definitions = {self._etc / 'definitions.json'}",
            "",
        ))

    def _broker_environment(self) -> dict[str, str]:
        environment = super()._broker_environment()
        del environment["ERL_EPMD_ADDRESS"], environment["ERL_EPMD_PORT"]  # each place has all ports for itself
        return environment | {
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODENAME": f"node@{self._place.address}",
            "RABBITMQ_NODE_IP_ADDRESS": self._place.address,
            "RABBITMQ_NODE_PORT": str(_PORT),
            "RABBITMQ_DIST_PORT": "25672",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel net_ticktime {_TICK_SECONDS} +sbwt none",
        }

    def _broker_answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self._place.address, _PORT)) == 0


class Cluster:
    """Node n is at place n: `places[n - 1]`."""

    SIZE = 3

    def __init__(self, home: Path) -> None:
        self.places = [Place(number) for number in range(1, self.SIZE + 1)]
        self._homes = [home / f"node{number}" for number in range(1, self.SIZE + 1)]
        users = {CONTROLLER: controller_rights(), **{host: agent_rights(host) for host in HOSTS}}
        self._nodes = []
        for folder, place in zip(self._homes, self.places):
            for name in ("run", "log", "etc"):
                (folder / name).mkdir(parents=True)
            self._nodes.append(_Node(Settings(folder, 0), place, self.places, users))
        self.password_file = home / "password"
        self.password_file.write_text(f"{PASSWORD}\n")

    def __enter__(self) -> "Cluster":
        for node in self._nodes:  # the others find the first, and join it
            node.broker_up()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._nodes:
            node.rabbitmq.stop(signal.SIGKILL)
        for folder in self._homes:
            kill_marked(folder)
        for place in self.places:
            place.close()

    def mend(self) -> None:
        for place in self.places:
            place.mend()

    def urls(self, user: str, *numbers: int) -> str:
        """Of these nodes, the preferred one first."""
        return " ".join(f"amqp://{user}@{self.places[number - 1].address}:{_PORT}/" for number in numbers)
