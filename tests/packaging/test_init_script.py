#!/usr/bin/python3
"""The script for systems without systemd, with a real vitalwired."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from vmbed.procs import ProcessTestCase, wait_until

BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))


class InitScript(ProcessTestCase):
    def setUp(self) -> None:
        (self.dir / "vitalwired.conf").write_text(
            f"[channel]\nname = unix:{self.dir}/channel\n[applications]\nsocket = {self.dir}/run/guest.sock\n")
        text = (ROOT / "packaging" / "guest" / "vitalwired.init").read_text()
        for here, there in (("DAEMON=/usr/sbin/vitalwired", f"DAEMON={BUILD}/guest/vitalwired"),
                            ("CONFIG=/etc/vitalwire/vitalwired.conf", f"CONFIG={self.dir}/vitalwired.conf"),
                            ("RUN=/run/vitalwire\n[ -d /run ] || RUN=/var/run/vitalwire\n", f"RUN={self.dir}/run\n"),
                            ("SELF=/etc/init.d/vitalwired", f"SELF={self.dir}/vitalwired"),
                            (">/dev/console", f">>{self.dir}/log")):
            self.assertIn(here, text)
            text = text.replace(here, there)
        (self.dir / "vitalwired").write_text(text)
        (self.dir / "vitalwired").chmod(0o755)
        self.addCleanup(self.run_script, "stop")
        self.assertEqual(self.run_script("start").returncode, 0)
        wait_until(lambda: (self.dir / "channel").exists(), "it runs")

    def run_script(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run([self.dir / "vitalwired", *words], capture_output=True, text=True, timeout=60)

    def process(self) -> int:
        found = self.dir / "run" / "vitalwired.pid"
        return int(found.read_text() or 0) if found.exists() else 0

    def test_a_restart_replaces_one_that_hangs(self) -> None:
        first = self.process()
        os.kill(first, signal.SIGSTOP)
        self.assertEqual(self.run_script("restart").returncode, 0)
        wait_until(lambda: self.process() not in (0, first), "another one runs")
        self.assertFalse(Path(f"/proc/{first}").exists())
        self.assertEqual(self.run_script("status").returncode, 0)


if __name__ == "__main__":
    unittest.main()
