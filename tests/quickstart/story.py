#!/usr/bin/python3
"""What ./quickstart shows: three real guests and what the inspector is told of them, a line a step."""

import argparse
import contextlib
from dataclasses import dataclass
from pathlib import Path
import signal
import sys
import time
from typing import Any, Iterator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from suite import BUILD, Agent, Controller, fault_event
from vmbed import guest as vm
from vmbed import initramfs, kernel
from vmbed.guest import Guest, Model
from vmbed.initramfs import Payload, Service
from vmbed.inspector import Inspector
from vmbed.procs import tail, temporary_dir, wait_until

GUESTS = ("web-1", "web-2", "db-1")
WELL = "/run/orders.well"  # in a guest: its application is healthy while the file exists
PAUSE_SECONDS = 5  # five times the deadline


class Step:
    """A line of the story: what happens, what came of it, and how long that took."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begin = time.monotonic()
        self.outcome = "ok"
        print(f"   {what} ... ", end="", flush=True)

    def __enter__(self) -> "Step":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: Any) -> None:
        if error is None:
            print(f"{self.outcome}  [{time.monotonic() - self._begin:.2f} s]")
        elif isinstance(error, Exception):
            print(f"FAILED: {error}")


def payload() -> Payload:
    """A guest with vitalwired, its defaults, and an application that uses libvitalwire."""
    return Payload(
        files={
            "/usr/sbin/vitalwired": BUILD / "guest" / "vitalwired",
            "/usr/bin/orders": BUILD / "guest" / "examples" / "heartbeat",
            "/usr/lib/libvitalwire.so.1": BUILD / "guest" / "lib" / "libvitalwire.so.1",
        },
        services=(
            Service("vitalwired", ("/usr/sbin/vitalwired",)),
            Service("orders", ("/usr/bin/orders", "orders", WELL)),
        ),
        init_lines=(f"touch {WELL}", "hostname vnf"),
    )


@dataclass
class Stage:
    """Everything that runs."""

    inspector: Inspector
    controller: Controller
    agent: Agent
    guests: dict[str, Guest]

    def told(self, guest: str, kind: str, status: str, after: int) -> dict[str, Any]:
        """What the inspector is told of the fault, not counting its first `after` events."""
        matches = fault_event(guest, kind, status)
        return self.inspector.wait_event(
            lambda event: matches(event) and event in self.inspector.events()[after:],
            f"{kind} of {guest}: {status}",
        )["details"]


def set_up(folder: Path, keep: contextlib.ExitStack) -> Stage:
    print("== three guests, an agent, a controller, an inspector")
    inspector = keep.enter_context(Inspector())
    with Step("the controller is ready"):
        controller = Controller(folder / "controller", inspector)
        keep.callback(controller.close)
    with Step("the agent is ready"):
        agent = Agent(folder / "compute-1", "compute-1", controller)
        keep.callback(agent.close)
    with Step("the guests' kernel and image") as step:
        found = kernel.obtain()
        model = Model(found, initramfs.build(payload(), found))
        step.outcome = found.folder.name
    with Step("a guest boots and is saved, unless an earlier run has done it"):
        vm.snapshot(model)
    guests = {name: keep.enter_context(Guest(name, model, agent.channels, folder)) for name in GUESTS}
    with Step("three guests go on where the saved one was") as step:
        for guest in guests.values():
            guest.boot_from_snapshot()
        for guest in guests.values():
            guest.wait_ready()
        step.outcome = ", ".join(GUESTS)
    return Stage(inspector, controller, agent, guests)


def tell(stage: Stage) -> None:
    print("== what happens to them")
    with Step("they register") as step:
        for name in GUESTS:
            stage.agent.wait_state(name, "registered")
        step.outcome = "registered"
    with Step("they answer three challenges each") as step:
        for name in GUESTS:
            wait_until(lambda: stage.agent.guest(name)["responses"] >= 3, f"{name} answers")
        times = [stage.agent.guest(name)["last_round_trip_us"] / 1000 for name in GUESTS]
        step.outcome = "healthy, answers within " + ", ".join(f"{each:.1f} ms" for each in times)

    web = stage.guests["web-1"]
    fault(stage, "web-1", "its application turns unhealthy", "unhealthy", lambda: web.ctl(f"rm {WELL}"))
    cleared(stage, "web-1", "its application heals", "unhealthy", lambda: web.ctl(f"touch {WELL}"))
    fault(stage, "web-1", "its daemon is stopped (SIGSTOP)", "heartbeat_lost",
          lambda: web.signal_service("vitalwired", "STOP"))
    cleared(stage, "web-1", "its daemon goes on (SIGCONT)", "heartbeat_lost",
            lambda: web.signal_service("vitalwired", "CONT"))
    pause(stage, "web-1")
    fault(stage, "web-2", "its kernel panics", "vm_crashed", stage.guests["web-2"].panic)
    fault(stage, "db-1", "its QEMU is killed", "vm_crashed", stage.guests["db-1"].kill)


def fault(stage: Stage, guest: str, what: str, kind: str, cause: Any) -> None:
    before = len(stage.inspector.events())
    with Step(f"{guest}: {what}") as step:
        cause()
        details = stage.told(guest, kind, "down", before)
        words = ": ".join(filter(None, (details["detail"], details["reason"])))
        step.outcome = f"FAULT at the inspector: {kind} ({words})"


def cleared(stage: Stage, guest: str, what: str, kind: str, cause: Any) -> None:
    before = len(stage.inspector.events())
    with Step(f"{guest}: {what}") as step:
        cause()
        details = stage.told(guest, kind, "up", before)
        step.outcome = f"CLEARED at the inspector: {kind} ({details['clear_reason']})"


def pause(stage: Stage, guest: str) -> None:
    before = (stage.inspector.events(), stage.agent.faults_opened())
    with Step(f"{guest}: paused for {PAUSE_SECONDS} s, five deadlines, and resumed") as step:
        stage.guests[guest].pause()
        stage.agent.wait_state(guest, "held")
        time.sleep(PAUSE_SECONDS)
        stage.guests[guest].resume()
        stage.agent.wait_beats(guest)
        if (stage.inspector.events(), stage.agent.faults_opened()) != before:
            raise RuntimeError(f"a fault was opened: {stage.inspector.events()[len(before[0]):]}")
        step.outcome = "NO fault, and it beats again"


def sum_up(stage: Stage) -> None:
    events = [event["details"] for event in stage.inspector.events()]
    opened = sum(details["status"] == "down" for details in events)
    print(f"== the inspector was told of {opened} faults and {len(events) - opened} recoveries")
    with Step("open at the controller") as step:
        found = [(each["guest"], each["kind"], each["detail"]) for each in stage.controller.faults()]
        step.outcome = "; ".join(" ".join(each) for each in sorted(found))
        if sorted(found) != [("db-1", "vm_crashed", "failed"), ("web-2", "vm_crashed", "panicked")]:
            raise RuntimeError(f"expected the two crashes, found {found}")


def offer(stage: Stage) -> None:
    """web-1 still beats: time to look around."""
    print(f"""
