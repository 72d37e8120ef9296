#!/usr/bin/python3
"""The words of the project (docs/glossary.md): what was rewritten stays free of the words that were replaced."""

from pathlib import Path
import re
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layering"))

from sources import ROOT, files

# Folders and files that are rewritten; a folder is added when it is clean.
CLEAN = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "cli/", "controller/", "docs/", "guest/",
         "include/", "packaging/", "proto-spec/", "quickstart", "src/README.md", "tests/bench/", "tests/lib/", "tests/openstack/",
         "tests/packaging/", "tests/qemu/", "tests/quickstart/", "tests/simulator/", "tests/spec/", "tests/unit/controller/",
         "tests/unit/guest/")

# Matched as whole words, in any case.
REPLACED = {
    "retell": "resend", "told again": "resent", "tell again": "resend",
    "anew": "again, or name what is created", "whoever": "name who", "meanwhile": "while ...", "for ever": "until ...",
    "hears": "receives", "suffers": "has", "set aside": "quarantined", "begun anew": "started empty",
    "by another way": "through another connection", "the way of": "the path of", "ledger": "alarm manager",
    "own alarms": "internal alarms", "self_watch": "self-monitoring", "deposit": "durable fault queue",
    "whole state": "full resync", "trying on": "retrying", "going on without": "continuing without",
    "fault book": "fault table", "faultbook": "fault table", "sinkgate": "AlarmFilter", "grouphub": "GroupRelay",
    "judged time": "stall-compensated clock", "judgedtimer": "MonitorTimer", "mends itself": "recovers",
}
PATTERN = re.compile(r"\b(" + "|".join(re.escape(word) for word in REPLACED) + r")\b", re.IGNORECASE)


def is_clean(path: Path) -> bool:
    name = str(path)
    return any(name == entry or (entry.endswith("/") and name.startswith(entry)) for entry in CLEAN)


def replaced_words(text: str) -> list[str]:
    """Line, word and replacement of each."""
    return [f"{number}: '{found[0]}': {REPLACED[found[0].lower()]}"
            for number, line in enumerate(text.splitlines(), 1) for found in PATTERN.finditer(line)]


class Words(unittest.TestCase):
    def test_rewritten_text_has_none_of_the_replaced_words(self) -> None:
        found = [f"{path}:{each}" for path in files() if is_clean(path)
                 for each in replaced_words((ROOT / path).read_text(errors="replace"))]
        self.assertEqual(found, [], "\n".join(found))

    def test_every_clean_entry_exists(self) -> None:
        for entry in CLEAN:
            self.assertTrue((ROOT / entry).exists(), entry)

    def test_replaced_words_are_found(self) -> None:
        self.assertEqual(replaced_words("fine\nIt is told again."), ["2: 'told again': resent"])
        self.assertEqual(replaced_words("a ledgerless word"), [])


if __name__ == "__main__":
    unittest.main()
