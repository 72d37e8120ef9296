#!/usr/bin/python3
"""From the moment in which a real guest stops, in an emulated machine with the default detection time, until an inspector
is notified: its daemon is stopped, QEMU itself is, or the guest's kernel panics and nobody tells the host."""

import argparse
from pathlib import Path
import os
import random
import signal
import sys
import time
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from detection import quantile
from suite import BUILD, SERVICE, Agent, Controller
from vmbed import initramfs, kernel
from vmbed.guest import Guest, Machine, Model
from vmbed.initramfs import Payload, Service
from vmbed.inspector import Inspector
from vmbed.procs import temporary_dir
from whole import DETECTION_TIME_MS, Figure, PlainTimer

GUEST = "vm-1"
PROGRAM = "/usr/sbin/vitalwired"


def stop_daemon(guest: Guest) -> float:
    """The moment is the one before it was asked for, so that the way into the guest counts against us."""
    begin = time.monotonic()
    guest.signal_service(SERVICE, "STOP")
    return begin


def freeze_machine(guest: Guest) -> float:
    begin = time.monotonic()
    os.kill(guest.pid, signal.SIGSTOP)
    return begin


def hang_kernel(guest: Guest) -> float:
    guest.ctl("rmmod pvpanic-pci")
    begin = time.monotonic()
    guest.panic()
    return begin


WAYS: dict[str, Callable[[Guest], float]] = {
    "daemon stopped": stop_daemon,
    "QEMU frozen": freeze_machine,
    "kernel hangs": hang_kernel,
}


def measure(folder: Path, model: Model, stop: Callable[[Guest], float]) -> float:
    """Milliseconds, of a guest of its own."""
    folder.mkdir()
    with Inspector() as inspector:
        controller = Controller(folder / "controller", inspector)
        agent = Agent(folder / "agent", "compute-1", controller)
        try:
            with Guest(GUEST, model, agent.channels, agent.channels.parent) as guest:
                guest.boot_from_snapshot().wait_ready()
                agent.wait_state(GUEST, "registered")
                agent.wait_beats(GUEST)
                time.sleep(random.uniform(0.0, DETECTION_TIME_MS / 1000))
                begin = stop(guest)
                inspector.wait_event(lambda event: True, "a fault")
                told = inspector.requests[0].time
                guest.kill()
                return (told - begin) * 1000
        finally:
            agent.close()
            controller.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one guest of each: shows that it runs, measures nothing")
    count = 1 if parser.parse_args().smoke else 10
    found = kernel.obtain()
    payload = Payload(files={PROGRAM: BUILD / "guest" / "vitalwired"}, services=(Service(SERVICE, (PROGRAM,)),),
                      init_lines=(f"hostname {GUEST}",))
    model = Model(found, initramfs.build(payload, found), Machine(channels=("org.vitalwire.0",)))
    with temporary_dir() as folder, PlainTimer() as timer:
        for name, stop in WAYS.items():
            taken = sorted(measure(folder / f"{stop.__name__}-{number}", model, stop) for number in range(count))
            for share, value in (("p50", quantile(taken, 0.5)), ("max", taken[-1])):
                print(Figure(f"real guest, {name}: {share} of {count}", value, DETECTION_TIME_MS + timer.p99_ms(), "ms",
                             "<= 950" if share == "max" else "", "the formula's bound and a plain timer's p99"), flush=True)


if __name__ == "__main__":
    main()
