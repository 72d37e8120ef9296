"""What every part of the story stands on: three guests, an agent, a controller, an inspector; a line a step."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
import sys
import time
from typing import Any
import urllib.request

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from suite import BUILD, Agent, Controller, fault_event
from vmbed import guest as vm
from vmbed import initramfs, kernel
from vmbed.guest import Guest, Model
from vmbed.initramfs import Payload, Service
from vmbed.inspector import Inspector
from vmbed.procs import PATIENCE_SECONDS, free_port

GUESTS = ("web-1", "web-2", "db-1")
WELL = "/run/orders.well"  # in a guest: its application is healthy while the file exists


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
    """A guest with vitalwired, its defaults, and applications that use libvitalwire."""
    return Payload(
        files={
            "/usr/sbin/vitalwired": BUILD / "guest" / "vitalwired",
            "/usr/bin/vitalwire-group": BUILD / "guest" / "vitalwire-group",
            "/usr/bin/active_standby": BUILD / "guest" / "examples" / "active_standby",
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
    page: str  # the address of the web page
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
    page = f"127.0.0.1:{free_port()}"
    with Step("the controller is ready, with its web page") as step:
        listen = f"unix:{folder}/controller/http.sock {page}"
        controller = Controller(folder / "controller", inspector, http__listen=listen)
        keep.callback(controller.close)
        with urllib.request.urlopen(f"http://{page}/", timeout=PATIENCE_SECONDS):
            step.outcome = f"http://{page}/"
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
    return Stage(inspector, controller, f"http://{page}/", agent, guests)
