"""What stands before a service: passes everything on, or answers for it, as a load balancer does."""
import http.client
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from .services import LOOPBACK

NOT_PASSED_ON = ("connection", "keep-alive", "transfer-encoding", "content-length", "host")


class Front:
    """Context manager; `url` instead of the service's `target`; https with the server's certificate of a folder
    (certificates.py).

    refuse_with  the status that it answers to everything while that is not 0
    requests     lines of requests, as "GET /v2.1/servers"
    tokens       those that Keystone gave out through it
    """

    def __init__(self, target: str, certificates: Path | None = None) -> None:
        self.refuse_with = 0
        self.requests: list[str] = []
        self.tokens: list[str] = []
        self._target = urlsplit(target)
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                front._answer(self)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._scheme = "http"
        if certificates:
            self._scheme = "https"
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"{self._scheme}://{LOOPBACK}:{self._server.server_address[1]}"

    def __enter__(self) -> "Front":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.requests.append(f"{handler.command} {handler.path}")
        if self.refuse_with:
            return _send(handler, self.refuse_with, {}, b'{"error": {"message": "not now"}}')
        try:
            status, headers, answer = self._pass_on(handler, body)
        except OSError:
            return _send(handler, 502, {}, b"")
        if "X-Subject-Token" in headers:
            self.tokens.append(headers["X-Subject-Token"])
        _send(handler, status, headers, answer)

    def _pass_on(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        there = http.client.HTTPConnection(self._target.netloc, timeout=60)
        there.request(handler.command, handler.path, body, _kept(handler.headers.items()))
        response = there.getresponse()
        answer = response.status, _kept(response.getheaders()), response.read()
        there.close()
        return answer


def _kept(headers: object) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in NOT_PASSED_ON}


def _send(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
