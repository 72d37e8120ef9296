"""The two members of a server group that the project has, each played one event at a time in virtual time: vitalwired with
libvitalwire, and the Python package. `play` returns what was sent to the host and what the application was told."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
import socket
import subprocess
import sys
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))
sys.path.insert(0, str(ROOT / "guest" / "python"))

import vitalwire
from vitalwire import _group_blocking

GROUP = "vitalwire.group"
STATE = {"display_name": "", "state": "active", "state_description": ""}
BUSY = {"rate_limited": "busy", "too_many": "busy"}  # the port or vitalwired takes no more


class Host:
    """Writes what events stand for, and knows the `seq` of each query and broadcast."""

    def __init__(self) -> None:
        self.queries: dict[int, int] = {}  # number of the test: seq on the channel
        self.broadcasts: list[int] = []

    def line_of(self, event: dict) -> bytes:
        kind = event["do"]
        pdu = {key: event[key] for key in ("code", "log_msg", "orig_msg_type", "count", "dropped", "source_instance") if key in event}
        if "query" in event:
            pdu["seq"] = self.queries.get(event["query"], 0)
        elif event.get("of_broadcast") and self.broadcasts:
            pdu["seq"] = self.broadcasts[-1]
        if kind in ("status_response", "notification"):
            pdu["data"] = {"instance_id": event["member"], **STATE}
        if kind == "notification":
            pdu["event_type"] = "e"
        if kind == "broadcast":
            pdu |= {"data": base64.b64encode(event["payload"].encode()).decode(), "encoding": "base64"}
        source = "vitalwire.base" if event.get("base") else GROUP
        message = {"version": 2, "source_addr": source, "dest_addr": GROUP, "data": {"version": 1, "msg_type": kind, **pdu}}
        return b"\n" + json.dumps(message).encode() + b"\n"

    def read(self, sent: list[dict], asked: int) -> list[dict]:
        """What was sent, in the test's terms."""
        read = []
        for pdu in sent:
            if pdu["msg_type"] == "status_query":
                self.queries[asked] = pdu["seq"]
                read.append({"msg_type": "status_query", "query": asked})
            else:
                self.broadcasts.append(pdu["seq"])
                read.append({"msg_type": "broadcast", "payload": pdu["data"]})
        return read


NOT_SENT = ("connect", "disconnect", "full", "pass", "ask", "send")


class Vitalwired:
    """GroupApp of vitalwired and the session of libvitalwire, in the program group_machine."""

    def __init__(self) -> None:
        self._program = subprocess.Popen([BUILD / "tests" / "spec" / "group_machine"], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, bufsize=1)

    def close(self) -> None:
        self._program.communicate()

    def play(self, events: list[dict]) -> list[dict]:
        host, asked, numbers, outcomes = Host(), 0, {}, []
        print(json.dumps({"do": "start"}), file=self._program.stdin)
        for event in events:
            asked += event["do"] == "ask"
            if event["do"] not in NOT_SENT:
                event = {"do": "bytes", "bytes": host.line_of(event).decode()}
            print(json.dumps(event), file=self._program.stdin)
            assert self._program.stdout
            outcome = json.loads(self._program.stdout.readline())
            if event["do"] == "ask":
                numbers[outcome["seq"]] = asked
            told = [self._named(each, numbers) for each in outcome["told"]]
            outcomes.append({"sent": host.read(outcome["sent"], asked), "told": told})
        return outcomes

    @staticmethod
    def _named(told: dict, numbers: dict[int, int]) -> dict:
        if "query" in told:
            told["query"] = numbers[told["query"]]
        for key in ("failed", "refused"):
            told |= {key: BUSY.get(told[key], told[key])} if key in told else {}
        return {key: value for key, value in told.items() if key != "seq"}


class Time:
    def __init__(self) -> None:
        self.now = 3600.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Python:
    """vitalwire.Group on a socket whose other end, that of vitalwired, plays the host."""

    def play(self, events: list[dict]) -> list[dict]:
        self.time, self.host, self.told, self.asked = Time(), Host(), [], 0
        self.group = vitalwire.Group(lambda message: self.tell(broadcast=message.data.decode(), **{"from": message.source_instance}),
                                     lambda notification: self.tell(notification=notification.member.instance_id),
                                     refused=lambda refused, seq: self.tell(refused=refused.code),
                                     dropped=lambda count: self.tell(dropped=count))
        self.peer, self.is_full = None, False
        _group_blocking.time, own_time = self.time, _group_blocking.time
        _group_blocking._open, own_open = self.open, _group_blocking._open
        try:
            return [self.handle(event) for event in events]
        finally:
            _group_blocking.time, _group_blocking._open = own_time, own_open
            self.told = []
            self.group.close()
            if self.peer is not None:
                self.peer.close()

    def tell(self, **what: Any) -> None:
        self.told.append(what)

    def open(self, _: str) -> socket.socket:
        if self.peer is None:
            raise vitalwire.Error("not there")
        return self.ours

    def handle(self, event: dict) -> dict:
        self.told = []
        kind = event["do"]
        if kind == "connect":
            self.peer, self.ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.peer.setblocking(False)
            self.group._connect_at = 0.0
        elif kind == "disconnect":
            self.peer.close()
            self.peer = None
        elif kind == "full":
            self.is_full = event["full"]
            self.fill() if self.is_full else self.take()
        elif kind == "pass":
            self.time.now += event["ms"] / 1000
        elif kind == "ask":
            self.ask(event["ms"] / 1000)
        elif kind == "send":
            try:
                self.group.send(event["payload"])
            except vitalwire.Refused as refused:
                self.tell(refused=BUSY.get(refused.code, refused.code))
        else:
            self.peer.send(self.host.line_of(event))
        self.group.poll()
        is_asked = kind in ("ask", "send") and not self.is_full
        sent = [json.loads(line) for line in self.take() if line.startswith(b"\n")] if is_asked else []
        return {"sent": self.host.read([message["data"] for message in sent], self.asked), "told": self.told}

    def ask(self, timeout: float) -> None:
        self.asked += 1
        number = self.asked

        def done(members, refused):
            self.tell(query=number, **({"failed": refused.code} if refused else
                                       {"members": [member.instance_id for member in members]}))

        seq, datagram = self.group._session.query(self.time.now + timeout, done)
        try:
            self.group._send(datagram)
        except vitalwire.Refused as refused:
            self.group._session.forget(seq)
            self.tell(query=number, failed=BUSY.get(refused.code, refused.code))

    def fill(self) -> None:
        for size in (1000, 1):  # until not even a byte has room
            try:
                while True:
                    self.ours.send(b"x" * size, socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass

    def take(self) -> list[bytes]:
        taken = []
        try:
            while self.peer is not None:
                taken.append(self.peer.recv(8192))
        except BlockingIOError:
            pass
        return taken
