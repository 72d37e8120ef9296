"""The server group for programs on asyncio."""

from __future__ import annotations

import asyncio
import socket
from types import TracebackType
from typing import Callable, List, Optional, Type, Union

from ._aio import _in_loop
from ._group import QUERY_TIMEOUT, GroupCallbacks, GroupSession, Member, Message, Notification
from ._protocol import FIRST_RETRY, LAST_RETRY, MAX_DATAGRAM, Refused, socket_path


class AsyncGroup:
    """As Group, in its `async with`; callbacks are called from the loop, and what they raise goes to its exception handler."""

    def __init__(self, message: Optional[Callable[[Message], None]] = None,
                 notification: Optional[Callable[[Notification], None]] = None, *,
                 refused: Optional[Callable[[Refused, Optional[int]], None]] = None,
                 dropped: Optional[Callable[[int], None]] = None, path: Optional[str] = None) -> None:
        self._session = GroupSession(
            GroupCallbacks(*map(_in_loop, (message, notification, refused, dropped))))
        self._path = socket_path(path)
        self._socket: Optional[socket.socket] = None
        self._task: Optional[asyncio.Task[None]] = None
        self._connected = asyncio.Event()

    @property
    def connected(self) -> bool:
        """True while vitalwired is there. It says nothing about the host."""
        return self._socket is not None

    async def send(self, payload: Union[bytes, str]) -> int:
        """To all other members, best effort; at most 3050 bytes. Returns the number that a refusal of it names."""
        self._session.check_process()
        seq, datagram = self._session.broadcast(payload.encode() if isinstance(payload, str) else payload)
        self._send(datagram)
        return seq

    async def members(self, timeout: float = QUERY_TIMEOUT) -> List[Member]:
        """The state of all members, this one included. Refused, with a `code`, if that is not to be had in time."""
        self._session.check_process()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[List[Member]] = loop.create_future()
        deadline = loop.time() + timeout

        def done(members: Optional[List[Member]], refused: Optional[Refused]) -> None:
            if not outcome.done():
                outcome.set_exception(refused) if refused else outcome.set_result(members or [])

        try:
            await asyncio.wait_for(self._connected.wait(), timeout)
        except asyncio.TimeoutError:
            raise Refused("disconnected", "vitalwired is not connected") from None
        seq, datagram = self._session.query(deadline, done)
        expire = loop.call_at(deadline, lambda: self._session.due(loop.time()))
        try:
            self._send(datagram)
            return await outcome
        finally:
            expire.cancel()
            self._session.forget(seq)

    async def __aenter__(self) -> AsyncGroup:
        self._session.check_process()
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], problem: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        assert self._task is not None
        if not self._session.is_own_process():
            return
        self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            pass

    async def _run(self) -> None:
        retry = FIRST_RETRY
        while True:
            if await self._serve():
                retry = FIRST_RETRY
            await asyncio.sleep(retry)
            retry = min(2 * retry, LAST_RETRY)

    async def _serve(self) -> bool:
        """One connection; true when there was one."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as connection:
            try:
                await loop.sock_connect(connection, self._path)
                self._socket = connection
                self._send(self._session.subscription())
                self._connected.set()
                while datagram := await loop.sock_recv(connection, MAX_DATAGRAM):
                    if datagram.startswith(b"\n"):
                        self._session.received(datagram)
                return True
            except (OSError, Refused):
                return self._connected.is_set()
            finally:
                self._socket = None
                self._connected.clear()
                self._session.ended()

    def _send(self, datagram: bytes) -> None:
        if self._socket is None:
            raise Refused("disconnected", "vitalwired is not connected")
        try:
            self._socket.send(datagram)
        except BlockingIOError:
            raise Refused("too_many", "vitalwired does not read") from None
        except OSError:
            raise Refused("disconnected", "vitalwired went away") from None
