#!/usr/bin/python3
"""Guests and their agent on a host that has more to do than it can: programs that never rest, several on each core."""

import os
from pathlib import Path
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from suite import BUILD, Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import Daemon, ProcessTestCase

GUESTS = 10
BEATS = 10
HOGS = 2 * (os.cpu_count() or 2)


class Overcommit(ProcessTestCase):
    """All with shipped defaults: a guest is challenged every 300 ms and may take 600 ms."""

    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())
        self.controller = Controller(self.dir / "controller", self.inspector)
        self.addCleanup(self.controller.close)
        self.agent = Agent(self.dir / "compute-1", "compute-1", self.controller)
        self.addCleanup(self.agent.close)
        self.guests = [f"vm{number}" for number in range(GUESTS)]
        for guest in self.guests:
            channel = self.agent.channels / f"org.vitalwire.0.{guest}.sock"
            argv = [BUILD / "guest" / "vitalwired", "--config", os.devnull, "--channel", f"unix:{channel}", "--name", guest,
                    "--app-socket", self.dir / f"{guest}.apps"]
            self.addCleanup(Daemon(argv, self.dir / f"{guest}.log").kill)
        for guest in self.guests:
            self.agent.wait_state(guest, "registered")

    def test_guests_that_answer_within_their_deadline_are_no_fault_however_busy_the_host(self) -> None:
        for _ in range(HOGS):
            hog = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "sh", "-c", "while :; do :; done"])
            self.addCleanup(hog.wait)
            self.addCleanup(hog.kill)
        for guest in self.guests:
            self.agent.wait_beats(guest, BEATS)
        self.assertEqual(self.agent.faults_opened(), {})
        self.assertEqual(self.inspector.requests, [])


if __name__ == "__main__":
    unittest.main()
