"""A stretch of network that can stop carrying anything, without a connection being closed."""

import contextlib
from pathlib import Path
import socket
import threading

Address = str | tuple[str, int]  # a UNIX socket's path, or host and port


def _socket(address: Address) -> socket.socket:
    return socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)


class StallingProxy:
    """Listens at `path`, or at a free `port` of 127.0.0.1, for `target`."""

    def __init__(self, target: Address, path: Path | None = None) -> None:
        self._target = target
        self._carries = threading.Event()
        self._carries.set()
        at: Address = str(path) if path else ("127.0.0.1", 0)
        self._server = _socket(at)
        self._server.bind(at)
        self._server.listen()
        self.port = 0 if path else self._server.getsockname()[1]
        self._sockets = [self._server]
        threading.Thread(target=self._serve, daemon=True).start()

    def stall(self) -> None:
        self._carries.clear()

    def resume(self) -> None:
        """What was sent in between arrives now."""
        self._carries.set()

    def close(self) -> None:
        self.resume()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._server.accept()[0]
                far = _socket(self._target)
                self._sockets += [near, far]
                threading.Thread(target=self._join, args=(near, far), daemon=True).start()

    def _join(self, near: socket.socket, far: socket.socket) -> None:
        self._carries.wait()
        try:
            far.connect(self._target)
        except OSError:
            return near.close()
        threading.Thread(target=self._carry, args=(far, near), daemon=True).start()
        self._carry(near, far)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._carries.wait()
                target.sendall(data)
        self._carries.wait()
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
