"""A QEMU monitor (QMP) whose machine does what the test says."""

import json
from pathlib import Path
import socket
import threading
from typing import Any


class ScriptedQemu:
    def __init__(self, path: Path, status: str = "running") -> None:
        self.status = status
        self.answered = False  # it was asked for its status
        self._connections: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def event(self, name: str, **data: Any) -> None:
        self._say(self._connections[-1], {"event": name, "data": data})

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._connections:
            connection.close()

    @staticmethod
    def _say(connection: socket.socket, message: dict[str, Any]) -> None:
        connection.sendall(json.dumps(message).encode() + b"\r\n")

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        self._say(connection, {"QMP": {"version": {}, "capabilities": []}})
        with connection.makefile(encoding="utf-8") as lines:
            for line in lines:
                command = json.loads(line)
                answer = {"status": self.status} if command["execute"] == "query-status" else {}
                self._say(connection, {"return": answer, "id": command.get("id")})
                self.answered = self.answered or command["execute"] == "query-status"
