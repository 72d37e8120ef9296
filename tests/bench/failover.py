#!/usr/bin/python3
"""How long broadcasts stop when the controller that leads is killed, or hangs: over TCP and, where it is installed, RabbitMQ.

Two controllers, two hosts; a guest of the one broadcasts every 10 ms to a guest of the other. Nothing fails because a
machine is slow.
"""

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
import random
import signal
import sys
import threading
import time
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lib"), str(Path(__file__).resolve().parent)]

from bus import tcp
from message_broker import CONTROLLER, INSTALLED, Broker
from raw_guest import RawGuest, group
from server_group import wait_served
from suite import Agent, Controller
from vmbed.procs import http_json, temporary_dir, wait_until
from whole import Address, Bus, Figure

PACE_SECONDS = 0.01
HOSTS = ("compute-1", "compute-2")
INVENTORY = "[group g]\n" + "".join(
    f"[guest {guest}]\nhost = {host}\ngroup = g\nmessages_per_second = 1000\nbytes_per_second = 1M\n"
    for guest, host in zip(("speaker", "listener"), HOSTS)
)


@dataclass(frozen=True)
class Size:
    times: int = 8
    hangs: int = 5
    calm: float = 5.0


SMOKE = Size(times=1, hangs=1, calm=0.5)


class Listener(RawGuest):
    """Notes the longest time in which no broadcast came, and the number of the last."""

    def __init__(self, channels: Path, guest: str) -> None:
        self._last = 0.0
        self._longest = 0.0
        self._latest = 0
        super().__init__(channels, guest)

    def begin(self) -> None:
        """Until the next broadcast has come; the gap before it does not count."""
        self.hear(self._latest + 1)
        self._longest = 0.0

    def hear(self, number: int) -> None:
        """Until that broadcast has come, or a later one."""
        wait_until(lambda: self._latest >= number, f"broadcast {number} is heard")

    def hear_for(self, seconds: float) -> None:
        """So many broadcasts as are said in that time."""
        self.hear(self._latest + round(seconds / PACE_SECONDS))

    def longest_ms(self) -> float:
        return 1000 * self._longest

    def _hear(self, connection: Any, message: dict[str, Any]) -> None:
        super()._hear(connection, message)
        data = message.get("data", {})
        if data.get("msg_type") != "broadcast":
            return
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        self._latest = int(data["data"])


class Speaker:
    """Says numbers that grow."""

    def __init__(self, guest: RawGuest) -> None:
        self._guest = guest
        self.said = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> "Speaker":
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(PACE_SECONDS):
            self._guest.say(group("broadcast", data=str(self.said + 1)))
            self.said += 1


class Bed:
    def __init__(self, folder: Path, keep: ExitStack, buses: list[Bus]) -> None:
        """`buses`: of each controller, and what agents need to reach it."""
        folder.mkdir()
        self._controllers = {}
        for number, bus in enumerate(buses, 1):
            controller = Controller(folder / f"controller-{number}", Address("127.0.0.1:1"), bus.controller)
            keep.callback(lambda each=controller: each.close())
            controller.write_inventory(INVENTORY)
            url = str(bus.controller["bus__listen"])
            self._controllers[f"amqp:{controller.name}" if url.startswith("amqp") else url] = controller
        self._agents = {}
        for host in HOSTS:
            self._agents[host] = Agent(folder / host, host, list(self._controllers.values()), bus=settings(buses, host))
            keep.callback(self._agents[host].close)
        self.wait_linked()
        self.speaker = RawGuest(self._agents[HOSTS[0]].channels, "speaker")
        self.listener = Listener(self._agents[HOSTS[1]].channels, "listener")
        keep.callback(self.speaker.close)
        keep.callback(self.listener.close)
        wait_served(self.speaker)
        wait_served(self.listener)

    def wait_linked(self) -> None:
        for host, agent in self._agents.items():
            wait_until(lambda: self._up(agent) == len(self._controllers), f"{host} has all controllers")

    def _up(self, agent: Agent) -> int:
        return sum(link["up"] for link in http_json(agent.http, "/v1/status")["links"])

    def lead(self) -> Controller:
        """That of the speaker's host."""
        links = http_json(self._agents[HOSTS[0]].http, "/v1/status")["links"]
        return self._controllers[next(link["name"] for link in links if link["primary"])]


def settings(buses: list[Bus], host: str) -> dict[str, str | Path]:
    urls = {str(bus.agent["bus__controller"]).replace("HOST", host): None for bus in buses}
    return {**buses[0].agent, "bus__controller": " ".join(urls)}


def calm(bed: Bed, size: Size) -> float:
    bed.listener.begin()
    bed.listener.hear_for(size.calm)
    return bed.listener.longest_ms()


def killed(bed: Bed, speaker: Speaker) -> float:
    """It is started again when broadcasts go on."""
    lead = bed.lead()
    bed.listener.begin()
    bed.listener.hear_for(random.uniform(0, 0.5))
    lead.daemon.signal(signal.SIGKILL)
    lead.daemon.wait()
    longest = until_heard(bed, speaker)
    lead.close()
    lead.start()
    bed.wait_linked()
    return longest


def hung(bed: Bed, speaker: Speaker) -> float:
    lead = bed.lead()
    bed.listener.begin()
    lead.daemon.signal(signal.SIGSTOP)
    longest = until_heard(bed, speaker)
    lead.daemon.signal(signal.SIGCONT)
    bed.wait_linked()
    return longest


def until_heard(bed: Bed, speaker: Speaker) -> float:
    """Something that is said from now on: what the former lead has passed on does not count."""
    bed.listener.hear(speaker.said + 2)
    return bed.listener.longest_ms()


def figures(folder: Path, size: Size, what: str, buses: list[Bus]) -> list[Figure]:
    with ExitStack() as keep:
        bed = Bed(folder, keep, buses)
        with Speaker(bed.speaker) as speaker:
            undisturbed = calm(bed, size)
            kill = max(killed(bed, speaker) for _ in range(size.times))
            hang = max(hung(bed, speaker) for _ in range(size.hangs))
    return [
        Figure(f"{what}: longest silence, lead killed {size.times} times", kill, undisturbed, "ms", "<= 500",
               "without a kill"),
        Figure(f"{what}: longest silence, lead hangs {size.hangs} times", hang, undisturbed, "ms", "<= 1000",
               "without it"),
    ]


def amqp(broker: Broker) -> Bus:
    password = {"bus__password_file": broker.password_file}
    return Bus({"bus__listen": broker.url(CONTROLLER), **password}, {"bus__controller": broker.url("HOST"), **password})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small and short: shows that it runs, measures nothing")
    size = SMOKE if parser.parse_args().smoke else Size()
    with temporary_dir() as folder:
        for figure in figures(folder / "tcp", size, "TCP", [tcp(), tcp()]):
            print(figure, flush=True)
        if not INSTALLED:
            return print("failover: rabbitmq-server is not installed")
        with Broker(folder / "broker") as broker:
            for figure in figures(folder / "amqp", size, "AMQP", [amqp(broker), amqp(broker)]):
                print(figure, flush=True)


if __name__ == "__main__":
    main()
