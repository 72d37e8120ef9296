"""Messages and the state of one application, without any input or output."""

from __future__ import annotations

from dataclasses import dataclass, field
import errno
import json
import os
import re
from typing import Any, Callable, Dict, List, Optional, Tuple

from ._process import this_process

MAX_DATAGRAM, MAX_REASON = 8192, 224
DETECTION_TIME_MS = 900
FIRST_RETRY, LAST_RETRY, LAST_REGISTRATION_RETRY = 0.1, 2.0, 5.0
REPORT_ID = 0  # no registration's: what is said about a report is not said about the registration


class Error(Exception):
    """vitalwired is not there, or sent what it should not."""


class Refused(Error):
    """vitalwired did not carry a request out."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def no_connection(path: str, problem: OSError) -> str:
    return f"cannot connect to vitalwired on {path}: {problem.strerror or problem}"


class WrongProcess(Error):
    """The application was made by the process that forked this one."""


@dataclass(frozen=True)
class Health:
    healthy: bool = True
    reason: str = ""


@dataclass(frozen=True)
class Action:
    """What the cloud is about to do with this machine, or has done.

    `event`: "stop", "reboot", "pause", "suspend", "resize_begin", "live_migrate_begin" or "cold_migrate_begin" before;
    "unpause", "resume", "resize_end", "live_migrate_end" or "cold_migrate_end" after it; "maintenance_begin" and
    "maintenance_end" of an operator's work. Others may be added: they need no answer of their own. `may_reject`: a vote, else a notice; the action begins when all who got it have answered.
    `timeout`: so many seconds the answer is waited for, after which silence is consent; 0: nobody waits."""

    id: int
    event: str
    may_reject: bool
    timeout: float


class _Later:
    """The type of LATER."""


LATER = _Later()
"""What an action's callback returns when answer() will be called for it."""


@dataclass(frozen=True)
class Item:
    """A check, application or report."""

    kind: str
    name: str
    state: str
    reason: str = ""
    pid: Optional[int] = None
    uid: Optional[int] = None


@dataclass
class Status:
    registered: bool
    host: str
    healthy: bool
    reason: str
    items: List[Item] = field(default_factory=list)


def socket_path(given: Optional[str]) -> str:
    return given or os.environ.get("VITALWIRE_SOCKET") or "/run/vitalwire/guest.sock"


def encode(kind: str, **fields: Any) -> bytes:
    """Text may be any: what UTF-8 has no bytes for is escaped (file names by os.fsdecode()), a long reason is cut."""
    message = {"version": 1, "type": kind}
    for key, value in fields.items():
        if isinstance(value, str):
            text = value.encode("utf-8", "backslashreplace")
            value = (text[:MAX_REASON] if key == "reason" else text).decode("utf-8", "ignore")
        if value is not None:
            message[key] = value
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def checked(health: Any, what: str) -> Health:
    if not isinstance(health, Health):
        raise TypeError(f"{what} is {type(health).__name__}, expected Health")
    return Health(bool(health.healthy), str(health.reason))


