#!/usr/bin/python3
"""What clang-tidy says of the suite's own C++ (.clang-tidy): nothing.

A folder is looked at as one unit: Boost's headers, most of the work, are then read once and not once a file.
"""

from concurrent.futures import ThreadPoolExecutor
import json
import os
from pathlib import Path
import subprocess
import tempfile
import unittest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ("-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=0", "-DVITALWIRE_BUILD_TESTS=OFF")


def configure(build: Path) -> list[Path]:
    """The sources to look at: one that includes all of its folder's, for each target."""
    command = ["cmake", "--preset", "debug", "-B", str(build), *UNITS]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    commands = json.loads((build / "compile_commands.json").read_text())
    return sorted({Path(command["file"]) for command in commands})


def look_at(build: Path, source: Path) -> bool:
    """Prints what is wrong. That a unit includes sources is what makes it one."""
    command = ["clang-tidy", "-p", str(build), "--quiet", f"--config-file={ROOT / '.clang-tidy'}"]
    command += ["--checks=-bugprone-suspicious-include", str(source)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    name = source.relative_to(build if build in source.parents else ROOT)
    print(f"{name}: {'as it should be' if done.returncode == 0 else done.stdout}", flush=True)
    return done.returncode == 0


class Tidy(unittest.TestCase):
    def test_clang_tidy_finds_nothing(self) -> None:
        with tempfile.TemporaryDirectory(prefix="vw-tidy-") as folder:
            sources = configure(Path(folder))
            self.assertTrue(sources)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                clean = list(pool.map(lambda source: look_at(Path(folder), source), sources))
        self.assertEqual([str(source) for source, is_clean in zip(sources, clean) if not is_clean], [])


if __name__ == "__main__":
    unittest.main()
