#!/usr/bin/python3
"""The whole-process benchmark: real agent, controller and vitalwired, simulated guests, a baseline beside each figure.

Nothing fails because a machine is slow; what cannot be right (a guest that does not register) ends it.
"""

import argparse
from dataclasses import dataclass
import os
from pathlib import Path
import random
import resource
import subprocess
import sys
import threading
import time
from typing import Iterable

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from scripted_host import Host
from suite import BUILD, Agent, Controller
from vmbed.procs import Daemon, http_metrics, temporary_dir, wait_until

BENCH = BUILD / "tests" / "bench"
INTERVAL_MS = 1000
DEADLINE_MS = 1000  # what a guest of revision 0 gets that asks for none: its interval
DETECTION_TIME_MS = 900  # of a guest that asks for nothing
BEAT_MS = DETECTION_TIME_MS // 3
BY_DEFAULT = (BEAT_MS, DETECTION_TIME_MS)


@dataclass(frozen=True)
class Size:
    """How much of everything; the figures of the README are those of the default."""

    guests: int = 1000
    silenced: int = 300
    many_guests: int = 10_000
    stops: int = 10_000  # of guests, each too short for a fault
    window: float = 30.0  # seconds of measuring: one report of all guests to the controllers is among them


SMOKE = Size(guests=20, silenced=5, many_guests=50, stops=30, window=1.5)


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    baseline: float
    unit: str
    claim: str
    against: str

    def __str__(self) -> str:
        ratio = f"{self.value / self.baseline:8.3f}" if self.baseline else "       -"
        return (f"{self.name:<44} {self.value:10.2f} {self.unit:<4} {self.claim:<10}"
                f" {self.baseline:10.2f} {self.unit:<4} {ratio}   {self.against}")


class Program:
    """One of the benchmark's own programs: lines in, lines out; it dies with us."""

    def __init__(self, name: str, *arguments: str | Path | int) -> None:
        argv = ["setpriv", "--pdeathsig", "KILL", BENCH / name, *map(str, arguments)]
        self._popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.first_line = self.line()

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.kill()
        self._popen.wait()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def say(self, command: str) -> None:
        self._popen.stdin.write(command + "\n")

    def line(self) -> list[str]:
        words = self._popen.stdout.readline().split()
        if not words:
            raise RuntimeError(f"{self._popen.args[3]} ended with status {self._popen.wait()}")
        return words

    def beats(self) -> int:
        self.say("count")
        return int(self.line()[1])


@dataclass(frozen=True)
class Bus:
    """Settings of the two ends; without any, UNIX sockets."""

    controller: dict[str, str | Path] | None = None
    agent: dict[str, str | Path] | None = None


class Bed:
    """A controller and its inspector, an agent, and that many registered guests: of revision 0, or `times` are the
    interval and the detection time that a guest has by default."""

    def __init__(self, folder: Path, guests: int, bus: Bus = Bus(), times: tuple[int, ...] = (INTERVAL_MS,)) -> None:
        folder.mkdir()
        self.inspector = Program("bench_inspector")
        self.controller = Controller(folder / "controller", Address(self.inspector.first_line[1]), bus.controller)
        self.agent = Agent(folder / "agent", "compute-1", self.controller, bus=bus.agent)
        self.guests = Program("bench_guests", self.agent.channels, guests, *times)
        wait_until(lambda: self.metric('guests{state="registered"}') == guests, f"{guests} guests are registered", 120, 0.2)

    def __enter__(self) -> "Bed":
        return self

    def __exit__(self, *_: object) -> None:
        self.guests.__exit__()
        self.agent.close()
        self.controller.close()
        self.inspector.__exit__()

    def metric(self, name: str) -> float:
        return http_metrics(self.agent.http).get(f"vitalwire_agent_{name}", 0.0)


@dataclass(frozen=True)
class Address:
    """As an Inspector has one."""

    address: str


class PlainTimer:
    """How late this machine wakes a program that only sleeps: what nothing that runs on it can be better than."""

    NAP_SECONDS = 0.025

    def __enter__(self) -> "PlainTimer":
        self._late_ms: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._nap)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def p99_ms(self) -> float:
        return percentile_99(self._late_ms)

    def _nap(self) -> None:
        due = time.monotonic() + self.NAP_SECONDS
        while not self._done.wait(due - time.monotonic()):
            self._late_ms.append((time.monotonic() - due) * 1000)
            due = time.monotonic() + self.NAP_SECONDS


def percentile_99(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]


def stolen_seconds() -> float:
    """CPU time that the hypervisor gave to others while a process here was ready to run."""
    return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")


