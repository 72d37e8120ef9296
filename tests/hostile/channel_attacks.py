"""What a hostile guest does on its channel. An attack is begun once and then repeated, one `step` after the other."""

from collections.abc import Iterator
import contextlib
import json
from pathlib import Path
import random
import select
import socket
from typing import Any

from raw_guest import GROUP, HEARTBEAT, envelope, group, heartbeat

NATIVE = "org.vitalwire.0"
BATCH = 256 * 1024  # bytes that one step writes at most, where it is not about one huge line


class HostilePort:
    """QEMU's end of one channel: whatever connects to it is the agent."""

    def __init__(self, channels: Path, guest: str, channel: str = NATIVE) -> None:
        self.path = channels / f"{channel}.{guest}.sock"
        self._server: socket.socket | None = None
        self._connection: socket.socket | None = None
        self._unread = b""
        self.listen()

    def listen(self) -> None:
        self.path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen(8)
        self._server.setblocking(False)

    def close(self) -> None:
        self.hang_up()
        if self._server:
            self._server.close()
        self.path.unlink(missing_ok=True)

    def hang_up(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection, self._unread = None, b""

    def half_close(self) -> None:
        if self.connected():
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_WR)

    def connected(self, patience: float = 0.2) -> bool:
        """Takes the agent's newest connection."""
        if select.select([self._server], [], [], 0 if self._connection else patience)[0]:
            with contextlib.suppress(OSError):
                accepted, _ = self._server.accept()
                self.hang_up()
                accepted.setblocking(False)
                self._connection = accepted
        return self._connection is not None

    def send(self, data: bytes, patience: float = 0.2) -> None:
        """As much of it as the agent takes in that time."""
        if not self.connected():
            return
        view = memoryview(data)
        try:
            while view and select.select([], [self._connection], [], patience)[1]:
                view = view[self._connection.send(view):]
        except OSError:
            self.hang_up()

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the agent has sent until now."""
        try:
            while self.connected(0) and (data := self._connection.recv(65536)):
                *lines, self._unread = (self._unread + data).split(b"\n")
                for line in filter(None, lines):
                    message = json.loads(line)
                    yield message.get("data", message)
        except OSError:
            pass


class Attack:
    """`step` is one round of it, of some ten milliseconds."""

    name = ""
    ports = 1
    channel = NATIVE

    def __init__(self, channels: Path, chance: random.Random) -> None:
        self.chance = chance
        label = "".join(letter for letter in self.name if letter.isalnum())[:20]
        self.channels = channels
        self.open = [HostilePort(channels, f"x{label}{number}", self.channel) for number in range(self.ports)]

    def step(self) -> None:
        for port in self.open:
            self.against(port)

    def against(self, port: HostilePort) -> None:
        raise NotImplementedError

    def close(self) -> None:
        for port in self.open:
            port.close()


INIT = {"invocation_id": 7, "name": "hostile", "heartbeat_interval_ms": 100}


def init(**fields: Any) -> bytes:
    return heartbeat("init", **{**INIT, **fields})


GARBAGE = (
    b"{'version':2}", b'{"version":2}//x', b'{"version":NaN}', b'{"version":2,"x":"\xff\xfe"}', b'{"version":2,"x":"\x00"}',
    envelope(INIT).strip() * 2, b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}", b'{"version":2,"version":2}', b"[1,2,3]", b"null",
    b'{"version":1e400}', b'{"version":2,"x":"\\ud800"}', b'{"version":-1}', b'{"version":99999999999999999999}', b'"', b"{", b"\x00",
    b'{"a":' * 1000, b"\xef\xbb\xbf{}", b"1" * 5000, b'{"data":' + b'"' + b"\\" * 3000 + b'"}', b"#", b"\r", b"GET / HTTP/1.1",
)  # fmt: skip
ADDRESSES = (None, "a" * 300, "a" * 5000, "", 5, {"x": 1}, "/run/libvirt/libvirt-sock", "../../agent.sock", "vitalwire.scale",
             "cgcs.server_grp", "cgcs.scale", "org.vitalwire.0.guest-000001.sock", "\u202evitalwire")  # fmt: skip


class Garbage(Attack):
    name = "lines that are no messages"

    def against(self, port: HostilePort) -> None:
        port.send(b"\n".join(self.chance.sample(GARBAGE, 8)) + b"\n")


class Noise(Attack):
    name = "random bytes"

    def against(self, port: HostilePort) -> None:
        port.send(self.chance.randbytes(8192))


class Addresses(Attack):
    name = "addresses nobody has"

    def against(self, port: HostilePort) -> None:
        port.send(envelope(INIT, dest_addr=self.chance.choice(ADDRESSES), source_addr=self.chance.choice(ADDRESSES)))


class EndlessLine(Attack):
    name = "a line without an end"
    ports = 2

    def against(self, port: HostilePort) -> None:
        port.send(b"y" * (1 << 20))


class PendingClose(Attack):
    name = "closes with answers pending"

    def against(self, port: HostilePort) -> None:
        port.send(heartbeat("no_such_type") * 20)
        port.hang_up()


class HalfClosed(Attack):
    name = "half closed"

    def against(self, port: HostilePort) -> None:
        port.send(init())
        port.half_close()
        if self.chance.random() < 0.2:
            port.hang_up()


class BriefSockets(Attack):
    name = "sockets that come and go"

    def against(self, port: HostilePort) -> None:
        port.close()
        port.listen()
        for suffix in (".bak", "~", ".sock", "x" * 60):
            stray = self.channels / f"{port.path.name}{suffix}"
            stray.write_text("")
            stray.unlink()


class HalfLines(Attack):
    name = "half a line, then another guest"

    def against(self, port: HostilePort) -> None:
        message = init()
        port.send(message[: self.chance.randrange(len(message))])
        port.hang_up()
        port.send(message[self.chance.randrange(len(message)):])


class SingleBytes(Attack):
    name = "a byte a write"

    def against(self, port: HostilePort) -> None:
        for byte in init(name="slow"):
            port.send(bytes([byte]))


class NeverReads(Attack):
    name = "never reads"

    def against(self, port: HostilePort) -> None:
        port.send(heartbeat("no_such_type", x="y" * 100) * 40 + group("status_query", seq=1) * 40)


class Flood(Attack):
    name = "flood of valid messages"

    def against(self, port: HostilePort) -> None:
        message = self.chance.choice((init(), heartbeat("exit", log_msg="x"), heartbeat("no_such_type"), b"\n\n\n\r\n",
                                      heartbeat("challenge_response", session_id="s", heartbeat_response=1, healthy=True)))
        port.send((message * (BATCH // len(message) + 1))[:BATCH])
        list(port.messages())


class Registers(Attack):
    name = "registers all the time"
    ports = 4

    def against(self, port: HostilePort) -> None:
        port.send(init(invocation_id=self.chance.randrange(1 << 31), name=self.chance.choice(("a", "\u202eb", "c" * 64))))
        list(port.messages())


class Flaps(Attack):
    name = "unhealthy and healthy in turn"
    ports = 10

    def __init__(self, channels: Path, chance: random.Random) -> None:
        super().__init__(channels, chance)
        self._healthy = False

    def against(self, port: HostilePort) -> None:
        for message in port.messages():
            if message.get("msg_type") == "nack":
                port.send(init())
            if message.get("msg_type") == "challenge":
                self._healthy = not self._healthy
                port.send(heartbeat("challenge_response", session_id=message["session_id"], healthy=self._healthy,
                                    heartbeat_response=message["heartbeat_challenge"],
                                    log_msg=f"\u202e{self.chance.random()}\x1b[2J\n<3>forged" * 5))


class Falls(Flaps):
    name = "falls silent and returns"

    def against(self, port: HostilePort) -> None:
        for message in port.messages():
            if message.get("msg_type") in ("nack", "challenge") and self.chance.random() < 0.3:
                port.send(init())


class GroupFlood(Attack):
    name = "broadcasts and queries"
    ports = 4

    def against(self, port: HostilePort) -> None:
        port.send(group("broadcast", data=self.chance.choice(("x", "y" * 3050, "\u0000" * 500))) * 20)
        port.send(group("status_query", seq=self.chance.randrange(1 << 31)) * 20)
        list(port.messages())


class CgcsFlood(Attack):
    name = "the cgcs dialect, broken"
    channel = "cgcs.heartbeat"

    def against(self, port: HostilePort) -> None:
        fields = {"version": self.chance.choice((3, 2, -1, "3")), "revision": 1, "msg_type": "init", "sequence": 1, "invocation_id": 1,
                  "name": "c" * self.chance.choice((1, 64, 5000)), "heartbeat_interval_ms": self.chance.choice((0, 1, 400, 1 << 40)),
                  "vote_secs": 4, "shutdown_notice_secs": 9, "suspend_notice_secs": 9, "resume_notice_secs": 14, "restart_secs": -1,
                  "corrective_action": self.chance.choice(("reboot", "explode"))}  # fmt: skip
        port.send(b"\n" + json.dumps(fields).encode() + b'\n{"log_msg":"said "no""}\n')
        list(port.messages())


class CgcsGroup(Attack):
    name = "cgcs messaging, broken"
    channel = "cgcs.messaging"

    def against(self, port: HostilePort) -> None:
        data = {"version": self.chance.choice((1, 2, "version")), "msg_type": self.chance.choice(("broadcast", "status_query", "x" * 5000)),
                "seq": self.chance.choice((1, -1, 1 << 70)), "data": "z" * self.chance.choice((1, 3050, 9000))}  # fmt: skip
        port.send(envelope(data, "cgcs.server_grp") + envelope(json.dumps(data), "cgcs.server_grp"))
        list(port.messages())


ATTACKS: tuple[type[Attack], ...] = (
    Garbage, Noise, Addresses, EndlessLine, PendingClose, HalfClosed, BriefSockets, HalfLines, SingleBytes, NeverReads, Flood,
    Registers, Flaps, Falls, GroupFlood, CgcsFlood, CgcsGroup,
)  # fmt: skip
assert HEARTBEAT and GROUP
