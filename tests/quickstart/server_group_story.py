"""The three guests form a server group: messages, peers' states, and a pair that fails over; no network in any of them."""

import os
import signal
from typing import Callable

from stage import GUESTS, Stage, Step
from vmbed.guest import Guest
from vmbed.procs import wait_until

PAIR = ("web-1", "web-2")
HEARD = "/run/heard"  # in a guest: what its group said
ROLE = "/run/role"  # in a guest of the pair: what it has been, a line each time it changed


def tell(stage: Stage) -> None:
    print("== they form a server group")
    boot_again(stage)
    with Step("the inventory puts them into one group") as step:
        write_inventory(stage, {})
        for guest in stage.guests.values():
            wait_for(guest, "vitalwire-group status", lambda text: text.count("\n") == len(GUESTS), "knows its group")
        step.outcome = "each guest knows its peers"
    web_1, web_2, db_1 = (stage.guests[name] for name in GUESTS)
    for guest in stage.guests.values():
        guest.ctl(f"vitalwire-group listen </dev/null >{HEARD} 2>&1 &")
    broadcast(web_1, (web_2, db_1))
    with Step("db-1: stopped, says the inventory") as step:
        write_inventory(stage, {"db-1": "stopped"})
        for guest in (web_1, web_2):
            receives(guest, "notification\tdb-1\tstopped\t")
        step.outcome = "its peers are notified"
    with Step("web-2: asks for the state of its group") as step:
        states = [line.split("\t")[:2] for line in web_2.ctl("vitalwire-group status").splitlines()]
        step.outcome = ", ".join(" ".join(each) for each in sorted(states))
        if sorted(states) != [["db-1", "stopped"], ["web-1", "active"], ["web-2", "active"]]:
            raise RuntimeError(f"expected db-1 stopped and the others active, got {states}")
    fail_over(stage)


def boot_again(stage: Stage) -> None:
    """Those of which the story before made an end."""
    with Step("web-2 and db-1 boot again") as step:
        before = len(stage.inspector.events())
        for name in ("web-2", "db-1"):
            stage.guests[name].kill()
            stage.guests[name].boot_from_snapshot()
        for name in ("web-2", "db-1"):
            stage.guests[name].wait_ready()
            stage.told(name, "vm_crashed", "up", before)
        step.outcome = "both faults CLEARED at the inspector"


def write_inventory(stage: Stage, states: dict[str, str], members: tuple[str, ...] = GUESTS) -> None:
    """The members in one group, active but for those named."""
    sections = ["[group shop]\nname = The shop"]
    for name in members:
        sections.append(f"[guest {name}]\nhost = {stage.agent.host}\ngroup = shop\nstate = {states.get(name, 'active')}")
    stage.controller.write_inventory("\n\n".join(sections) + "\n")


def broadcast(sender: Guest, peers: tuple[Guest, ...]) -> None:
    with Step(f"{sender.name}: broadcasts to its group") as step:
        line = f"broadcast\t{sender.name}\tprice list changed"

        def heard() -> bool:
            # A peer that does not listen yet when it is sent does not get it.
            sender.ctl("vitalwire-group send 'price list changed'")
            return all(line in peer.ctl(f"cat {HEARD}") for peer in peers)

        wait_until(heard, f"{' and '.join(peer.name for peer in peers)} receive {line!r}")
        step.outcome = "heard by " + " and ".join(peer.name for peer in peers)


def fail_over(stage: Stage) -> None:
    """guest/examples/active_standby in two guests; the one that is active freezes."""
    with Step("db-1: leaves the group, says the inventory") as step:
        write_inventory(stage, {}, PAIR)
        for name in PAIR:
            guest = stage.guests[name]
            wait_for(guest, "vitalwire-group status", lambda text: text.count("\n") == len(PAIR), "knows one peer")
        step.outcome = "a pair remains"
    for name in PAIR:
        stage.guests[name].ctl(f"active_standby --instance {name} </dev/null >{ROLE} 2>&1 &")
    with Step("web-1 and web-2: elect one active") as step:
        active = wait_until(lambda: elected(stage), "exactly one of the pair is active")
        standby = next(name for name in PAIR if name != active)
        step.outcome = f"{active} is active"
    with Step(f"{active}: freezes") as step:
        os.kill(stage.guests[active].pid, signal.SIGSTOP)
        wait_until(lambda: role(stage.guests[standby]) == "active", f"{standby} takes over")
        step.outcome = f"{standby} takes over"
    with Step(f"{active}: goes on") as step:
        os.kill(stage.guests[active].pid, signal.SIGCONT)
        wait_until(lambda: role(stage.guests[active]) == "standby", f"{active} steps back")
        active = wait_until(lambda: elected(stage), "exactly one of the pair is active")
        step.outcome = f"again one is active: {active}"


def role(guest: Guest) -> str:
    """What it is now."""
    return guest.ctl(f"tail -n 1 {ROLE}").partition(":")[0]


def elected(stage: Stage) -> str:
    """The one that is active, while the other is standby; else nobody."""
    roles = {name: role(stage.guests[name]) for name in PAIR}
    if sorted(roles.values()) != ["active", "standby"]:
        return ""
    return next(name for name, each in roles.items() if each == "active")


def receives(guest: Guest, line: str) -> None:
    wait_for(guest, f"cat {HEARD}", lambda text: line in text, f"receives {line!r}")


def wait_for(guest: Guest, command: str, is_so: Callable[[str], bool], what: str) -> None:
    wait_until(lambda: is_so(guest.ctl(f"{command} || true")), f"{guest.name} {what}")
