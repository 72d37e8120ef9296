"""The two guests of the project, each played one event at a time in virtual time. `play` returns what was sent, the state
and the milliseconds until the guest's timer after each event; what events are is said in guest_table.Table."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
from pathlib import Path
import select
import socket
import subprocess
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))
HEARTBEAT = "vitalwire.heartbeat"
GRAIN = 125  # milliseconds; every time of a test is a multiple of it, which a float has exactly


def line_of(event: dict, last_invocation: int) -> bytes:
    """The message that an event stands for, as a host writes it."""
    pdu = {key: value for key, value in event.items() if key not in ("do", "base")}
    if event["do"] in ("init_ack", "nack") and "invocation_id" in pdu:
        pdu["invocation_id"] = (last_invocation + (pdu["invocation_id"] == "other")) % 2**31
    source = "vitalwire.base" if event.get("base") else HEARTBEAT
    message = {"version": 2, "source_addr": source, "dest_addr": HEARTBEAT,
               "data": {"version": 1, "msg_type": event["do"], **pdu}}
    return b"\n" + json.dumps(message).encode() + b"\n"


class Line:
    """What a host has written of the events so far."""

    def __init__(self) -> None:
        self.last_invocation, self.rest = 0, b""

    def bytes_of(self, event: dict) -> bytes:
        if event["do"] == "half":
            whole = line_of(event["message"], self.last_invocation)
            self.rest = whole[len(whole) // 2:]
            return whole[:len(whole) // 2]
        if event["do"] == "rest":
            rest, self.rest = self.rest, b""
            return rest
        return line_of(event, self.last_invocation)

    def note(self, sent: list[dict]) -> None:
        for pdu in sent:
            self.last_invocation = pdu["invocation_id"] if pdu["msg_type"] == "init" else self.last_invocation


NOT_SENT = ("connect", "disconnect", "pass", "health", "settings", "stop")


class Vitalwired:
    """The state machine of vitalwired, in the program guest_machine."""

    def __init__(self) -> None:
        self._program = subprocess.Popen([BUILD / "tests" / "spec" / "guest_machine"], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, bufsize=1)

    def close(self) -> None:
        self._program.communicate()

    def play(self, events: list[dict], detection_time: int) -> list[dict]:
        line, outcomes = Line(), []
        self._tell({"do": "start", "detection_time_ms": detection_time})
        for event in events:
            if event["do"] not in NOT_SENT:
                event = {"do": "bytes", "bytes": line.bytes_of(event).decode()}
            self._tell(event)
            assert self._program.stdout
            outcomes.append(json.loads(self._program.stdout.readline()))
            line.note(outcomes[-1]["sent"])
        return outcomes

    def _tell(self, event: dict) -> None:
        print(json.dumps(event), file=self._program.stdin)


def load_python_guest() -> Any:
    spec = importlib.util.spec_from_file_location("python_guest", ROOT / "guest" / "examples" / "python_guest.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class End(BaseException):
    """No event is left."""


class Time:
    """In the place of Python's module, for one guest."""

    def __init__(self) -> None:
        self.now = 3_600_000

    def monotonic(self) -> float:
        return self.now / 1000

    def time_ns(self) -> int:
        return 41


def play_python_guest(events: list[dict], detection_time: int, health_file: Path) -> list[dict]:
    """guest/examples/python_guest.py: its loop waits on a channel that plays the host."""
    module = load_python_guest()
    module.time = Time()
    health_file.unlink(missing_ok=True)
    defaults = {"channel": "", "name": "vm1", "health_file": str(health_file)}
    settings = argparse.Namespace(**defaults, detection_time=detection_time)
    guest, left, outcomes = module.Guest(settings), iter(events), []

    class Channel(module.Channel):
        """Only finding, opening and waiting are the test's; bytes pass through a real socket."""

        def __init__(self) -> None:
            self.fd, self.line, self.to_pass, self.reconnects, self.started = None, Line(), 0, False, False

        def close(self) -> None:
            if self.fd is not None:
                self.host.close()
                self.guest.close()

        def connect(self) -> None:
            self.buffer = self.out = b""
            while not self.reconnects and self.next_event()["do"] != "connect":
                pass
            self.reconnects = False
            self.close()
            self.host, self.guest = socket.socketpair()
            self.host.setblocking(False)
            self.fd = self.guest.fileno()

        def wait(self, seconds: float) -> int:
            if self.to_pass == 0 and seconds * 1000 < GRAIN:
                return 0  # its timer has ended
            if self.to_pass == 0:
                event = self.next_event()
                if event["do"] == "connect":
                    self.reconnects = True
                    raise ConnectionResetError("another connection")
                if event["do"] == "disconnect":
                    self.host.close()
                    return select.POLLIN | select.POLLHUP
                if event["do"] not in NOT_SENT:
                    self.host.sendall(self.line.bytes_of(event))
                    return select.POLLIN
                self.to_pass = event.get("ms", 0)
            step = min(self.to_pass, int(seconds * 1000) // GRAIN * GRAIN)
            self.to_pass -= step
            module.time.now += step
            return 0

        def next_event(self) -> dict:
            if self.started:
                self.record()
            self.started = True
            event = next(left, None)
            if event is None:
                raise End
            if event["do"] == "settings":
                guest.wanted = argparse.Namespace(**defaults, detection_time=event["detection_time_ms"])
            if event["do"] == "health":
                health_file.unlink(missing_ok=True)
                if not event["healthy"]:
                    health_file.write_text(event["reason"] + "\n")
            if event["do"] == "stop":
                guest.stop()
            if event["do"] == "pass" and guest.state == "disconnected":
                module.time.now += event["ms"]
            return event

        def record(self) -> None:
            due = None if guest.state == "disconnected" else round((guest.due - module.time.monotonic()) * 1000)
            sent = [json.loads(line)["data"] for line in self.take().split(b"\n") if line]
            self.line.note(sent)
            outcomes.append({"sent": sent, "state": guest.state, "due": due})

        def take(self) -> bytes:
            with contextlib.suppress(BlockingIOError, OSError):
                return self.host.recv(1 << 20) if self.fd is not None else b""
            return b""

    guest.channel = Channel()
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            guest.run()
        except SystemExit:
            guest.channel.record()
        except End:
            pass
        finally:
            guest.channel.close()
    return outcomes