def cpu_us(pid: int) -> float:
    """Of all threads, to the nanosecond; hardly changed by what else the machine does."""
    spent = [int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(spent) / 1000


def memory_mb(pid: int, *fields: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.split(":")[0] in fields) / 1024


def private_mb(pid: int) -> float:
    return memory_mb(pid, "Private_Clean", "Private_Dirty")


def cpu_per_beat(host: int, guests: Program, seconds: float) -> float:
    """Microseconds of the host's process for each answer its guests gave."""
    cpu, beats = cpu_us(host), guests.beats()
    time.sleep(seconds)
    return (cpu_us(host) - cpu) / max(guests.beats() - beats, 1)


def bare_cpu_per_beat(channels: Path, guests: int, seconds: float) -> float:
    """What the same messages cost a program that does not look at them, nothing else running: the kernel's share."""
    channels.mkdir()
    with (
        Program("bench_guests", channels, guests, BEAT_MS) as bare_guests,
        Program("bench_bare_host", channels, guests, BEAT_MS) as bare_host,
    ):
        return cpu_per_beat(bare_host.pid, bare_guests, seconds)


def agent_figures(folder: Path, size: Size) -> list[Figure]:
    """Memory and CPU of an agent, beside an agent without guests and a program that only sends and reads."""
    with Bed(folder / "empty", 0) as bed:
        empty = memory_mb(bed.agent.daemon.pid, "Rss")
    bare = bare_cpu_per_beat(folder / "bare", size.guests, size.window)
    with Bed(folder / "agent", size.guests, times=BY_DEFAULT) as bed:
        agent = bed.agent.daemon.pid
        begin, spent = time.monotonic(), cpu_us(agent)
        beat = cpu_per_beat(agent, bed.guests, size.window)
        share = (cpu_us(agent) - spent) / (time.monotonic() - begin) / 10_000
        return [
            Figure(f"agent: memory with {size.guests} guests (RSS)", memory_mb(agent, "Rss"), empty, "MB", "<= 24",
                   "the agent without guests"),
            Figure("agent: CPU of a challenge and its answer", beat, bare, "us", "<= 10", "send and recv alone"),
            Figure(f"agent: share of a core with {size.guests} guests", share, 100, "%", "", "one core"),
        ]


def fault_latencies(folder: Path, guests: int, silenced: int, bus: Bus = Bus()) -> list[float]:
    """From the first challenge that a guest leaves unanswered to the inspector: milliseconds, in order."""
    with Bed(folder, guests, bus) as bed:
        chosen = random.Random(1).sample(range(guests), silenced)
        for number in chosen:
            bed.guests.say(f"silence {number}")
            time.sleep(random.uniform(0, 0.08))
        since = {guest: int(moment) for _, guest, moment in (bed.guests.line() for _ in chosen)}
        took: dict[str, float] = {}
        while len(took) < len(since):
            _, guest, status, moment, _ = bed.inspector.line()
            if guest in since and status == "down":
                took.setdefault(guest, (int(moment) - since[guest]) / 1e6)
    return sorted(took.values())


def latency_figure(folder: Path, size: Size) -> Figure:
    with PlainTimer() as timer:
        took = fault_latencies(folder / "latency", size.guests, size.silenced)
    return Figure(f"silent guest to inspector, p99 of {len(took)}", percentile_99(took), DEADLINE_MS + timer.p99_ms(),
                  "ms", f"<= {DEADLINE_MS + 20}", "the deadline by a plain timer, p99")


def scale_figures(folder: Path, size: Size) -> list[Figure]:
    bare = bare_cpu_per_beat(folder / "many", size.many_guests, size.window)
    with Bed(folder / "scale", size.many_guests, times=BY_DEFAULT) as bed:
        names = ("challenges_total", "misses_total", "responses_late_total")
        before = [bed.metric(name) for name in names]
        begin, spent = time.monotonic(), cpu_us(bed.agent.daemon.pid)
        beat = cpu_per_beat(bed.agent.daemon.pid, bed.guests, size.window)
        share = (cpu_us(bed.agent.daemon.pid) - spent) / (time.monotonic() - begin) / 10_000
        challenges, misses, late = (bed.metric(name) - old for name, old in zip(names, before))
        return [
            Figure(f"{size.many_guests} guests: missed or late answers", misses + late, challenges, "", "0",
                   "challenges in that time"),
            Figure(f"{size.many_guests} guests: CPU of a challenge and its answer", beat, bare, "us", "",
                   "send and recv alone"),
            Figure(f"{size.many_guests} guests: CPU of the agent's core", share, 100, "%", "",
                   "one core"),
            Figure(f"{size.many_guests} guests: agent's memory (RSS)", memory_mb(bed.agent.daemon.pid, "Rss"),
                   memory_mb(bed.controller.daemon.pid, "Rss"), "MB", "", "the controller's"),
        ]


def guest_figure(folder: Path) -> Figure:
    """vitalwired, registered and beating, beside a program that only sleeps."""
    argv = [BUILD / "guest" / "vitalwired", "--channel", f"unix:{folder}/channel", "--name", "vm1",
            "--app-socket", folder / "apps"]
    with Daemon(argv, folder / "guest.log") as guest, subprocess.Popen(["sleep", "600"]) as sleeper:
        try:
            host = Host(folder / "channel")
            host.register()
            for _ in range(20):
                host.challenge()
            return Figure("vitalwired: private memory", private_mb(guest.pid), private_mb(sleeper.pid), "MB", "<= 2",
                          "sleep(1)")
        finally:
            host.disconnect()
            sleeper.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small and short: shows that it runs, measures nothing")
    size = SMOKE if parser.parse_args().smoke else Size()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}: figures mean something on an idle machine")
    started, stolen = time.monotonic(), stolen_seconds()
    print(f"{'figure':<44} {'measured':>10}      {'claim':<10} {'baseline':>10}      {'ratio':>8}")
    with temporary_dir() as folder:
        for figures in (
            lambda: [guest_figure(folder)],
            lambda: agent_figures(folder, size),
            lambda: [latency_figure(folder, size)],
            lambda: scale_figures(folder, size),
        ):
            for figure in figures():
                print(figure, flush=True)
    taken = (stolen_seconds() - stolen) / (time.monotonic() - started)
    print(f"the hypervisor gave {taken:.2f} CPUs to others: above 0.02 the figures are theirs as well")


if __name__ == "__main__":
    main()
