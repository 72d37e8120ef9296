"""Commands to a guest through its control port (the guest's side is in initramfs.py)."""

import base64
from dataclasses import dataclass
from pathlib import Path
import shlex
import socket
import time


@dataclass(frozen=True)
class Result:
    status: int
    output: str


class Control:
    """A connection to the control port; opened at the first use and after it was lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._last_id = 0

    def run(self, command: str, deadline: float = 60.0) -> Result:
        """Runs a shell command in the guest; what a guest that is still starting gets waits."""
        wanted = self.send(command)
        end = time.monotonic() + deadline
        while True:
            fields = self._next_line(command, end).split(b" ")
            if len(fields) == 3 and fields[0] == wanted:
                output = base64.b64decode(fields[2]).decode(errors="backslashreplace")
                return Result(int(fields[1]), output)

    def check(self, command: str, deadline: float = 60.0) -> str:
        """Runs a command that must succeed and returns its output."""
        result = self.run(command, deadline)
        if result.status != 0:
            raise RuntimeError(f"in the guest: {command}: {result.status}: {result.output}")
        return result.output

    def write_file(self, path: str, text: str) -> None:
        """Replaces a file in the guest at once."""
        quoted = shlex.quote(path)
        encoded = base64.b64encode(text.encode()).decode()
        self.check(f"echo {encoded} | base64 -d > {quoted}.new && mv {quoted}.new {quoted}")

    def send(self, command: str) -> bytes:
        """Sends a command that may never answer (a panic, a reboot); returns its id."""
        if "\n" in command:
            raise ValueError(f"a command is one line: {command!r}")
        self._last_id += 1
        identity = b"c%d" % self._last_id
        try:
            self._send(identity, command)
        except ConnectionError:
            self.close()
            self._send(identity, command)
        return identity

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket = None
        self._buffer = b""

    def _send(self, identity: bytes, command: str) -> None:
        if not self._socket:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(str(self._path))
        # The newline ends what an earlier connection may have left half-sent.
        self._socket.settimeout(10)
        self._socket.sendall(b"\n" + identity + b" " + command.encode() + b"\n")

    def _next_line(self, command: str, end: float) -> bytes:
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                received = self._socket.recv(65536)
            except TimeoutError:
                raise TimeoutError(f"the guest did not answer: {command}") from None
            if not received:
                self.close()
                raise ConnectionError(f"the guest ended during: {command}")
            self._buffer += received
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line
