#!/usr/bin/python3
"""Connections of strangers at the ports of the controller keep nobody out: agents join, /healthz answers."""

import contextlib
from pathlib import Path
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from suite import Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, free_port, http_json, http_request, wait_until

SOON = 3.0


class Strangers:
    """Keeps `count` connections open that have sent `begun` and nothing more; each that is closed is made again."""

    def __init__(self, port: int, count: int, begun: bytes) -> None:
        self._address, self._count, self._begun = ("127.0.0.1", port), count, begun
        self._held: list[socket.socket] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Strangers":
        self._thread.start()
        wait_until(lambda: len(self._held) >= self._count, "the strangers are there")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._held = [one for one in self._held if self._open(one)]
            while len(self._held) < self._count and not self._ended.is_set():
                with contextlib.suppress(OSError):
                    one = socket.create_connection(self._address, timeout=1)
                    one.setblocking(False)
                    self._held.append(one)
                    one.send(self._begun)
            time.sleep(0.05)
        for one in self._held:
            one.close()

    @staticmethod
    def _open(one: socket.socket) -> bool:
        try:
            if one.recv(1) != b"":
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        one.close()
        return False


class Edges(ProcessTestCase):
    def setUp(self) -> None:
        self.bus, self.http = free_port(), free_port()
        inspector = self.enterContext(Inspector())
        bus: dict[str, str | Path] = {"bus__listen": f"tcp://127.0.0.1:{self.bus}"}
        more = {"http__listen": f"127.0.0.1:{self.http}"}
        self.controller = Controller(self.dir / "controller", inspector, bus, **more)
        self.addCleanup(self.controller.close)

    def test_an_agent_joins_among_idle_connections(self) -> None:
        for number, count in enumerate((300, 900)):
            with self.subTest(count), Strangers(self.bus, count, b""):
                name = f"compute-{number}"
                bus: dict[str, str | Path] = {"bus__controller": f"tcp://127.0.0.1:{self.bus}"}
                agent = Agent(self.dir / name, name, [], bus=bus)
                self.addCleanup(agent.close)
                wait_until(lambda: agent.metric("vitalwire_agent_controllers_up") == 1, "the agent is connected", SOON)

    def test_healthz_answers_among_half_requests(self) -> None:
        for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"POST /v1/groups/g/send HTTP/1.1\r\nContent-Length: 9\r\n\r\n"):
            with self.subTest(begun), Strangers(self.http, 400, begun):
                for _ in range(10):
                    self.assertEqual(http_request(f"127.0.0.1:{self.http}", "/healthz", timeout=SOON)[0], 200)

    def test_over_tcp_nobody_is_the_operator(self) -> None:
        address = f"127.0.0.1:{self.http}"
        self.assertEqual(http_request(address, "/v1/groups/g/send", "POST", b"x")[0], 403)
        self.assertEqual(http_json(address, "/v1/guests")["guests"], [])


if __name__ == "__main__":
    unittest.main()
