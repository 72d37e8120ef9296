"""Guests register, beat, turn unhealthy, hang, crash and recover; each fault arrives at the inspector."""

import time
from typing import Any

from stage import GUESTS, WELL, Stage, Step
from vmbed.procs import wait_until

PAUSE_SECONDS = 5  # five times the deadline


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
