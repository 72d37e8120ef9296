"""For programs on asyncio."""

from __future__ import annotations

import asyncio
import socket
from types import TracebackType
from typing import Any, Awaitable, Callable, List, Optional, Set, Type

from ._protocol import (FIRST_RETRY, LAST_RETRY, MAX_DATAGRAM, Action, Health, Refused, Session, encode, socket_path,
                        times_of)


def _in_loop(callback: Optional[Callable[..., None]]) -> Optional[Callable[..., None]]:
    """A callback whose exceptions go to the loop's handler, as those of the loop's own callbacks do: the task that calls it
    goes on."""
    if callback is None:
        return None

    def call(*arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception as problem:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"exception in {callback!r}, a callback of vitalwire", "exception": problem})

    return call


class AsyncApplication:
    """An application that is watched between start() and close(), or in its `async with`, as long as the loop runs.
    Parameters and callbacks as for Application; callbacks are called from the loop, and what `on_registration` raises goes
    to the loop's exception handler. `on_action` is a coroutine function,
    which may take its time: heartbeats go on beside it. It returns None when there is nothing against the action, or all
    is ready, or why it is rejected."""

    def __init__(self, name: str, health: Optional[Callable[[], Health]] = None, *,
                 detection_time: Optional[float] = None, interval: Optional[float] = None,
                 timeout: Optional[float] = None, path: Optional[str] = None,
                 on_registration: Optional[Callable[[Optional[Refused]], None]] = None,
                 on_action: Optional[Callable[[Action], Awaitable[Optional[str]]]] = None) -> None:
        self._session = Session(name, health, times_of(detection_time, interval, timeout), _in_loop(on_registration),
                                None if on_action is None else lambda action: self._asked(on_action, action))
        self._answering: Set[asyncio.Task[None]] = set()  # the loop itself does not keep its tasks
        self._path = socket_path(path)
        self._socket: Optional[socket.socket] = None
        self._task: Optional[asyncio.Task[None]] = None

    @property
    def registered(self) -> bool:
        """True while the application is watched."""
        return self._session.registered

    async def start(self) -> None:
        self._session.check_process()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def report(self, health: Health) -> None:
        """A change of health, at once. While vitalwired is away it is kept."""
        self._session.check_process()
        self._send(self._session.report(health))

    async def close(self) -> None:
        """Ends the registration: the application is not watched any more. In a child that was forked it does nothing."""
        if self._task is None or not self._session.is_own_process():
            return
        self._send([encode("deregister")])
        for each in list(self._answering):
            each.cancel()
        self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            pass
        self._task = None

    async def __aenter__(self) -> AsyncApplication:
        await self.start()
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], problem: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        await self.close()

    def _asked(self, on_action: Callable[[Action], Awaitable[Optional[str]]], action: Action) -> List[bytes]:
        task = asyncio.get_running_loop().create_task(self._answer(on_action, action))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        return []

    async def _answer(self, on_action: Callable[[Action], Awaitable[Optional[str]]], action: Action) -> None:
        try:
            self._send(self._session.answer(action, await on_action(action)))
        except Exception as problem:
            self._send(self._session.failed(action, problem))

    async def _run(self) -> None:
        retry = FIRST_RETRY
        while True:
            if await self._serve():
                retry = FIRST_RETRY
            await asyncio.sleep(retry)
            retry = min(2 * retry, LAST_RETRY)

    async def _serve(self) -> bool:
        """One connection; true when the application was registered on it."""
        loop = asyncio.get_running_loop()
        was_registered = False
        try:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        except OSError as problem:
            self._session.cannot_connect(self._path, problem)
            return False
        with connection:
            try:
                await loop.sock_connect(connection, self._path)
            except OSError as problem:
                self._session.cannot_connect(self._path, problem)
                return False
            try:
                self._socket = connection
                self._send(self._session.connected())
                while True:
                    datagram = await self._receive(loop, connection)
                    if datagram == b"":
                        return was_registered
                    if datagram is not None:
                        self._send(self._session.received(datagram, loop.time()))
                    self._send(self._session.due(loop.time()))
                    was_registered = was_registered or self._session.registered
            except OSError:
                return was_registered
            finally:
                self._socket = None
                self._session.disconnected()

    async def _receive(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> Optional[bytes]:
        """A datagram; empty at the end of the connection; None when a registration is to be repeated."""
        at = self._session.register_at
        try:
            return await asyncio.wait_for(loop.sock_recv(connection, MAX_DATAGRAM),
                                          None if at is None else max(0.0, at - loop.time()))
        except asyncio.TimeoutError:
            return None

    def _send(self, datagrams: List[bytes]) -> None:
        for datagram in datagrams:
            try:
                if self._socket is not None:
                    self._socket.send(datagram)
            except OSError:
                return  # the end of the connection shows itself to the next recv
