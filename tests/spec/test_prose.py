#!/usr/bin/python3
"""The prose of proto-spec/ holds together: row ids, examples, links."""

import re
import sys
import unittest

import wire
from test_vectors import SCHEMAS, SPEC, envelope_schema, pdu_schema, split

DIRECTION = {"G>H": "guest_to_host", "H>G": "host_to_guest"}
ROW = re.compile(r"^\| ([A-Z]-\d+) \|", re.MULTILINE)
EXAMPLES = re.compile(r"^```wire (\S+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)\)")


def pages():
    return sorted(SPEC.rglob("*.md"))


def examples():
    """(page, channel, direction, text) of every example."""
    for page in pages():
        for channel, arrow, body in EXAMPLES.findall(page.read_text()):
            for line in body.splitlines():
                yield page.name, channel, DIRECTION[arrow], line


class Prose(unittest.TestCase):
    def test_row_ids_of_the_state_tables_are_unique_and_without_gaps(self):
        ids = [row for page in pages() for row in ROW.findall(page.read_text())]
        self.assertEqual(len(ids), len(set(ids)))
        by_letter = {}
        for row in ids:
            letter, number = row.split("-")
            by_letter.setdefault(letter, []).append(int(number))
        self.assertEqual(set(by_letter), {"G", "H", "P", "S"})
        for letter, numbers in by_letter.items():
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)), letter)

    def test_every_row_of_the_state_tables_is_named_by_a_test(self):
        """C++ tests are named G01_...; Python tests say "Row S-04" in their docstrings."""
        tests = SPEC.parent / "tests"
        sources = [path for kind in ("*_test.cpp", "test_*.py") for path in tests.rglob(kind)]
        named = {
            f"{letter}-{number}"
            for path in sources
            for letter, number in re.findall(r"(?<![A-Za-z0-9])([GHPS])-?(\d\d)(?![0-9])", path.read_text())
        }
        rows = {row for page in pages() for row in ROW.findall(page.read_text())}
        self.assertEqual(rows - named, set())

    def test_every_example_is_a_valid_message(self):
        for page, channel, direction, example in examples():
            with self.subTest(page=page, example=example):
                self.assertTrue(example.startswith("\\n{") and example.endswith("}\\n"))
                message = wire.parse(example[2:-2].encode("utf-8"), channel)
                folder, pdu = split(message, channel)
                if envelope_schema(channel):
                    envelope_schema(channel).validate(message)
                pdu_schema(folder, pdu["msg_type"], direction).validate(pdu)

    def test_every_pdu_has_an_example(self):
        shown = set()
        for _, channel, direction, example in examples():
            folder, pdu = split(wire.parse(example[2:-2].encode("utf-8"), channel), channel)
            shown |= {f"{folder}/{pdu['msg_type']}", f"{folder}/{pdu['msg_type']}.{direction}"}
        unshown = {name for name in SCHEMAS if not name.endswith("/envelope")} - shown
        self.assertEqual(unshown, set())

    def test_links_lead_to_files_of_the_specification(self):
        for page in pages():
            for target in LINK.findall(page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_code_blocks_of_the_prose_are_closed(self):
        for page in pages():
            self.assertEqual(page.read_text().count("```") % 2, 0, page.name)


if __name__ == "__main__":
    sys.exit(unittest.main())
