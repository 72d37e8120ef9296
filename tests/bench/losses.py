#!/usr/bin/python3
"""From the moment in which a host falls silent, and in which the hypervisor reports a machine's end, until an inspector is
notified: the distribution, beside what is allowed and how late a plain timer is. Nothing fails because a machine is slow.
"""

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
import random
import signal
import time

from whole import Address, Figure, PlainTimer, Program  # and through it tests/lib
from detection import histogram, quantile
from scripted_qemu import ScriptedQemu
from suite import Agent, Controller
from vmbed.procs import temporary_dir, wait_until

SILENCE_MS = 900  # host_unreachable_after
EVENT_MS = 50


@dataclass(frozen=True)
class Size:
    hosts: int = 3
    silences: int = 30
    machines: int = 100


SMOKE = Size(silences=2, machines=8)


class Notified:
    """What the inspector is told."""

    def __init__(self) -> None:
        self.program = Program("bench_inspector")
        self.address = Address(self.program.first_line[1])

    def wait(self, who: str, kind: str, status: str) -> int:
        """When, in nanoseconds of the monotonic clock."""
        while True:
            _, name, told_status, at, told_kind = self.program.line()
            if (name, told_kind, told_status) == (who, kind, status):
                return int(at)


def silent_hosts(folder: Path, size: Size) -> list[float]:
    """Milliseconds from each stop of an agent, whose kernel keeps its connection, until its host is unreachable."""
    folder.mkdir()
    taken: list[float] = []
    with ExitStack() as keep:
        notified = Notified()
        keep.callback(notified.program.__exit__)
        controller = Controller(folder / "controller", notified.address)
        keep.callback(controller.close)
        agents = [Agent(folder / name, name, controller) for name in (f"compute-{n}" for n in range(1, size.hosts + 1))]
        for agent in agents:
            keep.callback(agent.close)
        wait_until(lambda: controller.status()["agents"]["connected"] == size.hosts, "all agents are connected")
        for number in range(size.silences):
            agent = agents[number % size.hosts]
            time.sleep(1 + random.uniform(0.0, 0.3))  # the keep-alives' period is 0.3 s
            stopped = time.monotonic_ns()
            agent.daemon.signal(signal.SIGSTOP)
            taken.append((notified.wait(agent.host, "host_unreachable", "down") - stopped) / 1e6)
            agent.daemon.signal(signal.SIGCONT)
            notified.wait(agent.host, "host_unreachable", "up")
    return sorted(taken)


def machine_events(folder: Path, size: Size) -> list[float]:
    """Milliseconds from each event of a machine's monitor."""
    folder.mkdir()
    taken: list[float] = []
    with ExitStack() as keep:
        notified = Notified()
        keep.callback(notified.program.__exit__)
        controller = Controller(folder / "controller", notified.address)
        keep.callback(controller.close)
        agent = Agent(folder / "agent", "compute-1", controller, heartbeat__machine_faults="all")
        keep.callback(agent.close)
        machines = {}
        for number in range(size.machines):
            name = f"machine-{number}"
            machines[name] = ScriptedQemu(agent.channels / f"{name}.qmp")
            keep.callback(machines[name].close)
        wait_until(lambda: all(qemu.answered for qemu in machines.values()), "the agent reads all monitors")
        for number, (name, qemu) in enumerate(machines.items()):
            time.sleep(random.uniform(0.0, 0.06))
            begin, kind = time.monotonic_ns(), report(qemu, number)
            taken.append((notified.wait(name, kind, "down") - begin) / 1e6)
    return sorted(taken)


def report(qemu: ScriptedQemu, number: int) -> str:
    """One of the ways in which a machine ends; returns the kind of its fault."""
    ways = ("panic", "disk", "watchdog", "error")
    way = ways[number % len(ways)]
    if way == "panic":
        qemu.event("GUEST_PANICKED", action="pause")
        return "vm_crashed"
    if way == "error":
        qemu.event("SHUTDOWN", guest=False, reason="host-error")
        return "vm_crashed"
    if way == "watchdog":
        qemu.event("WATCHDOG", action="pause")
        return "watchdog_fired"
    qemu.status = "io-error"
    qemu.event("BLOCK_IO_ERROR", device="vda", action="stop", reason="No space left on device")
    qemu.event("STOP")
    return "stopped_by_host"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small and short: shows that it runs, measures nothing")
    size = SMOKE if parser.parse_args().smoke else Size()
    with temporary_dir() as folder, PlainTimer() as timer:
        silences = silent_hosts(folder / "silences", size)
        events = machine_events(folder / "events", size)
        late = timer.p99_ms()
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        print(Figure(f"silent host to inspector, {name} of {len(silences)}", quantile(silences, share), SILENCE_MS + late,
                     "ms", "<= 1000" if name == "p99" else "", "the bound and a plain timer's p99"))
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        print(Figure(f"machine's event to inspector, {name} of {len(events)}", quantile(events, share), late, "ms",
                     f"<= {EVENT_MS}" if name == "p99" else "", "a plain timer's p99"))
    print("a silent host is found after 600 to 900 ms, by when it sent its last keep-alive:")
    print(histogram(silences))


if __name__ == "__main__":
    main()
