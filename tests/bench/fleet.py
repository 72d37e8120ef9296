#!/usr/bin/python3
"""A thousand agents on one controller: it is killed, is away until they try but rarely, and starts again.

The agents are the bus library's own, in one process; their back-off is part of the time. Nothing fails because a machine
is slow; what cannot be right (an agent that does not come back, a guest that nobody knows) ends it.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
import resource
import signal
import sys
import threading
import time
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lib"), str(Path(__file__).resolve().parent)]

from bus import tcp
from inventory import FakeCloud, Pulse
from inventory import Size as CloudSize
from message_broker import CONTROLLER, INSTALLED, PASSWORD, Broker, agent_rights
from suite import Controller
from vmbed.procs import http_json, http_metrics, temporary_dir, wait_until
from whole import Address, Bus, Figure, Program, memory_mb, stolen_seconds

PATIENCE = 120.0


@dataclass(frozen=True)
class Size:
    agents: int = 1000
    guests: int = 50  # of each
    group: int = 10
    away: float = 5.0  # seconds; afterwards an agent tries every 1 to 2 s
    calm_answers: int = 80
    amqp_agents: int = 100  # with as many guests altogether: a broker on the same machine lets no thousand in at once

    @property
    def all_guests(self) -> int:
        return self.agents * self.guests

    @property
    def told(self) -> int:
        """A group's members are on as many hosts: each host is told of all the others."""
        return self.all_guests * (self.group - 1)


SMOKE = Size(agents=20, guests=10, away=0.5, calm_answers=20, amqp_agents=10)


def with_inventory(bus: Bus, cloud: FakeCloud, folder: Path) -> Bus:
    """Which guests there are, where and in which groups, the controller asks Nova."""
    secret = folder / "password"
    secret.write_text("secret\n")
    nova = {
        "inventory__type": "nova",
        "openstack__auth_url": cloud.url,
        "openstack__username": "vitalwire",
        "openstack__password_file": secret,
        "openstack__project_name": "service",
    }
    return Bus({**bus.controller, **nova}, bus.agent)


def amqp(broker: Broker) -> Bus:
    """Each agent puts its user into the URL itself."""
    return Bus(
        {"bus__listen": broker.url(CONTROLLER), "bus__password_file": broker.password_file},
        {"bus__controller": f"amqp://127.0.0.1:{broker.port}/"},
    )


def users(size: Size) -> dict[str, Any]:
    return {host: agent_rights(host) for host in (f"compute-{number}" for number in range(size.agents))}


class Bed:
    """A controller, its inspector, and all agents connected to it."""

    def __init__(self, folder: Path, size: Size, bus: Bus) -> None:
        folder.mkdir()
        self._size = size
        self._inspector = Program("bench_inspector")
        threading.Thread(target=self._hear, daemon=True).start()
        self.controller = Controller(folder / "controller", Address(self._inspector.first_line[1]), bus.controller)
        self.alone_mb = self.rss()
        self.agents = Program("bench_agents", *agents_arguments(size, bus))
        self.wait_known()

    def __enter__(self) -> "Bed":
        return self

    def __exit__(self, *_: object) -> None:
        self.agents.__exit__()
        self.controller.close()
        self._inspector.__exit__()

    def _hear(self) -> None:
        try:
            while True:
                self._inspector.line()
        except RuntimeError:
            pass

    def kill(self) -> None:
        self.controller.daemon.signal(signal.SIGKILL)
        self.controller.daemon.wait()

    def restart(self) -> None:
        """Until it says that it is ready."""
        self.controller.close()
        self.controller.start()

    def rss(self) -> float:
        return memory_mb(self.controller.daemon.pid, "Rss")

    def longest_turn(self) -> float:
        """Seconds, since it started again."""
        return http_metrics(self.controller.http)["vitalwire_controller_loop_longest_turn_seconds"]

    def wait_known(self) -> None:
        wait_until(self._known, "all agents are connected and all guests known", PATIENCE, 0.1)

    def _known(self) -> bool:
        status = http_json(self.controller.http, "/v1/status")
        guests = status["guests"]
        heard = guests["total"] - guests["unregistered"]
        return status["agents"]["connected"] == self._size.agents and heard == self._size.all_guests

    def wait_told(self) -> None:
        """Until every agent knows what its guests may and of all their peers."""

        def told() -> bool:
            self.agents.say("count")
            _, _, policies, peers, _ = self.agents.line()
            return int(policies) >= self._size.all_guests and int(peers) >= self._size.told

        wait_until(told, "all agents are told of all peers", PATIENCE, 0.1)


