#!/usr/bin/python3
"""From the moment in which a guest stops, at a random phase of its heartbeat, until an inspector is notified: the
distribution, beside what proto-spec/heartbeat.md, section 5, allows and how late a plain timer is."""

import argparse
from pathlib import Path
import random
import time

from whole import BY_DEFAULT, DETECTION_TIME_MS, SMOKE, Address, Figure, PlainTimer, Program, Size  # and through it tests/lib
from suite import Agent, Controller
from vmbed.procs import http_metrics, temporary_dir, wait_until

SHORTEST_MS = 600  # the deadline: a guest that stopped just before it would have answered
SHORT_STOP_MS = 550
BAR = 50


class Guests:
    """So many, registered with the default detection time."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir()
        self.inspector = Program("bench_inspector")
        self._controller = Controller(folder / "controller", Address(self.inspector.first_line[1]))
        self._agent = Agent(folder / "agent", "compute-1", self._controller)
        self.program = Program("bench_guests", self._agent.channels, count, *BY_DEFAULT)
        wait_until(lambda: self.metric('guests{state="registered"}') == count, f"{count} guests are registered", 120, 0.2)
        time.sleep(3)

    def __enter__(self) -> "Guests":
        return self

    def __exit__(self, *_: object) -> None:
        for program in (self.program, self.inspector):
            program.__exit__()
        self._agent.close()
        self._controller.close()

    def metric(self, name: str) -> float:
        return http_metrics(self._agent.http).get(f"vitalwire_agent_{name}", 0.0)

    def stops(self) -> int:
        self.program.say("count")
        return int(self.program.line()[2])


def measure(folder: Path, size: Size) -> list[float]:
    """Milliseconds of each guest that stopped."""
    with Guests(folder / "stopped", size.guests) as guests:
        stopped: dict[str, int] = {}
        for number in random.sample(range(size.guests), size.silenced):
            time.sleep(random.uniform(0.0, 0.06))
            stopped[f"guest-{number:06d}"] = time.monotonic_ns()
            guests.program.say(f"silence {number}")
        taken: list[float] = []
        while len(taken) < size.silenced:
            _, guest, status, at, _ = guests.inspector.line()
            if status == "down" and guest in stopped:
                taken.append((int(at) - stopped.pop(guest)) / 1e6)
        return sorted(taken)


def short_stops(folder: Path, size: Size) -> Figure:
    """Each guest stands still now and then, at random moments, always shorter than its deadline."""
    with Guests(folder / "short", size.guests) as guests:
        misses = guests.metric("misses_total")
        rounds = -(-size.stops // size.guests)
        for _ in range(rounds):
            for number in random.sample(range(size.guests), size.guests):
                time.sleep(random.uniform(0.0, 2.0 / size.guests))
                guests.program.say(f"stop {number} {SHORT_STOP_MS}")
            time.sleep(SHORT_STOP_MS / 1000)
        wait_until(lambda: guests.stops() == rounds * size.guests, "all have gone on", 60, 0.2)
        time.sleep(DETECTION_TIME_MS / 1000)
        return Figure(f"guests that stop for {SHORT_STOP_MS} ms: missed", guests.metric("misses_total") - misses,
                      guests.stops(), "", "0", "stops")


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def histogram(ordered: list[float], step: int = 25) -> str:
    """One line for each `step` milliseconds."""
    counts: dict[int, int] = {}
    for value in ordered:
        counts[int(value) // step * step] = counts.get(int(value) // step * step, 0) + 1
    most = max(counts.values())
    return "\n".join(f"{low:6d} ms {counts.get(low, 0):6d} {'#' * round(counts.get(low, 0) / most * BAR)}"
                     for low in range(min(counts), max(counts) + 1, step))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small and short: shows that it runs, measures nothing")
    size = SMOKE if parser.parse_args().smoke else Size()
    with temporary_dir() as folder:
        with PlainTimer() as timer:
            ordered = measure(folder, size)
        short = short_stops(folder, size)
    bound = DETECTION_TIME_MS + timer.p99_ms()
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
        print(Figure(f"stopped guest to inspector, {name} of {len(ordered)}", quantile(ordered, share), bound, "ms",
                     "<= 910" if name == "p99.9" else "", "the formula's bound and a plain timer's p99"))
    print(f"a guest that stops is found after {SHORTEST_MS} to {DETECTION_TIME_MS} ms, by the formula:")
    print(histogram(ordered))
    print(short)


if __name__ == "__main__":
    main()
