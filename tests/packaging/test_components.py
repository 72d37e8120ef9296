#!/usr/bin/python3
"""`cmake --install --component`: only names of components are taken. What packages are built of is what the build needs."""

import os
from pathlib import Path
import re
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

    def test_packages_are_built_of_what_the_build_needs(self) -> None:
        control = (ROOT / "packaging" / "debian" / "control").read_text()
        wanted = re.search(r"^Build-Depends: (.*?)^\S", control, re.MULTILINE | re.DOTALL)[1]
        named = {each.split()[0] for each in wanted.split(",")} - {"debhelper-compat", "dh-python"}
        listed = re.findall(r"^([\w.+-]+)", (ROOT / "cmake" / "packages-build.txt").read_text(), re.MULTILINE)
        self.assertEqual(named, set(listed) - {"ccache"})


if __name__ == "__main__":
    unittest.main()
