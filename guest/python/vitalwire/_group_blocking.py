"""The server group for programs with a loop or a thread of their own."""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Callable, List, Optional, Type, Union

from ._blocking import _close_copy, _open, _wait
from ._group import QUERY_TIMEOUT, GroupCallbacks, GroupSession, Member, Message, Notification
from ._protocol import FIRST_RETRY, LAST_RETRY, MAX_DATAGRAM, Error, Refused, socket_path


class Group:
    """The server group of this machine: the callbacks are called from poll(), often enough and with no other thread. What
    is asked for by `message` and `notification` comes unasked; without them only send() and members() are of use.

    vitalwired may start later, and be restarted: poll() connects again. What was under way is lost, as anything may be."""

    def __init__(self, message: Optional[Callable[[Message], None]] = None,
                 notification: Optional[Callable[[Notification], None]] = None, *,
                 refused: Optional[Callable[[Refused, Optional[int]], None]] = None,
                 dropped: Optional[Callable[[int], None]] = None, path: Optional[str] = None) -> None:
        self._session = GroupSession(GroupCallbacks(message, notification, refused, dropped))
        self._path = socket_path(path)
        self._socket: Optional[socket.socket] = None
        self._connect_at, self._retry = 0.0, FIRST_RETRY

    @property
    def connected(self) -> bool:
        """True while vitalwired is there. It says nothing about the host."""
        return self._socket is not None

    def poll(self, timeout: float = 0.0) -> None:
        """Handles what is there, after waiting for it for up to `timeout` seconds."""
        end = time.monotonic() + timeout
        while True:
            self._turn(end)
            if time.monotonic() >= end:
                return

    def send(self, payload: Union[bytes, str]) -> int:
        """To all other members, best effort; at most 3050 bytes. Returns the number that a refusal of it names."""
        self._session.check_process()
        seq, datagram = self._session.broadcast(payload.encode() if isinstance(payload, str) else payload)
        self._send(datagram)
        return seq

    def members(self, timeout: float = QUERY_TIMEOUT) -> List[Member]:
        """The state of all members, this one included. Refused, with a `code`, if that is not to be had in time."""
        self._session.check_process()
        outcome: List[Union[List[Member], Refused]] = []
        end = time.monotonic() + timeout
        while not self.connected and time.monotonic() < end:
            self._turn(end)
        seq, datagram = self._session.query(end, lambda members, refused: outcome.append(refused or members or []))
        try:
            self._send(datagram)
            while not outcome:
                self._turn(end)
        finally:
            self._session.forget(seq)
        if isinstance(outcome[0], Refused):
            raise outcome[0]
        return outcome[0]

    def close(self) -> None:
        if not self._session.is_own_process():
            return _close_copy(self._socket)
        self._disconnect()

    def __enter__(self) -> Group:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], problem: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def _turn(self, end: float) -> None:
        """One wait, and what comes of it."""
        self._session.check_process()
        now = time.monotonic()
        self._connect(now)
        soon = min(end, self._session.next_deadline or end)
        if self._socket is None:
            time.sleep(max(0.0, min(soon, self._connect_at) - now))
        elif _wait(self._socket, max(0.0, soon - now)):
            self._receive()
        self._session.due(time.monotonic())

    def _connect(self, now: float) -> None:
        if self._socket is not None or now < self._connect_at:
            return
        try:
            self._socket = _open(self._path)
            self._send(self._session.subscription())
        except (Error, OSError):
            self._socket = None
            self._retry_later(now)

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
        self._retry = FIRST_RETRY
        if datagram.startswith(b"\n"):
            self._session.received(datagram)

    def _send(self, datagram: bytes) -> None:
        if self._socket is None:
            raise Refused("disconnected", "vitalwired is not connected")
        try:
            self._socket.send(datagram, socket.MSG_DONTWAIT)
        except BlockingIOError:
            raise Refused("too_many", "vitalwired does not read") from None
        except OSError:
            raise Refused("disconnected", "vitalwired went away") from None

    def _disconnect(self) -> None:
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)  # a forked child's copy would keep it open
            except OSError:
                pass
            self._socket.close()
        self._socket = None
        self._session.ended()