def agents_arguments(size: Size, bus: Bus) -> list[str | int]:
    url = str(bus.agent["bus__controller"])
    return [url, size.agents, size.guests, *([PASSWORD] if url.startswith("amqp") else [])]


def bare(size: Size) -> float:
    """The same agents and the same absence; who takes them in reads what they say, and does no more."""
    bus = tcp()
    url = str(bus.controller["bus__listen"])
    with Program("bench_bare_controller", url) as first:
        agents = Program("bench_agents", *agents_arguments(size, bus))
        wait_until(lambda: bare_known(first, size), "all agents are connected", PATIENCE)
    with agents:
        time.sleep(size.away)
        with Program("bench_bare_controller", url) as second:
            began = time.monotonic()
            wait_until(lambda: bare_known(second, size), "all agents are back", PATIENCE)
            return time.monotonic() - began


def bare_known(controller: Program, size: Size) -> bool:
    controller.say("count")
    return controller.line() == ["known", str(size.agents), str(size.all_guests)]


def figures(
    folder: Path, size: Size, what: str, bus: Bus, baseline: float, groups: bool = False
) -> list[Figure]:
    with Bed(folder, size, bus) as bed:
        if groups:
            bed.wait_told()
        pulse = Pulse(bed.controller.http, 0.02)
        wait_until(lambda: pulse.answers >= size.calm_answers, "it has answered when nothing happens", PATIENCE)
        calm = pulse.stop()
        bed.kill()
        time.sleep(size.away)
        bed.restart()
        began = time.monotonic()
        pulse = Pulse(bed.controller.http, 0.02)
        bed.wait_known()
        known = time.monotonic() - began
        if groups:
            bed.wait_told()
        told = time.monotonic() - began
        deaf = pulse.stop()
        out = [
            Figure(f"{what}: all back and known", known, baseline, "s", "<= 5", "their full resync, only read"),
            Figure(f"{what}: slowest answer", deaf, calm, "ms", "<= 100", "when nothing happens"),
            Figure(f"{what}: longest turn of its loop", 1000 * bed.longest_turn(), 0, "ms", "<= 50", ""),
            Figure(f"{what}: controller's RSS", bed.rss(), bed.alone_mb, "MB", "<= 300", "without agents"),
        ]
        if groups:
            out.insert(1, Figure(f"{what}: all peers told", told, known, "s", "", "all guests known"))
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small and short: shows that it runs, measures nothing")
    size = SMOKE if parser.parse_args().smoke else Size()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    started, stolen = time.monotonic(), stolen_seconds()
    with temporary_dir() as folder:
        baseline = bare(size)
        name = f"{size.agents} agents"
        for figure in figures(folder / "plain", size, name, tcp(), baseline):
            print(figure, flush=True)
        with FakeCloud(CloudSize(size.all_guests, size.group, size.agents)) as cloud:
            bus = with_inventory(tcp(), cloud, folder)
            for figure in figures(folder / "groups", size, f"{name} in groups", bus, baseline, True):
                print(figure, flush=True)
        if not INSTALLED:
            return print("fleet: rabbitmq-server is not installed")
        with Broker(folder / "broker", users(size)) as broker:
            size = replace(size, agents=size.amqp_agents, guests=size.all_guests // size.amqp_agents)
            for figure in figures(folder / "amqp", size, f"{size.agents} agents, AMQP", amqp(broker), baseline):
                print(figure, flush=True)
    taken = (stolen_seconds() - stolen) / (time.monotonic() - started)
    print(f"the hypervisor gave {taken:.2f} CPUs to others")


if __name__ == "__main__":
    main()
