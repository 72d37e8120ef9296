"""A client of QEMU's monitor protocol."""

from collections import deque
import json
from pathlib import Path
import socket
import time
from typing import Any


class QmpError(RuntimeError):
    """The monitor refused a command."""


class Qmp:
    """One connection. Events that arrive beside replies are kept, in order, until asked for."""

    def __init__(self, path: Path, deadline: float = 30.0) -> None:
        self.events: deque[dict[str, Any]] = deque()
        self._socket = socket.socket(socket.AF_UNIX)
        self._buffer = b""
        try:
            self._socket.settimeout(deadline)
            self._socket.connect(str(path))
            self._next_message(deadline)  # the greeting
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def execute(self, command: str, deadline: float = 60.0, **arguments: Any) -> Any:
        """Sends a command and returns what it returned. Argument names take _ for -."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        request = {"execute": command, "arguments": named}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        end = time.monotonic() + deadline
        while True:
            message = self._next_message(end - time.monotonic())
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise QmpError(f"{command}: {message['error']['desc']}")
            elif "return" in message:
                return message["return"]

    def wait_event(self, name: str, deadline: float = 60.0, **data: Any) -> dict[str, Any]:
        """The next event of that name whose data holds these values; earlier events are dropped."""
        end = time.monotonic() + deadline
        while True:
            if not self.events:
                self._await_event(name, end)
            event = self.events.popleft()
            found = event.get("data", {})
            if event["event"] == name and all(found.get(k) == v for k, v in data.items()):
                return event

    def close(self) -> None:
        self._socket.close()

    def _await_event(self, name: str, end: float) -> None:
        try:
            self.events.append(self._next_message(end - time.monotonic()))
        except TimeoutError:
            raise TimeoutError(f"no event {name} from QEMU") from None

    def _next_message(self, timeout: float) -> dict[str, Any]:
        end = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(end - time.monotonic(), 0.001))
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("QEMU closed its monitor")
            self._buffer += received
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)
