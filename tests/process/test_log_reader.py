#!/usr/bin/python3
"""Standard error that nobody reads (a journal that hangs): no daemon waits for it."""

import os
from pathlib import Path
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from raw_guest import RawGuest
from suite import BUILD, Agent, Controller, fault_event
from vmbed.inspector import Inspector
from vmbed.procs import Daemon, ProcessTestCase, http_metrics, wait_until


class HungReader:
    """A FIFO, full from the beginning; `wrap` gives it to a program as its standard error."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._path = path
        self._fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        for size in (4096, 1):
            try:
                while True:
                    os.write(self._fifo, b"x" * size)
            except BlockingIOError:
                pass

    def wrap(self, argv: list[str | Path]) -> list[str | Path]:
        return ["bash", "-c", f'exec "$@" 2>{self._path}', "hung", *argv]

    def read(self) -> bytes:
        """What is there now: the reader is back."""
        text = b""
        try:
            while chunk := os.read(self._fifo, 65536):
                text += chunk
        except BlockingIOError:
            return text.lstrip(b"x")

    def close(self) -> None:
        os.close(self._fifo)


class LogReader(ProcessTestCase):
    def hung_reader(self, name: str) -> HungReader:
        reader = HungReader(self.dir / name)
        self.addCleanup(reader.close)
        return reader

    def start(self) -> None:
        self.inspector = self.enterContext(Inspector())
        self.log_of_controller, self.log_of_agent = self.hung_reader("log-c"), self.hung_reader("log-a")
        self.controller = Controller(self.dir / "controller", self.inspector, wrap=self.log_of_controller.wrap)
        self.addCleanup(self.controller.close)
        wrap = self.log_of_agent.wrap
        self.agent = Agent(self.dir / "agent", "compute-1", self.controller, wrap=wrap)
        self.addCleanup(self.agent.close)

    def guest(self, name: str) -> RawGuest:
        guest = RawGuest(self.agent.channels, name)
        self.addCleanup(guest.close)
        guest.register()
        return guest

    def test_a_fault_is_delivered_and_other_guests_go_on(self) -> None:
        self.start()
        lost, _ = self.guest("lost"), self.guest("well")
        self.agent.wait_state("lost", "registered")
        lost.answering = False
        self.inspector.wait_event(fault_event("lost", "heartbeat_lost", "down"), "the lost guest's fault")
        self.agent.wait_beats("well", 3)
        self.assertEqual([fault["guest"] for fault in self.controller.faults()], ["lost"])
        self.assertEqual(http_metrics(self.agent.http)["vitalwire_log_lines_dropped_total"], 0)
        wait_until(lambda: b"fault opened" in self.log_of_agent.read(), "the reader that is back gets the line")

    def test_the_guests_daemon_answers_on(self) -> None:
        self.start()
        reader = self.hung_reader("log-g")
        channel = self.agent.channels / "org.vitalwire.0.vm.sock"
        argv = [BUILD / "guest" / "vitalwired", "-c", "/dev/null", "--channel", f"unix:{channel}", "--interval", "300"]
        daemon = Daemon(
            reader.wrap([*argv, "--app-socket", self.dir / "applications", "--log-level", "debug"]), self.dir / "g.log"
        )
        self.addCleanup(daemon.kill)
        self.agent.wait_state("vm", "registered")
        self.agent.wait_beats("vm", 5)
        wait_until(lambda: b"registered" in reader.read(), "the reader that is back gets the lines")
        self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    unittest.main()
