"""For programs with a loop or a thread of their own."""

from __future__ import annotations

import select
import socket
import struct
import time
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Type, Union

from ._protocol import (FIRST_RETRY, LAST_RETRY, MAX_DATAGRAM, Action, Error, Health, Item, Refused, Session, Status,
                        _Later, checked, decode, encode, no_connection, socket_path, times_of)

PATIENCE = 5.0  # of a question with one answer


def _open(path: str, patience: float = 0.0) -> socket.socket:
    """A vitalwired that stands still takes no connections, and the queue of them is full at some time: nobody waits
    longer than `patience` for it. 0: not at all."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Without blocking, a queue that is full is a failure at once: settimeout() does not make connect() wait for it.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(patience), 0))
    connection.setblocking(patience > 0)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    connection.settimeout(patience or None)
    return connection


def _close_copy(connection: Optional[socket.socket]) -> None:
    """The connection is the parent's: it goes on."""
    if connection is not None:
        connection.close()


def _open_now(path: str) -> socket.socket:
    try:
        return _open(path, PATIENCE)
    except OSError as problem:
        raise Error(no_connection(path, problem)) from None


def _wait(connection: socket.socket, seconds: float) -> bool:
    """True when there is something to read, or the connection has ended. Not by select(): descriptors may be above 1023."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


class Application:
    """An application that is watched while poll() is called often enough: at least every `timeout` seconds.
    One that hangs is found within `detection_time`, 0.9 s by default: the sum of `interval` and `timeout`.
    ValueError: the name has other than 1 to 32 letters, digits, '.', '_' and '-', or a time is out of its range, 0.1 to
    3600 s for `interval`, 0.05 s to the interval for `timeout`.

    `health` is called for each question and before each registration, which carries its answer; without it the last
    report() is the answer. vitalwired may start later, and be restarted: connection and registration are repeated by
    poll(). `on_registration` is called with None when the application is watched, and with the refusal when it is not.

    `on_action` is called before actions of the cloud, and after them: at first with the vote, then with the notice. It
    returns None when there is nothing against it, or all is ready; or why it is rejected; or LATER, when answer() will
    be called: heartbeats go on in between, if poll() is called."""

    def __init__(self, name: str, health: Optional[Callable[[], Health]] = None, *,
                 detection_time: Optional[float] = None, interval: Optional[float] = None,
                 timeout: Optional[float] = None, path: Optional[str] = None,
                 on_registration: Optional[Callable[[Optional[Refused]], None]] = None,
                 on_action: Optional[Callable[[Action], Union[None, str, _Later]]] = None) -> None:
        self._session = Session(name, health, times_of(detection_time, interval, timeout), on_registration,
                                None if on_action is None else lambda action: self._asked(on_action, action))
        self._path = socket_path(path)
        self._socket: Optional[socket.socket] = None
        self._connect_at, self._retry = 0.0, FIRST_RETRY

    @property
    def registered(self) -> bool:
        """True while the application is watched."""
        return self._session.registered

    def poll(self, timeout: float = 0.0) -> None:
        """Handles what is there, after waiting for it for up to `timeout` seconds."""
        self._session.check_process()
        end = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            self._connect(now)
            self._send(self._session.due(now))
            left = max(0.0, end - now)
            if self._socket is None:
                time.sleep(min(left, max(0.0, self._connect_at - now)))
            else:
                soon = min(left, max(0.0, (self._session.register_at or now + left) - now))
                if _wait(self._socket, soon):
                    self._receive()
            if time.monotonic() >= end:
                return

    def report(self, health: Health) -> None:
        """A change of health, at once. While vitalwired is away it is kept."""
        self._session.check_process()
        self._send(self._session.report(health))

    def answer(self, action: Action, reject: Optional[str] = None) -> None:
        """Answers what was answered with LATER; `reject`: why it is rejected, None when all is ready."""
        self._session.check_process()
        self._send(self._session.answer(action, reject))

    def close(self) -> None:
        """Ends the registration: the application is not watched any more. In a child that was forked it frees the child's
        copy and nothing else."""
        if not self._session.is_own_process():
            return _close_copy(self._socket)
        if self._socket is not None:
            self._send([encode("deregister")])
        self._disconnect()

    def __enter__(self) -> Application:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], problem: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def _asked(self, on_action: Callable[[Action], Union[None, str, _Later]], action: Action) -> List[bytes]:
        try:
            answer = on_action(action)
            return [] if isinstance(answer, _Later) else self._session.answer(action, answer)
        except Exception as problem:
            return self._session.failed(action, problem)

    def _connect(self, now: float) -> None:
        if self._socket is not None or now < self._connect_at:
            return
        try:
            self._socket = _open(self._path)
        except OSError as problem:
            self._retry_later(now)
            self._session.cannot_connect(self._path, problem)
            return
        self._send(self._session.connected())

    def _retry_later(self, now: float) -> None:
        self._connect_at = now + self._retry
        self._retry = min(2 * self._retry, LAST_RETRY)

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            datagram = self._socket.recv(MAX_DATAGRAM)
        except OSError:
            datagram = b""
        if not datagram:
            self._disconnect()
            self._retry_later(time.monotonic())
            return
        self._send(self._session.received(datagram, time.monotonic()))
        if self._session.registered:
            self._retry = FIRST_RETRY

    def _send(self, datagrams: List[bytes]) -> None:
        for datagram in datagrams:
            try:
                if self._socket is not None:
                    self._socket.send(datagram, socket.MSG_DONTWAIT)
            except OSError:
                return  # the end of the connection shows itself to the next recv

    def _disconnect(self) -> None:
        if self._socket is not None:
            # Not by close() alone: a forked child's copy would keep the connection open.
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it ended from the other side
            self._socket.close()
        self._socket = None
        self._session.disconnected()


def _ask(path: Optional[str], kind: str, **fields: Any) -> Dict[str, Any]:
    with _open_now(socket_path(path)) as connection:
        try:
            connection.send(encode(kind, **fields))
            message = decode(connection.recv(MAX_DATAGRAM))
        except OSError as problem:
            raise Error(f"vitalwired did not answer: {problem}") from None
    if message.get("type") == "refused":
        raise Refused(str(message.get("code")), str(message.get("message")))
    return message


def report(name: str, health: Health, *, every: Optional[float] = None, path: Optional[str] = None) -> None:
    """The health of something without a process. It stays until it is reported again or forgotten; with `every` it turns
    unhealthy by itself when it is not reported again within so many seconds."""
    health = checked(health, "a report")
    _ask(path, "set", name=name, healthy=health.healthy, reason=health.reason,
         valid_ms=None if every is None else round(every * 1000))


def forget(name: str, *, path: Optional[str] = None) -> None:
    """A report, or an application that ended, counts no longer."""
    _ask(path, "forget", name=name)


def status(*, path: Optional[str] = None) -> Status:
    """How this machine is, why, and everything that is watched in it."""
    items: List[Item] = []
    while True:
        message = _ask(path, "status", **{"from": len(items)})
        page = [Item(**{key: each[key] for key in Item.__dataclass_fields__ if key in each})
                for each in message.get("items", [])]
        items += page
        if not page or len(items) >= message.get("total", 0):
            return Status(bool(message.get("registered")), str(message.get("host", "")), bool(message.get("healthy")),
                          str(message.get("reason", "")), items)
