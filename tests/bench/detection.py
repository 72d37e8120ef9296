#!/usr/bin/python3
"""From the moment in which a guest stops, at a random phase of its heartbeat, until an inspector is notified: the
distribution, beside what proto-spec/heartbeat.md, section 5, allows and how late a plain timer is."""

import argparse
from pathlib import Path
import random
import time

from whole import SMOKE, Address, Figure, PlainTimer, Program, Size  # and through it tests/lib
from suite import Agent, Controller
from vmbed.procs import http_metrics, temporary_dir, wait_until

DETECTION_TIME_MS = 900
SHORTEST_MS = 600  # the deadline: a guest that stopped just before it would have answered
BAR = 50


def measure(folder: Path, size: Size) -> list[float]:
    """Milliseconds of each guest that stopped."""
    inspector = Program("bench_inspector")
    controller = Controller(folder / "controller", Address(inspector.first_line[1]))
    agent = Agent(folder / "agent", "compute-1", controller)
    guests = Program("bench_guests", agent.channels, size.guests, DETECTION_TIME_MS // 3, DETECTION_TIME_MS)
    try:
        wait_until(lambda: http_metrics(agent.http).get('vitalwire_agent_guests{state="registered"}') == size.guests,
                   f"{size.guests} guests are registered", 120, 0.2)
        time.sleep(3)
        stopped: dict[str, int] = {}
        for number in random.sample(range(size.guests), size.silenced):
            time.sleep(random.uniform(0.0, 0.06))
            stopped[f"guest-{number:06d}"] = time.monotonic_ns()
            guests.say(f"silence {number}")
        taken: list[float] = []
        while len(taken) < size.silenced:
            _, guest, status, at, _ = inspector.line()
            if status == "down" and guest in stopped:
                taken.append((int(at) - stopped.pop(guest)) / 1e6)
        return sorted(taken)
    finally:
        for program in (guests, inspector):
            program.__exit__()
        agent.close()
        controller.close()


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
    with temporary_dir() as folder, PlainTimer() as timer:
        ordered = measure(folder, size)
    bound = DETECTION_TIME_MS + timer.p99_ms()
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
        print(Figure(f"stopped guest to inspector, {name} of {len(ordered)}", quantile(ordered, share), bound, "ms",
                     "<= 910" if name == "p99.9" else "", "the formula's bound and a plain timer's p99"))
    print(f"a guest that stops is found after {SHORTEST_MS} to {DETECTION_TIME_MS} ms, by the formula:")
    print(histogram(ordered))


if __name__ == "__main__":
    main()