== web-1 still beats; look around in another terminal
   {BUILD}/cli/vitalwire --agent {stage.agent.http} watch
   {BUILD}/cli/vitalwire --agent {stage.agent.http} faults
   curl -s --unix-socket {stage.controller.http} http://localhost/v1/faults
   kill {stage.guests["web-1"].pid}      # its QEMU: see the fault arrive

   Press Enter to end everything.""")
    sys.stdin.readline()


NEXT = """
What to try next
   ./run-tests                        every test, on real guests and a real libvirt too
   proto-spec/README.md               write a guest in your language; guest/examples/python_guest.py is one
   guest/examples/heartbeat.c         give your application a heartbeat"""


def interrupt_on_signals() -> None:
    """The first one ends everything in order; more of them do not disturb that."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(*_: Any) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, interrupt)


@contextlib.contextmanager
def logs_after_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception:
        for log in sorted(folder.rglob("*.log")):
            print(f"--- {log.name}\n{tail(log)}", file=sys.stderr)
        raise


def main() -> int:
    parser = argparse.ArgumentParser(prog="quickstart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="do not wait for Enter at the end")
    options = parser.parse_args()
    interrupt_on_signals()
    begin = time.monotonic()
    try:
        with temporary_dir() as folder, logs_after_failure(folder), contextlib.ExitStack() as keep:
            stage = set_up(folder, keep)
            tell(stage)
            sum_up(stage)
            if not options.check and sys.stdin.isatty():
                offer(stage)
    except KeyboardInterrupt:
        print("\nquickstart: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # already told by its step
        print(f"quickstart: {error}", file=sys.stderr)
        return 1
    print(f"== done in {time.monotonic() - begin:.0f} s{NEXT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
