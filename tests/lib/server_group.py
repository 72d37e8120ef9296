"""Two compute nodes with the guests of two projects: what the tests of server groups begin with."""

import contextlib
from pathlib import Path
from typing import Any

from raw_guest import RawGuest, group
from suite import Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, http_json, http_metrics, wait_until

PLACES = {"a": "compute-1", "b": "compute-1", "c": "compute-2", "x": "compute-2", "loner": "compute-2"}
GROUPS = {"a": "g", "b": "g", "c": "g", "x": "other"}
PROJECTS = {"g": "p1", "other": "p2"}


def inventory(places: dict[str, str], groups: dict[str, str], more: dict[str, str]) -> str:
    """`more`: further lines of a guest."""
    lines = [f"[group {name}]\nproject = {project}" for name, project in PROJECTS.items()]
    for guest, host in places.items():
        own_group = f"group = {groups[guest]}" if guest in groups else "messaging = yes"
        lines.append(f"[guest {guest}]\nhost = {host}\n{own_group}\n{more.get(guest, '')}")
    return "\n".join(lines) + "\n"


def wait_served(guest: RawGuest) -> None:
    """Until the agent has the guest's policy, and a controller; what the guest heard by then is forgotten."""

    def served() -> bool:
        guest.forget()
        guest.say(group("status_query", seq=1))
        wait_until(lambda: guest.heard("nack") or guest.heard("status_response_done"), "an answer")
        return bool(guest.heard("status_response_done"))

    wait_until(served, f"{guest.id} is served", pause=0.1)


def settle(guest: RawGuest, seq: int = 99) -> None:
    """Until all that the guest said before has been handled by agent and controller."""

    def answered() -> bool:
        # The answer to one that reads slowly may have given way to its peers' broadcasts.
        guest.say(group("status_query", seq=seq))
        with contextlib.suppress(TimeoutError):
            return bool(guest.wait("status_response_done", deadline=5, seq=seq))
        return False

    wait_until(answered, f"{guest.id} has an answer")


class GroupTestCase(ProcessTestCase):
    """a and b on compute-1 and c on compute-2 are a group; x is another project's, loner nobody's, both on compute-2."""

    CONTROLLERS = 1
    GUESTS = tuple(PLACES)

    def setUp(self) -> None:
        inspector = self.enterContext(Inspector())
        self.controllers = [
            Controller(self.dir / f"controller-{number}", inspector) for number in range(self.CONTROLLERS)
        ]
        for controller in self.controllers:
            self.addCleanup(lambda each=controller: each.close())
        self.controller = self.controllers[0]
        self.write_inventory()
        self.agents: dict[str, Agent] = {}
        for host in ("compute-1", "compute-2"):
            self.agents[host] = Agent(self.dir / host, host, self.controllers)
            self.addCleanup(self.agents[host].close)
        self.guests = {name: self.guest(name) for name in self.GUESTS}
        for guest in self.guests.values():
            guest.wait("nack", code="no_session")
        self.wait_served(*(guest for name, guest in self.guests.items() if name in GROUPS))

    def guest(self, name: str, channel: str = "org.vitalwire.0", host: str = "") -> RawGuest:
        guest = RawGuest(self.agents[host or PLACES[name]].channels, name, channel)
        self.addCleanup(guest.close)
        return guest

    def write_inventory(
        self,
        places: dict[str, str] | None = None,
        groups: dict[str, str] | None = None,
        **more: str,
    ) -> None:
        text = inventory({**PLACES, **(places or {})}, GROUPS if groups is None else groups, more)
        for controller in self.controllers:
            aside = controller.inventory.with_suffix(".new")
            aside.write_text(text)
            aside.rename(controller.inventory)

    def wait_served(self, *guests: RawGuest) -> None:
        """Until the policies have reached their agents, and these a controller."""
        for guest in guests:
            wait_served(guest)
        # What was told before the first of them was served has arrived when each has another answer.
        for guest in guests:
            settle(guest)
            guest.forget()

    def settle(self, guest: RawGuest, seq: int = 99) -> None:
        settle(guest, seq)

    def links(self, host: str) -> list[dict[str, Any]]:
        return http_json(self.agents[host].http, "/v1/status")["links"]

    def metric(self, where: Path, name: str) -> float:
        return http_metrics(where).get(name, 0)
