#!/usr/bin/python3
"""What clang-tidy finds in the suite's own C++ (.clang-tidy): nothing.

A folder is checked as one unit: Boost's headers, most of the work, are then read once and not once a file. With
VITALWIRE_TIDY_SINCE only the units of folders that changed since that commit are checked, the most changed first, and with
VITALWIRE_TIDY_SECONDS no unit is begun after that time; what was left out is named.
"""

from concurrent.futures import ThreadPoolExecutor
import json
import os
from pathlib import Path
import re
import subprocess
import tempfile
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ("-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=0", "-DVITALWIRE_BUILD_TESTS=OFF")
_INCLUDED = re.compile(r'^#include "(?P<path>/[^"]+)"$', re.MULTILINE)


def configure(build: Path) -> list[Path]:
    """The sources to check: one that includes all of its folder's, for each target."""
    command = ["cmake", "--preset", "debug", "-B", str(build), *UNITS]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    commands = json.loads((build / "compile_commands.json").read_text())
    return sorted({Path(command["file"]) for command in commands})


def folders_of(unit: Path) -> set[Path]:
    """Where the sources of a unit are."""
    sources = [Path(path) for path in _INCLUDED.findall(unit.read_text())] or [unit]
    return {source.parent for source in sources}


def changed_since(revision: str) -> list[Path]:
    command = ["git", "diff", "--name-only", "--diff-filter=d", revision]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / path for path in done.stdout.splitlines() if Path(path).suffix in {".c", ".cpp", ".h", ".hpp"}]


def of_changes(units: list[Path], changed: list[Path]) -> list[Path]:
    """The units with a changed file in their folders, the most changed first."""
    count = {unit: sum(path.parent in folders_of(unit) for path in changed) for unit in units}
    return sorted((unit for unit in units if count[unit]), key=lambda unit: -count[unit])


def check(build: Path, unit: Path) -> bool:
    """Prints what is wrong. That a unit includes sources is what makes it one."""
    command = ["clang-tidy", "-p", str(build), "--quiet", f"--config-file={ROOT / '.clang-tidy'}"]
    command += ["--checks=-bugprone-suspicious-include", str(unit)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(f"{name_of(build, unit)}: {'clean' if done.returncode == 0 else done.stdout}", flush=True)
    return done.returncode == 0


def name_of(build: Path, unit: Path) -> Path:
    return unit.relative_to(build if build in unit.parents else ROOT)


class Tidy(unittest.TestCase):
    def test_clang_tidy_finds_nothing(self) -> None:
        since = os.environ.get("VITALWIRE_TIDY_SINCE")
        end = time.monotonic() + float(os.environ.get("VITALWIRE_TIDY_SECONDS", "inf"))
        with tempfile.TemporaryDirectory(prefix="vw-tidy-") as folder:
            build = Path(folder)
            units = configure(build)
            self.assertTrue(units)
            if since:
                units = of_changes(units, changed_since(since))
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                clean = list(pool.map(lambda unit: check(build, unit) if time.monotonic() < end else None, units))
            names = [str(name_of(build, unit)) for unit in units]
        for name, is_clean in zip(names, clean):
            with self.subTest(name):
                if is_clean is None:
                    self.skipTest("no time left for it: ./run-tests checks it")
                self.assertTrue(is_clean, f"clang-tidy found something in {name}: see above")


if __name__ == "__main__":
    unittest.main()
