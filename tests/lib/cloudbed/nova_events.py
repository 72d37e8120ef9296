"""What Nova notifies of, recorded from its exchange: it shows a state that a server had for a moment only."""
import json
import socket
import threading
from dataclasses import dataclass

import amqp

from vmbed.serving import Background

from .cloud import Cloud
from .settings import PASSWORD

PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Change:
    server: str
    state: str
    task: str
    host: str


class NovaEvents(Background):
    """Context manager; `changes`: every state of a server since it was entered, oldest first."""

    def __init__(self, cloud: Cloud) -> None:
        self.changes: list[Change] = []
        self._ended = threading.Event()
        address = f"127.0.0.1:{cloud.config.ports['broker']}"
        self._connection = amqp.Connection(address, userid="cloudbed", password=PASSWORD)
        self._connection.connect()
        channel = self._connection.channel()
        queue = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(queue, "nova", "versioned_notifications.*")
        channel.basic_consume(queue, no_ack=True, callback=self._take)
        super().__init__(self._read, self._ended.set)

    def states(self, server: str) -> list[str]:
        """Each once in a row."""
        states = [change.state for change in list(self.changes) if change.server == server]
        return [state for state, before in zip(states, ["", *states]) if state != before]

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                self._connection.drain_events(timeout=PAUSE_SECONDS)
            except socket.timeout:
                continue
        self._connection.close()

    def _take(self, message: amqp.Message) -> None:
        inner = json.loads(json.loads(message.body)["oslo.message"])
        if not inner["event_type"].startswith("instance."):
            return
        data = inner["payload"]["nova_object.data"]
        known = (data["uuid"], data["state"], data["task_state"] or "", data["host"] or "")
        self.changes.append(Change(*known))
