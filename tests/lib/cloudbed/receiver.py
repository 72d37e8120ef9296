"""The VNF manager of the tests: an HTTP server that keeps what it is told."""
import json
import time
from dataclasses import dataclass
from typing import Any, Callable

from vmbed.procs import wait_until
from vmbed.serving import HttpAnswer, HttpRequest, HttpServing


@dataclass(frozen=True)
class Received:
    at: float  # time.monotonic()
    path: str
    body: Any


class VnfManager(HttpServing):
    """Context manager; `url` is where to send, `received` what came, oldest first."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        super().__init__()

    @property
    def url(self) -> str:
        return f"{self.base_url}/notify"

    def answer(self, request: HttpRequest) -> HttpAnswer:
        self.received.append(Received(time.monotonic(), request.path, json.loads(request.body)))
        return HttpAnswer()

    def wait_for(self, matches: Callable[[Any], bool], what: str, seconds: float = 30) -> Received:
        """The first notification whose body matches."""
        return wait_until(
            lambda: next((item for item in list(self.received) if matches(item.body)), None),
            f"the VNF manager is told: {what}",
            seconds,
        )
