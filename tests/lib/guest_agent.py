"""QEMU guest agents for tests: one that is played, byte by byte, and Debian's own program."""

import json
import os
from pathlib import Path
import select
import shutil
import socket
import threading
from typing import Any, Callable, Iterable

from vmbed.procs import Process

CHANNEL = "org.qemu.guest_agent.0"
RESET = b"\xff"


def program() -> str | None:
    """Debian's qemu-ga; None where its package is not installed."""
    return shutil.which("qemu-ga", path=os.environ.get("PATH", "") + ":/usr/sbin")


class RealGuestAgent(Process):
    """qemu-ga, which listens where QEMU would."""

    def __init__(self, channels: Path, guest: str, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        binary = program()
        assert binary is not None
        path = channels / f"{CHANNEL}.{guest}.sock"
        super().__init__([binary, "-m", "unix-listen", "-p", path, "-t", folder], folder / "qemu-ga.log")


class PlayedGuestAgent:
    """Reads as qemu-ga does: objects back to back, whatever newlines are between; a half one swallows what follows until
    the byte 0xFF, which is answered with an error. A command waits in the port while nobody serves it."""

    def __init__(self, channels: Path, guest: str, channel: str = CHANNEL) -> None:
        self.path = channels / f"{channel}.{guest}.sock"
        self.commands: list[str] = []
        self.resets = 0
        self.before_answers = b""  # what it sends before the next answer
        self._buffer = b""
        self._served = threading.Event()
        self._served.set()
        self._connection: socket.socket | None = None
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen(1)
        threading.Thread(target=self._serve, daemon=True).start()

    def hang(self) -> None:
        self._served.clear()

    def go_on(self) -> None:
        """Answers all that it was sent in between."""
        self._served.set()

    def hold_half_a_command(self) -> None:
        """As after a host that was cut off in the middle of one."""
        self._buffer = b'{"execute":"guest-s'

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> None:
        assert self._connection is not None
        self._connection.sendall(data)

    def close(self) -> None:
        self._server.close()
        self.path.unlink(missing_ok=True)
        self.hang_up()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connection = connection
            try:
                while data := connection.recv(65536):
                    self._served.wait()
                    for byte in data:
                        self._take(connection, bytes([byte]))
            except OSError:
                pass
            self._connection = None
            connection.close()

    def _take(self, connection: socket.socket, byte: bytes) -> None:
        if byte == RESET:
            self.resets += 1
            self._buffer = b""
            self._answer(connection, {"error": {"class": "GenericError", "desc": "JSON parse error, stray '\ufffd'"}})
            return
        self._buffer += byte
        try:
            command = json.loads(self._buffer)
        except ValueError:
            return
        self._buffer = b""
        self.commands.append(command["execute"])
        self._answer(connection, {"return": command.get("arguments", {}).get("id", {})})

    def _answer(self, connection: socket.socket, answer: dict[str, Any]) -> None:
        before, self.before_answers = self.before_answers, b""
        connection.sendall(before + json.dumps(answer).encode() + b"\n")


class Crowd:
    """Many guest agents on one thread. Each answers its first question and hangs from then on: it keeps the connection and
    reads nothing, until they all go on."""

    def __init__(self, channels: Path, guests: Iterable[str]) -> None:
        self._poller = select.epoll()
        self._ends: dict[int, Callable[[], None]] = {}
        self._sockets: list[socket.socket] = []
        self._hung: list[socket.socket] = []
        self._hanging = True
        for guest in guests:
            server = socket.socket(socket.AF_UNIX)
            server.bind(str(channels / f"{CHANNEL}.{guest}.sock"))
            server.listen(1)
            self._watch(server, lambda each=server: self._accept(each))
        threading.Thread(target=self._serve, daemon=True).start()

    def go_on(self) -> None:
        self._hanging = False
        for connection in self._hung:
            self._poller.modify(connection, select.EPOLLIN)

    def _watch(self, one: socket.socket, readable: Callable[[], None]) -> None:
        self._sockets.append(one)
        self._ends[one.fileno()] = readable
        self._poller.register(one, select.EPOLLIN)

    def _serve(self) -> None:
        while True:
            for descriptor, _ in self._poller.poll():
                self._ends[descriptor]()

    def _accept(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        self._watch(connection, lambda: self._answer(connection))

    def _answer(self, connection: socket.socket) -> None:
        data = connection.recv(1 << 20)
        commands = [json.loads(line) for line in data.lstrip(RESET).splitlines() if line.startswith(b"{")]
        for command in commands:
            connection.sendall(json.dumps({"return": command["arguments"]["id"]}).encode() + b"\n")
        if not data:
            self._poller.unregister(connection)
        elif commands and self._hanging:
            self._hung.append(connection)
            self._poller.modify(connection, 0)
