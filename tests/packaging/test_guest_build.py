#!/usr/bin/python3
"""The guest from its sources, without the host's libraries, as guest/README.md says."""

from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "guest" / "README.md"
BUILD_COMMAND = "cmake -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVITALWIRE_BUILD_HOST=OFF && cmake --build build"
LIBRARIES = re.compile(r"openssl|curl|sqlite|rabbitmq|prometheus|CLI11|spdlog|libvirt", re.IGNORECASE)
# What CMake has since 3.19, as far as projects use it.
AFTER_3_18 = re.compile(r"cmake_path|string\(JSON|file\(REAL_PATH|cmake_language\((?:DEFER|EVAL)|\bblock\(|return\(PROPAGATE|"
                        r"RUNTIME_DEPENDENC|FILE_SET|ENVIRONMENT_MODIFICATION|\$<PATH:|\$<LIST:|LINK_LIBRARY:|cxx_std_23")


class GuestBuild(unittest.TestCase):
    def setUp(self) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="vw-guest-build-"))
        self.addCleanup(shutil.rmtree, self.work)
        self.assertIn(f"    {BUILD_COMMAND}\n", PAGE.read_text())

    def run_shell(self, command: str) -> str:
        done = subprocess.run(["sh", "-c", command], cwd=self.work, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-4000:])
        return done.stdout

    def test_it_is_configured_with_headers_alone(self) -> None:
        self.run_shell(BUILD_COMMAND.split(" && ")[0].replace("-B build", f"-S {ROOT} -B build"))
        found = [line for line in (self.work / "build/CMakeCache.txt").read_text().splitlines()
                 if LIBRARIES.search(line) and not line.startswith(("//", "#"))]
        self.assertEqual(found, [])

    def test_it_uses_nothing_that_cmake_3_18_lacks(self) -> None:
        self.assertIn("cmake_minimum_required(VERSION 3.18", (ROOT / "CMakeLists.txt").read_text())
        files = [ROOT / "CMakeLists.txt", *(ROOT / "cmake").rglob("*.cmake"),
                 *(path for folder in ("guest", "src") for path in (ROOT / folder).rglob("CMakeLists.txt"))]
        later = {str(path.relative_to(ROOT)): found[0] for path in files if (found := AFTER_3_18.search(path.read_text()))}
        self.assertEqual(later, {})


class Whole(GuestBuild):
    def test_it_is_built_and_installed(self) -> None:
        begun = time.monotonic()
        self.run_shell(BUILD_COMMAND.replace("-B build", f"-S {ROOT} -B build"))
        for component in ("guest", "guest-lib", "guest-dev"):
            command = f"cmake --install build --prefix /usr --component {component}"
            self.assertIn(command, PAGE.read_text())
            self.run_shell(f"DESTDIR={self.work}/root {command}")
        version = self.run_shell("root/usr/sbin/vitalwired --version")
        self.assertRegex(version, r"^vitalwired \d")
        for name in ("vitalwire.pc", "libvitalwire.so.1", "vitalwireConfig.cmake", "vitalwire.h"):
            self.assertTrue(list((self.work / "root/usr").rglob(name)), name)
        print(f"the guest from its sources: {(time.monotonic() - begun) / 60:.1f} minutes", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
