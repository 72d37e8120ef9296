"""A fault receiver: an HTTP server that records what it is sent and can be told to fail."""

import contextlib
from dataclasses import dataclass
import http.server
import json
import socket
import threading
import time
from typing import Any, Callable

from vmbed import procs


@dataclass(frozen=True)
class Request:
    """One PUT or POST; `time` is CLOCK_MONOTONIC, comparable between processes."""

    time: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    accepted: bool


class Inspector:
    """Listens at `address` on 127.0.0.1 from the start; accepts until told otherwise."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._hanging: list[bytes] = []
        self._changed = threading.Condition()
        self._mode = "accept"
        self._server: _Server | None = None
        self._port = 0
        self.up()

    def __enter__(self) -> "Inspector":
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[Request]:
        with self._changed:
            return list(self._requests)

    def events(self) -> list[Any]:
        """The JSON objects accepted so far, in order, whether sent one at a time or as lists."""
        return _events([request.body for request in self.requests if request.accepted])

    def hanging(self) -> list[Any]:
        """Those that it was sent and has not answered yet."""
        with self._changed:
            return _events(self._hanging)

    def wait_event(
        self,
        matches: Callable[[Any], bool],
        what: str,
        deadline: float = procs.PATIENCE_SECONDS,
    ) -> Any:
        """The first accepted event that matches."""
        return procs.wait_until(
            lambda: next((event for event in self.events() if matches(event)), None),
            f"the inspector has {what}",
            deadline,
        )

    def accept(self) -> None:
        """200 from now on; requests that hang are accepted too."""
        self._set_mode("accept")

    def refuse(self) -> None:
        """503 from now on."""
        self._set_mode("refuse")

    def hang(self) -> None:
        """Takes requests and does not answer them."""
        self._set_mode("hang")

    def down(self) -> None:
        """Closes every connection and the port."""
        if self._server:
            self._set_mode("closing")
            self._server.end()
        self._server = None

    def up(self) -> None:
        """Listens again, at the same port, and accepts."""
        if self._server is None:
            self._server = _Server(self._port, self._answer)
            self._port = self._server.server_address[1]
        self.accept()

    def _set_mode(self, mode: str) -> None:
        with self._changed:
            self._mode = mode
            self._changed.notify_all()

    def _answer(self, handler: http.server.BaseHTTPRequestHandler, body: bytes) -> int | None:
        """The status to answer with, or None to drop the connection."""
        arrived = time.monotonic()
        with self._changed:
            self._hanging.append(body)
            self._changed.wait_for(lambda: self._mode != "hang")
            self._hanging.remove(body)
            accepted = self._mode == "accept"
            headers = dict(handler.headers.items())
            request = Request(arrived, handler.command, handler.path, headers, body, accepted)
            self._requests.append(request)
            return {"accept": 200, "refuse": 503}.get(self._mode)


def _events(bodies: list[bytes]) -> list[Any]:
    parsed = [json.loads(body) for body in bodies]
    return [event for body in parsed for event in (body if isinstance(body, list) else [body])]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, answer: Callable[..., int | None]) -> None:
        self.answer = answer
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or our own end(): nothing to report."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = self.server.answer(self, body)
        if status is None:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT

    def log_message(self, *_: object) -> None:
        """The requests are recorded; nothing goes to standard error."""
