"""When what happened to a fault, from the heartbeat's deadline to the VNF manager."""

from dataclasses import dataclass, field
from datetime import datetime, timezone
import statistics
import threading
import time

from vmbed.procs import wait_until
from vmbed.serving import Background

# What is not told to the test itself is known to this; it has to leave the machine to those it measures.
PAUSE_SECONDS = 0.01


@dataclass
class Times:
    """Of one fault, by time.monotonic()."""

    deadline: float = 0.0
    reached: dict[str, float] = field(default_factory=dict)  # what, in this order

    def beyond_deadline(self) -> dict[str, float]:
        """In milliseconds."""
        return {what: 1000 * (at - self.deadline) for what, at in self.reached.items()}


class Stopwatch(Background):
    """Watches an agent and a controller from before a guest hangs until the sink has delivered and Nova has changed.

    It asks only the suite itself: what Vitrage and Nova have done is known there, by the sink's proof and by Nova's
    notification.
    """

    def __init__(self, agent, controller, guest, sinks, until_state) -> None:
        self._agent, self._controller, self._guest = agent, controller, guest
        self._sinks, self._until_state = sinks, until_state
        self._last_look = time.monotonic()
        self._seen: dict[str, float] = {}
        self._fault: dict = {}
        self._challenges = agent.guest(guest)["challenges"]
        self._ended = threading.Event()
        super().__init__(self._watch, self._ended.set)

    def times(self, response_deadline: float, told: dict[str, float]) -> Times:
        """`told`: what the test saw itself, when."""
        wanted = {"booked", "state", *self._sinks}
        wait_until(lambda: wanted <= self._seen.keys(), "the fault has gone all its ways")
        opened = datetime.fromisoformat(self._fault["opened_at"].replace("Z", "+00:00"))
        clocks = time.time() - time.monotonic()
        reached = {
            "agent: opened": opened.astimezone(timezone.utc).timestamp() - clocks,
            "controller: booked": self._seen["booked"],
            **{f"{sink}: delivered": self._seen[sink] for sink in self._sinks},
            f"Nova: {self._until_state}": self._seen["state"],
            **told,
        }
        return Times(self._seen["challenge"] + response_deadline, reached)

    def _watch(self) -> None:
        while not self._ended.wait(PAUSE_SECONDS):
            if "challenge" in self._seen:
                self._look_at_controller()
            else:
                self._look_at_agent()

    def _look_at_agent(self) -> None:
        """The challenge was sent since the last look: from there on the guest's time runs."""
        now = time.monotonic()
        if self._agent.guest(self._guest).get("challenges", 0) > self._challenges:
            self._seen["challenge"] = self._last_look
        self._last_look = now

    def _look_at_controller(self) -> None:
        for fault in self._controller.page("/v1/faults")["faults"]:
            if fault["guest"] != self._guest:
                continue
            self._fault = fault
            now = time.monotonic()
            self._seen.setdefault("booked", now)
            for delivery in fault["deliveries"]:
                if delivery["state"] == "acknowledged":
                    self._seen.setdefault(delivery["sink"], now)
        for guest in self._controller.page("/v1/guests")["guests"]:
            if guest["guest"] == self._guest and guest["cloud_state"] == self._until_state:
                self._seen.setdefault("state", time.monotonic())


def table(title: str, all_times: list[Times]) -> str:
    """A line for each step, with the milliseconds beyond the deadline of each fault and their median."""
    rows = [times.beyond_deadline() for times in all_times]
    lines = [f"{title}: milliseconds beyond the heartbeat's deadline (median, each)"]
    for what in rows[0]:
        values = [row[what] for row in rows]
        each = " ".join(f"{value:6.0f}" for value in values)
        lines.append(f"  {what:<28} {statistics.median(values):6.0f}   {each}")
    return "\n".join(lines)


def median_of_last(all_times: list[Times]) -> float:
    """How long it took until everybody knew, in milliseconds beyond the deadline."""
    return statistics.median(max(times.beyond_deadline().values()) for times in all_times)
