#!/usr/bin/python3
"""How the Nova extension asks an agent: the part of it that needs no Nova, against agents that misbehave."""

from pathlib import Path
import socket
import sys
import threading
import time
from typing import Callable
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
sys.path.insert(0, str(ROOT / "host" / "nova"))

from vitalwire_nova import actions
from vmbed.procs import ProcessTestCase

BOUND_SECONDS = 1
BODY = b'{"decision": "reject", "reason": "alone"}'
REJECTS = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Asking(ProcessTestCase):
    def agent(self, serve: Callable[[socket.socket], None]) -> str:
        """Plays one with a single connection."""
        path = str(self.dir / "agent.sock")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)
        listener.listen()

        def accept() -> None:
            with listener.accept()[0] as connection:
                self.request = connection.recv(65536)
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        self.addCleanup(thread.join)
        return path

    def ask(self, path: str) -> actions.Answer:
        return actions.ask(path, "4e9a", "stop", True, BOUND_SECONDS)

    def test_an_answer_in_pieces_is_an_answer(self) -> None:
        def in_pieces(connection: socket.socket) -> None:
            for byte in REJECTS:
                connection.sendall(bytes([byte]))

        self.assertEqual(self.ask(self.agent(in_pieces)), actions.Answer("alone", None))
        head, body = self.request.split(b"\r\n\r\n")
        self.assertIn(b"POST /v1/guests/4e9a/actions HTTP/1.1", head)
        self.assertEqual(body, b'{"event": "stop", "vote": true}')

    def test_one_that_sends_a_byte_now_and_then_delays_by_the_bound(self) -> None:
        def slowly(connection: socket.socket) -> None:
            try:
                for byte in REJECTS:
                    connection.sendall(bytes([byte]))
                    time.sleep(BOUND_SECONDS / 3)
            except OSError:
                pass  # hung up

        path = self.agent(slowly)
        begun = time.monotonic()
        answer = self.ask(path)
        self.assertLess(time.monotonic() - begun, 5 * BOUND_SECONDS)
        self.assertIsNone(answer.rejected)
        self.assertIn("timed out", answer.problem)

    def test_one_that_sends_without_end_is_not_read_without_end(self) -> None:
        def floods(connection: socket.socket) -> None:
            try:
                while True:
                    connection.sendall(b"x" * 65536)
            except OSError:
                pass  # hung up

        self.assertIsNone(self.ask(self.agent(floods)).rejected)

    def test_one_that_hangs_up_is_consent(self) -> None:
        self.assertIsNone(self.ask(self.agent(lambda _: None)).rejected)


if __name__ == "__main__":
    unittest.main()
