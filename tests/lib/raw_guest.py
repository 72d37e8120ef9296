"""A guest played byte by byte by a test: it listens where QEMU would, and says what it is told to say."""

import json
from pathlib import Path
import socket
import threading
from typing import Any

from vmbed.procs import PATIENCE_SECONDS, wait_until

HEARTBEAT = "vitalwire.heartbeat"
GROUP = "vitalwire.group"


def envelope(data: Any, address: str = HEARTBEAT, **keys: Any) -> bytes:
    message = {"version": 2, "source_addr": address, "dest_addr": address, "data": data, **keys}
    return b"\n" + json.dumps(message).encode() + b"\n"


def heartbeat(msg_type: str, **fields: Any) -> bytes:
    return envelope({"version": 1, "msg_type": msg_type, **fields})


def group(msg_type: str, **fields: Any) -> bytes:
    return envelope({"version": 1, "msg_type": msg_type, **fields}, GROUP)


class RawGuest:
    """Reads all the time on a thread of its own; answers challenges by itself while `answering`."""

    def __init__(self, channels: Path, guest: str, channel: str = "org.vitalwire.0") -> None:
        self.id = guest
        self.path = channels / f"{channel}.{guest}.sock"
        self.answering = True
        self.healthy = True  # what it answers
        self.session = ""
        self.challenges = 0
        self.longest_line = 0  # both newlines included
        self._lines: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._connection: socket.socket | None = None
        self._reading = threading.Event()
        self._reading.set()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """As QEMU ends: the socket goes, and with it the channel."""
        self._server.close()
        self.path.unlink(missing_ok=True)
        self.hang_up()

    def hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def stop_reading(self) -> None:
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    def say(self, data: bytes) -> None:
        wait_until(lambda: self._connection is not None, f"the agent connects to {self.id}")
        assert self._connection is not None
        self._connection.sendall(data)

    def register(self, interval: int = 200, name: str = "raw") -> None:
        self.say(heartbeat("init", invocation_id=7, name=name, heartbeat_interval_ms=interval))
        self.wait("init_ack")

    def heard(self, msg_type: str) -> list[dict[str, Any]]:
        with self._changed:
            return [data for data in self._lines if data.get("msg_type") == msg_type]

    def wait(self, msg_type: str, count: int = 1, deadline: float = PATIENCE_SECONDS, **fields: Any) -> dict[str, Any]:
        """The `count`th message of that type and with those fields."""

        def found() -> dict[str, Any]:
            matching = [data for data in self.heard(msg_type) if fields.items() <= data.items()]
            return matching[count - 1] if len(matching) >= count else {}

        return wait_until(found, f"{self.id} receives {count} {msg_type} {fields or ''}", deadline)

    def forget(self) -> None:
        with self._changed:
            self._lines.clear()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connection = connection
            try:
                self._read(connection)
            except OSError:
                pass
            if self._connection is connection:
                self._connection = None  # until the agent connects again
                connection.close()

    def _read(self, connection: socket.socket) -> None:
        buffer = b""
        while True:
            self._reading.wait()
            data = connection.recv(65536)
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in filter(None, lines):
                self.longest_line = max(self.longest_line, len(line) + 2)
                self._hear(connection, json.loads(line))

    def _hear(self, connection: socket.socket, message: dict[str, Any]) -> None:
        data = message.get("data", message)
        if data.get("msg_type") == "init_ack":
            self.session = data.get("session_id", "")  # cgcs guests have none
        self.challenges += data.get("msg_type") == "challenge"
        if data.get("msg_type") == "challenge" and self.answering:
            connection.sendall(
                heartbeat(
                    "challenge_response",
                    session_id=data["session_id"],
                    heartbeat_response=data["heartbeat_challenge"],
                    healthy=self.healthy,
                )
            )
        with self._changed:
            self._lines.append(data)
