#!/usr/bin/python3
"""The layout of the sources, and what linters say of the scripts."""

from pathlib import Path
import subprocess
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layering"))

from sources import ROOT, cpp_files, files, lines


def scripts(interpreter: str) -> list[Path]:
    return [path for path in files() if lines(path)[0] == f"#!{interpreter}"]


class Style(unittest.TestCase):
    def check(self, command: list[str], paths: list[Path]) -> None:
        self.assertTrue(paths)
        found = subprocess.run(
            [*command, *map(str, paths)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        self.assertEqual(found.returncode, 0, found.stdout)

    def test_cpp_is_laid_out_by_clang_format(self) -> None:
        self.check(["clang-format", "--dry-run", "-Werror"], cpp_files())

    def test_shellcheck_accepts_the_shell_scripts(self) -> None:
        self.check(["shellcheck"], scripts("/bin/bash") + scripts("/bin/sh"))

    def test_pyflakes_accepts_the_python(self) -> None:
        python = {path for path in files() if path.suffix == ".py"} | set(scripts("/usr/bin/python3"))
        self.check(["pyflakes3"], sorted(python))


if __name__ == "__main__":
    unittest.main()
