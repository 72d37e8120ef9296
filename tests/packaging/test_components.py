#!/usr/bin/python3
"""`cmake --install --component`: only names of components are taken."""

import os
from pathlib import Path
import subprocess
import unittest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))


class Components(unittest.TestCase):
    def install(self, component: str) -> subprocess.CompletedProcess[str]:
        command = ["cmake", "--install", str(BUILD), "--prefix", "/usr", "--component", component]
        return subprocess.run(command, env={**os.environ, "DESTDIR": str(BUILD / "install-test")}, capture_output=True,
                              text=True, check=False)

    def test_a_misspelt_component_is_an_error(self) -> None:
        done = self.install("controler")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no such component: 'controler'", done.stderr)
        self.assertIn("controller", done.stderr)

    def test_a_component_is_installed(self) -> None:
        done = self.install("nova")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
