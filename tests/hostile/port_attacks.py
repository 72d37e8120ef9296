"""What strangers do at the TCP ports of a controller: the bus, the HTTP interface, Tacker's registrations.

They come from 127.0.0.2, so that a bound by address is seen to spare the others."""

import contextlib
import json
from pathlib import Path
import random
import socket
import uuid

SEEDS = Path(__file__).resolve().parents[1] / "fuzz" / "seeds" / "bus"  # well-formed messages, kept with the protocol
STRANGER = "127.0.0.2"
MOST_OPEN = 300


class PortAttack:
    """Against one of `ports`: "bus", "http", "tacker", by name."""

    name = ""
    port = ""

    def __init__(self, ports: dict[str, int], chance: random.Random) -> None:
        self.address = ("127.0.0.1", ports[self.port])
        self.chance = chance
        self.held: list[socket.socket] = []

    def step(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        while self.held:
            self.held.pop().close()

    def connect(self) -> socket.socket | None:
        """None if nobody takes it."""
        link = socket.socket()
        link.settimeout(0.2)
        try:
            link.bind((STRANGER, 0))
            link.connect(self.address)
        except OSError:
            link.close()
            return None
        self.held.append(link)
        while len(self.held) > MOST_OPEN:
            self.held.pop(0).close()
        return link

    def say(self, data: bytes) -> None:
        """On a connection of its own."""
        link = self.connect()
        if link:
            with contextlib.suppress(OSError):
                link.sendall(data)


class Idle(PortAttack):
    """Connects and says nothing."""

    def step(self) -> None:
        for _ in range(10):
            self.connect()


class Babble(PortAttack):
    """Bytes that are no message of anybody."""

    def step(self) -> None:
        self.say(self.chance.choice((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"{" * 5000, b"\x00" * 4096, b"\n" * 9000,
                                     self.chance.randbytes(2000), b"[" * 100_000 + b"\n", b'{"type":"ping"}\n' * 100)))  # fmt: skip


class HalfRequests(PortAttack):
    def step(self) -> None:
        for _ in range(5):
            self.say(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ")


class BadRequests(PortAttack):
    def step(self) -> None:
        server, tenant = uuid.uuid4(), "t" * 16
        self.say(self.chance.choice((
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
            b"POST /v1/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 5000,
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + b"x" * 5000,
            b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
            b"GET /v1/guests HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
            b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 5,
            f"DELETE /v2/{tenant}/servers/{server}/alarms/{server} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 50,
            f"POST /v2/{tenant}/servers/{server}/alarms HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]".encode() * 20,
        )))  # fmt: skip


def seed(name: str) -> dict:
    return json.loads((SEEDS / name).read_text())


class FalseAgent(PortAttack):
    """A host of its own that reports thousands of faults of guests that do not exist."""

    name = "bus: an agent that invents faults"
    port = "bus"

    def step(self) -> None:
        fault = seed("faults")["faults"][0]
        faults = [{**fault, "id": str(uuid.uuid4()), "guest": f"invented-{self.chance.randrange(10**6)}"} for _ in range(100)]
        self.report({**seed("hello"), "host": f"stranger-{self.chance.randrange(5)}"}, {"type": "state_begin"},
                  {"type": "faults", "faults": faults}, {"type": "state_end"})

    def report(self, *messages: dict) -> None:
        self.say(b"".join(json.dumps(message).encode() + b"\n" for message in messages))


class ConfusedAgent(FalseAgent):
    name = "bus: an agent of a later release, or none"

    def step(self) -> None:
        fault = {**seed("faults")["faults"][0], "kind": "invented_kind"}
        self.report({**seed("hello"), "host": "later"}, {"type": "faults", "faults": [fault]}, {"type": "no_such_message"},
                  *[seed("lead_changed")] * 200, {"type": "guests", "guests": [{"guest": "x" * 9000}]})


def variants(base: type[PortAttack], what: str, ports: tuple[str, ...]) -> list[type[PortAttack]]:
    return [type(base.__name__, (base,), {"name": f"{port}: {what}", "port": port}) for port in ports]


ATTACKS: list[type[PortAttack]] = [
    *variants(Idle, "connections that say nothing", ("bus", "http", "tacker")),
    *variants(Babble, "bytes that are no message", ("bus", "http", "tacker")),
    *variants(HalfRequests, "half a request", ("http", "tacker")),
    *variants(BadRequests, "requests that are none", ("http", "tacker")),
    FalseAgent,
    ConfusedAgent,
]
