"""The VNF manager of the tests: an HTTP server that keeps what it is told."""
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable

from vmbed.procs import wait_until

from .services import LOOPBACK


@dataclass(frozen=True)
class Received:
    at: float  # time.monotonic()
    path: str
    body: Any


class VnfManager:
    """Context manager; `url` is where to send, `received` what came, oldest first."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                manager.received.append(Received(time.monotonic(), self.path, json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_address[1]}/notify"

    def __enter__(self) -> "VnfManager":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, matches: Callable[[Any], bool], what: str, seconds: float = 30) -> Received:
        """The first notification whose body matches."""
        return wait_until(
            lambda: next((item for item in list(self.received) if matches(item.body)), None),
            f"the VNF manager is told: {what}",
            seconds,
        )
