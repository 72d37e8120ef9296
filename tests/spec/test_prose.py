#!/usr/bin/python3
"""The prose of proto-spec/ holds together: row ids, examples, links."""

import re
import sys
import unittest

import wire
from test_vectors import SCHEMAS, SPEC, envelope_schema, pdu_schema, split, vectors

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


def grammar() -> dict[str, str]:
    """The rules of the specification's ABNF as regular expressions."""
    text = re.search(r"^```abnf\n(.*?)^```$", (SPEC / "conformance.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    source = dict(re.fullmatch(r"([\w-]+) += (.+)", line).groups() for line in text.splitlines())
    token = re.compile(r'(\d*)(\*?)(\d*)(%x[0-9A-F]+(?:-[0-9A-F]+)?|"[^"]*"|[A-Za-z][\w-]*|[()\[\]/])| +')

    def translate(elements: str) -> str:
        out, position = [], 0
        counts = []
        while position < len(elements):
            found = token.match(elements, position)
            assert found, elements[position:]
            position = found.end()
            least, star, most, element = found.groups()
            if element is None:
                continue
            repeat = f"{{{least or 0},{most}}}" if star else f"{{{least}}}" if least else ""
            if element in ("(", "["):
                out.append("(?:")
                counts.append(repeat if element == "(" else "?")
            elif element in (")", "]"):
                out.append(f"){counts.pop()}")
            elif element == "/":
                out.append("|")
            elif element.startswith("%x"):
                codes = [f"\\x{code}" for code in element[2:].split("-")]
                out.append(f"[{'-'.join(codes)}]{repeat}")
            elif element.startswith('"'):
                out.append(f"(?:{re.escape(element[1:-1])}){repeat}")
            else:
                out.append(f"(?:{translate(source[element])}){repeat}")
        return "".join(out)

    return {name: f"(?s:(?:{translate(elements)}))" for name, elements in source.items()}


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

    def test_the_conformance_clause_names_rows_that_exist_and_a_minimal_guest_as_the_table_has_it(self):
        page = (SPEC / "conformance.md").read_text()
        rows = {row for each in pages() for row in ROW.findall(each.read_text())}
        self.assertLessEqual(set(re.findall(r"\b[GHPS]-\d\d\b", page)), rows)
        smallest = re.search(r"The smallest conforming guest: (.*?);", (SPEC / "heartbeat.md").read_text(), re.DOTALL)[1]
        spans = re.sub(r"G-(\d\d) to G-(\d\d)", lambda span: " ".join(f"G-{number:02}" for number in range(
            int(span[1]), int(span[2]) + 1)), smallest)
        clause = re.search(r"MUST: (G-01.*?);", page)[1]
        self.assertEqual(re.findall(r"G-\d\d", clause), re.findall(r"G-\d\d", spans))

    def test_the_versions_of_the_change_log_end_with_the_present_one(self):
        versions = re.findall(r"^\| (\d\.\d) \|", (SPEC / "conformance.md").read_text(), re.MULTILINE)
        present = re.search(r"This is version (\d\.\d):", (SPEC / "README.md").read_text())[1]
        self.assertEqual(versions, [f"1.{number}" for number in range(int(present[2:]) + 1)])

    def test_the_grammar_takes_what_the_vectors_have(self):
        rules = grammar()
        accepted = 0
        for _, vector in vectors():
            for expected in vector["expect"]:
                if expected["result"] != "accepted" or not vector["channel"] == "native":
                    continue
                accepted += 1
                for rule, value in (("address", expected.get("address")),
                                    ("session-id", expected["fields"].get("session_id")),
                                    ("instance-id", expected["fields"].get("source_instance")),
                                    ("instance-id", expected["fields"].get("instance_id"))):
                    if value is not None:
                        self.assertRegex(value, rf"\A{rules[rule]}\Z", vector["id"])
        self.assertGreater(accepted, 20)
        for page, channel, _, example in examples():
            if channel == "native":
                message = example.replace("\\n{", "\n{", 1).removesuffix("\\n") + "\n"
                self.assertRegex(message, rf"\A{rules['message']}\Z", page)
        for rule, wrong in (("address", ""), ("address", "a b"), ("address", "a" * 65), ("session-id", "a.b"),
                            ("vendor-addr", "x.acme"), ("vendor-key", "acme_x"), ("message", "{}\n"), ("message", "\n{}\n\n")):
            self.assertNotRegex(wrong, rf"\A{rules[rule]}\Z", rule)
        for rule, right in (("vendor-addr", "x.acme.license"), ("vendor-key", "x_acme_license"), ("stream", "\n{}\n\n{}\r\n")):
            self.assertRegex(right, rf"\A{rules[rule]}\Z", rule)

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
