#!/usr/bin/python3
"""./quickstart's story: it succeeds, it fails, it is interrupted; nothing stays behind."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from suite import BUILD
from vmbed.procs import ProcessTestCase, wait_until

STORY = Path(__file__).with_name("story.py")
DEADLINE_SECONDS = 600.0


class Quickstart(ProcessTestCase):
    def setUp(self) -> None:
        self.temporary = self.dir / "t"
        self.temporary.mkdir()
        self.log = self.dir / "story.log"

    def tell(self, **environment: str) -> subprocess.Popen:
        with open(self.log, "wb") as log:
            story = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "/usr/bin/python3", "-u", STORY, "--check"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(self.temporary), **environment},
            )
        self.addCleanup(story.wait)
        self.addCleanup(story.kill)
        return story

    def assert_nothing_left(self) -> None:
        self.assertEqual(list(self.temporary.iterdir()), [])
        self.assertEqual(self.processes(), [])

    def processes(self) -> list[str]:
        """Command lines that name a file of the story's."""
        found = subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True)
        return [line for line in found.stdout.splitlines() if str(self.temporary) in line]

    def test_every_step_comes_true(self) -> None:
        self.assertEqual(self.tell().wait(DEADLINE_SECONDS), 0)
        text = self.log.read_text()
        self.assertEqual(text.count("FAULT at the inspector"), 4, text)
        self.assertEqual(text.count("CLEARED at the inspector"), 3, text)
        self.assertEqual(text.count("takes over"), 1, text)
        self.assertEqual(text.count("NO fault"), 1, text)
        self.assertRegex(text, r"http://127\.0\.0\.1:\d+/ \.\.\. a picture: .*/web-page\.png")
        # A page that shows nothing is a picture of few bytes.
        self.assertGreater((BUILD / "web-page.png").stat().st_size, 20_000)
        self.assert_nothing_left()

    def test_it_fails_at_the_first_step_that_does_not_come_true(self) -> None:
        broken = self.dir / "build"  # has a controller and no agent
        broken.mkdir()
        (broken / "controller").symlink_to(BUILD / "controller")
        self.assertEqual(self.tell(VITALWIRE_BUILD=str(broken)).wait(DEADLINE_SECONDS), 1)
        self.assertIn("the agent is ready ... FAILED", self.log.read_text())
        self.assert_nothing_left()

    def test_interrupted_it_ends_everything(self) -> None:
        story = self.tell()
        wait_until(lambda: "they register" in self.log.read_text(), "guests run", DEADLINE_SECONDS)
        story.send_signal(signal.SIGINT)
        self.assertEqual(story.wait(DEADLINE_SECONDS), 130)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
