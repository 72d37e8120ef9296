"""The server group for one application: messages and queries under way, without any input or output
(proto-spec/server-group.md, sections 2, 3 and 6)."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
import json
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ._process import this_process
from ._protocol import Refused, WrongProcess, decode, encode

ADDRESSES = ("vitalwire.group", "vitalwire.base")
MAX_PAYLOAD, MAX_ENCODED, MAX_SEQ = 3050, 4068, 65535
QUERY_TIMEOUT = 5.0


@dataclass(frozen=True)
class Member:
    """The state of a member. `fields` has all that the host knows, also what this package does not."""

    instance_id: str
    display_name: str
    state: str
    heartbeat: Optional[str] = None
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Message:
    """A broadcast of another member, or a test of the cloud's operator."""

    source_instance: str
    data: bytes
    from_operator: bool = False


@dataclass(frozen=True)
class Notification:
    """The state of another member has changed."""

    event_type: str
    member: Member
    timestamp: Optional[str] = None


@dataclass
class GroupCallbacks:
    """Those that are given are called from poll(), or from the loop."""

    message: Optional[Callable[[Message], None]] = None
    notification: Optional[Callable[[Notification], None]] = None
    refused: Optional[Callable[[Refused, Optional[int]], None]] = None  # a broadcast; None: all that are under way
    dropped: Optional[Callable[[int], None]] = None  # so many messages were lost


@dataclass
class _Query:
    deadline: float
    done: Callable[[Optional[List[Member]], Optional[Refused]], None]
    members: List[Member] = field(default_factory=list)


def member_of(state: Any) -> Member:
    text = {key: state[key] for key in ("instance_id", "display_name", "state")}
    return Member(**text, heartbeat=state.get("heartbeat"), fields=state)


