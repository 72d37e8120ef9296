#!/usr/bin/python3
"""What counts as a small change, and that the deliberately broken variants are noticed: some here, all in AllVariants."""

import os
from pathlib import Path
import subprocess
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from changes import changes_of
from variants import read_variants

RUN = Path(__file__).with_name("run")


class Changes(unittest.TestCase):
    def changed(self, line: str) -> list[str]:
        return [change.after.strip() for change in changes_of(f"void f() {{\n    {line}\n}}\n") if change.line == 2]

    def test_operators_and_constants_change_one_at_a_time(self) -> None:
        self.assertEqual(self.changed("const bool a = b < 5;"), ["const bool a = b <= 5;", "const bool a = b < 6;"])

    def test_a_statement_goes(self) -> None:
        self.assertEqual(self.changed("queue_.clear();"), [";"])
        self.assertEqual(self.changed("open_ = value;"), [";"])
        self.assertEqual(self.changed("if (ready_) start();"), ["if (true) start();", "if (false) start();", "if (ready_) ;"])

    def test_a_declaration_stays(self) -> None:
        self.assertEqual(self.changed("Timer timer(loop);"), [])
        self.assertEqual(self.changed("const auto name = read();"), [])

    def test_what_is_no_code_stays(self) -> None:
        self.assertEqual(self.changed('log("a < b && c"); // true'), [";"])
        self.assertEqual(self.changed("// a < b"), [])
        self.assertEqual(self.changed("#if 1 > 0"), [])

    def test_a_change_is_applied_to_its_line(self) -> None:
        text = "int f() {\n    return a < b;\n}"
        self.assertEqual([change.apply(text) for change in changes_of(text)], [text.replace("<", "<=")])


class Variants(unittest.TestCase):
    def test_there_are_at_least_thirty_and_each_can_be_made(self) -> None:
        variants = read_variants()
        self.assertGreaterEqual(len(variants), 30)
        for variant in variants:
            with self.subTest(variant.name):
                self.assertNotEqual(variant.text(), variant.source.read_text())


class Run(unittest.TestCase):
    def run_broken(self, only: str) -> None:
        command = [RUN, "--build", os.environ["VITALWIRE_BUILD"], "--broken", "--only", only]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print(done.stdout, flush=True)
        self.assertEqual(done.returncode, 0)


class SomeVariants(Run):
    def test_broken_variants_are_noticed(self) -> None:
        self.run_broken(r"^heartbeat: a deadline|^group: the rate limit")


class AllVariants(Run):
    def test_every_broken_variant_is_noticed(self) -> None:
        self.run_broken("")


if __name__ == "__main__":
    unittest.main()
