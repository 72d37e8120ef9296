"""What runs beside a test: a thread, or an HTTP server that the test answers for. Context managers."""

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import ssl
import threading
from typing import Callable, Mapping

LOOPBACK = "127.0.0.1"


class Background:
    """Runs `run` in a thread while it is entered; `end` makes that return."""

    def __init__(self, run: Callable[[], None], end: Callable[[], None]) -> None:
        self._end = end
        self._thread = threading.Thread(target=run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._thread.join()


@dataclass(frozen=True)
class HttpRequest:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class HttpAnswer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class HttpServing(Background):
    """Answers every request with what `answer` of the class below says; at `address`, by default a port that the kernel chose.

    With `certificates`, a folder with server.pem and server.key, https. `answer` is called in a thread for each
    connection.
    """

    def __init__(self, certificates: Path | None = None, listen: tuple[str, int] = (LOOPBACK, 0)) -> None:
        serving = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = HttpRequest(self.command, self.path, self.headers, body)
                answer = serving.answer(request)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status != 204:
                    self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = do_DELETE = _serve

            def log_message(self, *_: object) -> None:
                """What comes is the test's to keep; nothing goes to standard error."""

        self._server = ThreadingHTTPServer(listen, Handler)
        self._scheme = "https" if certificates else "http"
        if certificates:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        super().__init__(self._server.serve_forever, self._server.shutdown)

    def answer(self, request: HttpRequest) -> HttpAnswer:
        raise NotImplementedError

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host}:{port}"

    @property
    def base_url(self) -> str:
        return f"{self._scheme}://{self.address}"

    def __exit__(self, *details: object) -> None:
        super().__exit__(*details)
        self._server.server_close()