class GroupSession:
    """What is sent, and what happens when something is received. Times are seconds of a monotonic clock."""

    def __init__(self, callbacks: GroupCallbacks) -> None:
        self._callbacks, self._queries, self._last_seq = callbacks, {}, 0  # type: GroupCallbacks, Dict[int, _Query], int
        self._process = this_process()

    def is_own_process(self) -> bool:
        return this_process() == self._process

    def check_process(self) -> None:
        if not self.is_own_process():
            raise WrongProcess("the group was opened by the process that forked this one")

    def subscription(self) -> bytes:
        return encode("subscribe", broadcasts=self._callbacks.message is not None,
                      notifications=self._callbacks.notification is not None)

    @property
    def next_deadline(self) -> Optional[float]:
        return min((query.deadline for query in self._queries.values()), default=None)

    def broadcast(self, payload: bytes) -> Tuple[int, bytes]:
        """Its number and the datagram."""
        if len(payload) > MAX_PAYLOAD:
            raise Refused("too_large", f"payload of {len(payload)} bytes, at most {MAX_PAYLOAD} are accepted")
        seq = self._next_seq()
        try:
            text = payload.decode("utf-8")
            if len(json.dumps(text, ensure_ascii=False).encode()) - 2 <= MAX_ENCODED:
                return seq, self._line("broadcast", seq=seq, data=text)
        except UnicodeDecodeError:
            pass
        return seq, self._line("broadcast", seq=seq, encoding="base64", data=base64.b64encode(payload).decode())

    def query(self, deadline: float, done: Callable[[Optional[List[Member]], Optional[Refused]], None]) -> Tuple[int, bytes]:
        """Its number and the datagram. `done` is called once: with the members, or with the reason why they are not known."""
        seq = self._next_seq()
        self._queries[seq] = _Query(deadline, done)
        return seq, self._line("status_query", seq=seq)

    def forget(self, seq: int) -> None:
        """Nobody waits for a query any more, or it could not be sent: nothing is told about it."""
        self._queries.pop(seq, None)

    def received(self, datagram: bytes) -> None:
        """A datagram that begins with a newline. What breaks a rule is ignored."""
        message = decode(datagram.strip(b"\r\n"))
        data = message.get("data")
        if message.get("source_addr") not in ADDRESSES or not isinstance(data, dict) or data.get("version") != 1:
            return
        handlers = {"broadcast": self._broadcast, "notification": self._notification, "nack": self._nack,
                    "status_response": self._response, "status_response_done": self._done}
        if message["source_addr"] == "vitalwire.base" and data.get("msg_type") != "nack":
            return
        try:
            carry_out = handlers[data["msg_type"]](data)
        except (KeyError, TypeError, ValueError, AttributeError):
            return
        carry_out()  # not in the `try`: an exception of the application's callback is the application's

    def due(self, now: float) -> None:
        for seq in [seq for seq, query in self._queries.items() if now >= query.deadline]:
            self._end(seq, Refused("timeout", "the host has not answered in time"))

    def ended(self) -> None:
        """The connection has ended: answers would have come through it."""
        self._fail(Refused("disconnected", "the connection ended"))

    def _next_seq(self) -> int:
        while True:
            self._last_seq = self._last_seq % MAX_SEQ + 1
            if self._last_seq not in self._queries:
                return self._last_seq

    def _line(self, msg_type: str, **fields: Any) -> bytes:
        message = {"version": 2, "source_addr": ADDRESSES[0], "dest_addr": ADDRESSES[0],
                   "data": {"version": 1, "msg_type": msg_type, **fields}}
        return b"\n" + json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    # Each of these reads a message, and returns what is to be done about it.

    def _broadcast(self, data: Dict[str, Any]) -> Callable[[], None]:
        encoded = data.get("encoding", "utf8") == "base64"
        payload = base64.b64decode(data["data"], validate=True) if encoded else data["data"].encode()
        message = Message(data["source_instance"], payload, data.get("operator") is True)
        return self._told(data, lambda: _call(self._callbacks.message, message))

    def _notification(self, data: Dict[str, Any]) -> Callable[[], None]:
        notification = Notification(data["event_type"], member_of(data["data"]), data.get("timestamp"))
        return self._told(data, lambda: _call(self._callbacks.notification, notification))

    def _response(self, data: Dict[str, Any]) -> Callable[[], None]:
        member, seq = member_of(data["data"]), int(data["seq"])

        def keep() -> None:
            if seq in self._queries:
                self._queries[seq].members.append(member)

        return self._told(data, keep)

    def _done(self, data: Dict[str, Any]) -> Callable[[], None]:
        count, seq = int(data["count"]), int(data["seq"])

        def end() -> None:
            if seq in self._queries:
                came = len(self._queries[seq].members)
                self._end(seq, None if came == count else Refused("incomplete", f"{came} states came of {count}"))

        return self._told(data, end)

    def _nack(self, data: Dict[str, Any]) -> Callable[[], None]:
        refused, seq, about = Refused(str(data["code"]), str(data["log_msg"])), data.get("seq"), data["orig_msg_type"]

        def refuse() -> None:
            if seq in self._queries:
                self._end(seq, refused)
            elif seq is None or about != "status_query":  # else of a query that has ended
                if seq is None and about != "broadcast":
                    self._fail(refused)
                _call(self._callbacks.refused, refused, seq)

        return refuse

    def _told(self, data: Dict[str, Any], carry_out: Callable[[], None]) -> Callable[[], None]:
        dropped = int(data.get("dropped", 0))

        def both() -> None:
            if dropped > 0:
                _call(self._callbacks.dropped, dropped)
            carry_out()

        return both

    def _fail(self, refused: Refused) -> None:
        for seq in list(self._queries):
            self._end(seq, refused)

    def _end(self, seq: int, refused: Optional[Refused]) -> None:
        query = self._queries.pop(seq)
        query.done(None if refused else query.members, refused)


def _call(callback: Optional[Callable[..., None]], *arguments: Any) -> None:
    if callback is not None:
        callback(*arguments)
