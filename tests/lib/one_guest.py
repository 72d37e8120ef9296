"""An agent, with one guest that the test plays, and links to controllers."""

from typing import Any

from raw_guest import RawGuest
from suite import Agent
from vmbed.procs import ProcessTestCase, wait_until


class OneGuestTestCase(ProcessTestCase):
    agent: Agent  # the test starts it
    guest: RawGuest

    def meet_guest(self) -> None:
        self.guest = RawGuest(self.agent.channels, "g1")
        self.addCleanup(self.guest.close)
        self.guest.register()
        self.agent.wait_state("g1", "registered")

    def lose_guest(self) -> None:
        self.guest.answering = False
        self.agent.wait_state("g1", "lost")

    def recover_guest(self) -> None:
        self.guest.answering = True
        self.agent.wait_state("g1", "registered")

    def links(self) -> list[dict[str, Any]]:
        return self.agent.status()["links"]

    def wait_links(self, count: int) -> None:
        wait_until(lambda: sum(link["up"] for link in self.links()) == count, f"{count} controllers are connected")