def decode(datagram: bytes) -> Dict[str, Any]:
    """An empty object for what is no message: a later vitalwired may say more than this package knows."""
    try:
        message = json.loads(datagram)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def times_of(detection_time: Optional[float], interval: Optional[float],
             timeout: Optional[float]) -> Tuple[int, int]:
    """Interval and timeout in milliseconds. What is not given follows from the detection time, their sum."""
    whole, between, answer = (_milliseconds(name, seconds) for name, seconds in (
        ("detection_time", detection_time), ("interval", interval), ("timeout", timeout)))
    _check_range("detection_time", whole, 200, 7_200_000)
    if whole is None:
        between = max(DETECTION_TIME_MS // 2, answer or 0) if between is None else between
        answer = between if answer is None else answer
    else:
        between = (whole - whole // 2 if answer is None else whole - answer) if between is None else between
        answer = whole - between if answer is None else answer
    _check_range("interval", between, 100, 3_600_000)
    _check_range("timeout", answer, 50, between)
    if whole not in (None, between + answer):
        raise ValueError("detection_time: expected the sum of interval and timeout")
    return between, answer


def _milliseconds(name: str, seconds: Optional[float]) -> Optional[int]:
    try:
        return None if seconds is None else round(seconds * 1000)
    except (OverflowError, ValueError):  # infinite, or no number
        raise ValueError(f"{name}: expected seconds, not {seconds}") from None


def _check_range(name: str, given: Optional[int], least: int, most: int) -> None:
    if given is not None and not least <= given <= most:
        raise ValueError(f"{name}: expected {least / 1000:g} to {most / 1000:g} seconds")


class Session:
    """One application: what it sends when something happens. Times are seconds of a monotonic clock."""

    def __init__(self, name: str, health: Optional[Callable[[], Health]], times: Tuple[int, int],
                 on_registration: Optional[Callable[[Optional[Refused]], None]],
                 on_action: Optional[Callable[[Action], List[bytes]]]) -> None:
        # Here it is an error of the program; vitalwired could only refuse it again and again.
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,32}", name):
            raise ValueError("name: expected 1 to 32 letters, digits, '.', '_' and '-'")
        self.name, self.on_registration, self._on_action = name, on_registration, on_action
        self.interval_ms, self.timeout_ms = times
        self.registered = False
        self.register_at: Optional[float] = None  # a refused registration is repeated then
        self._may_report = False  # a registration was sent, and not refused
        self._callback, self._last = health, Health()
        self._id, self._retry, self._refusal = 0, FIRST_RETRY, ""
        self._process = this_process()

    def is_own_process(self) -> bool:
        return this_process() == self._process

    def check_process(self) -> None:
        if not self.is_own_process():
            raise WrongProcess("the application was made by the process that forked this one")

    def disconnected(self) -> None:
        self.registered = self._may_report = False
        self.register_at = None

    def connected(self) -> List[bytes]:
        self.disconnected()
        return self.register() + ([] if self._on_action is None else [encode("actions", wanted=True)])

    def register(self) -> List[bytes]:
        # One that starts again with the fault of its predecessor must not end that: it says how it is now.
        self._ask()
        self.register_at, self._may_report = None, True
        self._id = self._id % 0x7fffffff + 1
        return [encode("register", id=self._id, name=self.name, interval_ms=self.interval_ms,
                       timeout_ms=self.timeout_ms, healthy=self._last.healthy, reason=self._last.reason)]

    def report(self, health: Health) -> List[bytes]:
        self._last = checked(health, "a report")
        return self._report() if self._may_report else []  # else the registration will have it

    def due(self, now: float) -> List[bytes]:
        return self.register() if self.register_at is not None and now >= self.register_at else []

    def received(self, datagram: bytes, now: float) -> List[bytes]:
        message = decode(datagram)
        kind = message.get("type")
        if kind == "query" and self.registered:
            return self._answer(message.get("query"))
        if kind == "action" and self._on_action is not None:
            return self._on_action(Action(message.get("action", 0), str(message.get("event")),
                                          message.get("revocable") is True, message.get("timeout_ms", 0) / 1000))
        if kind == "registered" and message.get("id") == self._id:
            self.registered, self.register_at, self._retry, self._refusal = True, None, FIRST_RETRY, ""
            self._notify(None)
        # Without an id it is about a message that could not be read: what was registered before still is.
        if kind == "refused" and message.get("id", REPORT_ID if self.registered else self._id) == self._id:
            self._refused(Refused(str(message.get("code")), str(message.get("message"))), now)
        return []

    @staticmethod
    def answer(action: Action, reject: Optional[str]) -> List[bytes]:
        if reject is not None and not isinstance(reject, str):
            raise TypeError(f"the answer to an action is {type(reject).__name__}, expected str or None")
        result = "complete" if reject is None else "reject"
        return [encode("vote", action=action.id, result=result, reason=reject or None)]

    @staticmethod
    def failed(action: Action, problem: Exception) -> List[bytes]:
        """Consent, but the operator sees why nothing better was to be had."""
        return [encode("vote", action=action.id, result="error", reason=f"{type(problem).__name__}: {problem}")]

    def _answer(self, query: Any) -> List[bytes]:
        self._ask()
        return self._report(query)

    def _ask(self) -> None:
        if self._callback is None:
            return
        try:
            self._last = checked(self._callback(), "what health() returned")
        except Exception as problem:  # its text is the reason: the application is not healthy
            self._last = Health(False, f"{type(problem).__name__}: {problem}")

    def _report(self, query: Any = None) -> List[bytes]:
        return [encode("report", id=REPORT_ID, query=query, healthy=self._last.healthy, reason=self._last.reason)]

    def cannot_connect(self, path: str, problem: OSError) -> None:
        """A vitalwired that may still come is waited for in silence; a socket that is not for this user is told."""
        if problem.errno not in (errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN, errno.EINTR):
            self._tell(Refused("system", no_connection(path, problem)))

    def _refused(self, refusal: Refused, now: float) -> None:
        self.registered = self._may_report = False
        self.register_at = now + self._retry
        self._retry = min(2 * self._retry, LAST_REGISTRATION_RETRY)
        self._tell(refusal)

    def _tell(self, refusal: Refused) -> None:
        if str(refusal) != self._refusal:
            self._refusal = str(refusal)
            self._notify(refusal)

    def _notify(self, refusal: Optional[Refused]) -> None:
        if self.on_registration is not None:
            self.on_registration(refusal)
