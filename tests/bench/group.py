#!/usr/bin/python3
"""Server groups: real agent and controller, simulated guests, a baseline beside each figure in the same run.

Nothing fails because a machine is slow.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
import signal
import sys

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lib"), str(Path(__file__).resolve().parent)]

from suite import Agent, Controller
from vmbed.procs import http_json, temporary_dir, wait_until
from whole import Address, Bus, Figure, Program, cpu_us, memory_mb

HOST = "compute-1"
UNLIMITED = "messages_per_second = 1000000\nbytes_per_second = 1G"


@dataclass(frozen=True)
class Size:
    guests: int = 100
    seconds: float = 10.0
    messages: int = 5000
    rare: int = 1000
    unread: int = 1000
    refusals: int = 5


SMOKE = Size(guests=10, seconds=1.0, messages=100, rare=20, unread=20, refusals=1)


class Bed:
    """A controller, an agent and guests in groups of `members`; the first `unlimited` may send without limits."""

    def __init__(self, folder: Path, guests: int, members: int, unlimited: int, bus: Bus = Bus()) -> None:
        folder.mkdir()
        self.controller = Controller(folder / "controller", Address("127.0.0.1:1"), bus.controller)
        self.controller.inventory.write_text(inventory(guests, members, unlimited))
        self.agent = Agent(folder / "agent", HOST, self.controller, bus=bus.agent)
        self.guests = Program("bench_group_guests", self.agent.channels, guests)
        if self.guests.line() != ["connected"]:
            raise RuntimeError("the agent does not connect")
        wait_until(lambda: self.known() == guests, "the agent has all policies and channels")

    def known(self) -> int:
        return len([guest for guest in http_json(self.agent.http, "/v1/guests")["guests"] if guest["channels"]])

    def served(self) -> bool:
        return any(link["up"] for link in http_json(self.agent.http, "/v1/status")["links"])

    def ask(self, command: str) -> list[int]:
        self.guests.say(command)
        return [int(word) for word in self.guests.line()[1:]]

    def __enter__(self) -> "Bed":
        return self

    def __exit__(self, *_: object) -> None:
        self.guests.__exit__()
        self.agent.close()
        self.controller.close()


def inventory(guests: int, members: int, unlimited: int) -> str:
    lines = [f"[group g{number}]" for number in range((guests + members - 1) // members)]
    for number in range(guests):
        limits = UNLIMITED if number < unlimited else ""
        lines.append(f"[guest guest-{number:06}]\nhost = {HOST}\ngroup = g{number // members}\n{limits}")
    return "\n".join(lines) + "\n"


def forwarding_figures(folder: Path, size: Size) -> list[Figure]:
    """How many messages a core delivers: all CPU time of agent and controller counts."""
    with Bed(folder / "forwarding", size.guests, size.guests, 1) as bed:
        programs = (bed.agent.daemon.pid, bed.controller.daemon.pid)
        before = sum(map(cpu_us, programs))
        delivered, _ = bed.ask(f"throughput {size.seconds}")
        spent_us = sum(map(cpu_us, programs)) - before
        messages, bare_ns = bed.ask(f"bare {size.guests}")
    return [
        Figure(f"forwarding 200 B, {size.guests} guests, one core", delivered / spent_us * 1000, messages / bare_ns * 1e6,
               "k/s", ">= 170", "send(2) alone"),
    ]


def memory_figures(folder: Path, size: Size) -> list[Figure]:
    """Pairs, so that every guest that does not read has messages of its own: those of a large group are shared."""
    with Bed(folder / "memory", size.guests, 2, size.guests) as bed:
        rss = memory_mb(bed.agent.daemon.pid, "Rss")
        bed.ask(f"unread {size.unread}")
        queues = max(memory_mb(bed.agent.daemon.pid, "Rss") - rss, 0) * 1024 / (size.guests / 2)
    return [Figure("memory of a guest that never reads", queues, 64, "KB", "<= 64", "its queue")]


def latency_figures(folder: Path, size: Size) -> list[Figure]:
    with Bed(folder / "latency", 10, 2, 2) as bed:
        (hops,) = bed.ask(f"hops {size.messages}")
        median, alone = bed.ask(f"latency {size.messages}")
        beside = {}
        for payload in (200, 3050):
            bed.guests.say(f"flood {payload}")
            _, beside[payload] = bed.ask(f"latency {size.messages}")
    return [
        Figure("guest to guest by the controller, median", median / 1e6, hops / 1e6, "ms", "<= 0.3",
               "a byte over as many sockets"),
        *(
            Figure(f"beside a guest that floods with {payload} B, p99", p99 / 1e6, alone / 1e6, "ms", "ratio <= 1.1",
                   "without it")
            for payload, p99 in beside.items()
        ),
    ]


def rare_figures(folder: Path, size: Size) -> list[Figure]:
    """Where nobody is awake yet."""
    with Bed(folder / "rare", 10, 10, 1) as bed:
        (relay,) = bed.ask(f"relay {size.rare}")
        (median,) = bed.ask(f"rare {size.rare}")
    return [Figure("rare broadcast to a group of 10 on one host, p50", median / 1e6, relay / 1e6, "ms", "ratio 1.0",
                   "a bare relay of one hop less")]


def refusal_figures(folder: Path, size: Size) -> list[Figure]:
    """From a broadcast to the nack that says nobody took it: the controller hangs, then it is gone."""
    with Bed(folder / "refusal", 10, 10, 0) as bed:
        bed.controller.daemon.signal(signal.SIGSTOP)
        _, hangs = bed.ask(f"refusal {size.refusals}")
        bed.controller.close()
        wait_until(lambda: not bed.served(), "the agent knows")
        _, gone = bed.ask(f"refusal {size.refusals}")
    return [
        Figure("nack while the controller hangs, slowest", hangs / 1e6, 1000, "ms", "<= 1000", "a second"),
        Figure("nack while the controller is gone, slowest", gone / 1e6, 1000, "ms", "<= 1000", "a second"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small and short: shows that it runs, measures nothing")
    size = SMOKE if parser.parse_args().smoke else Size()
    with temporary_dir() as folder:
        for figures in (forwarding_figures, memory_figures, latency_figures, rare_figures, refusal_figures):
            for figure in figures(folder, size):
                print(figure, flush=True)


if __name__ == "__main__":
    main()
