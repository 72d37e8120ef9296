#!/usr/bin/python3
"""proto-spec/registry.md names everything that the schemas have, and nothing else."""

import json
from pathlib import Path
import re
import unittest

SPEC = Path(__file__).resolve().parents[2] / "proto-spec"
FOLDERS = ("base", "heartbeat", "group")


def schemas():
    for folder in FOLDERS:
        for path in sorted((SPEC / "schema" / folder).glob("*.json")):
            yield folder, path.stem, json.loads(path.read_text())


def section(number: int) -> str:
    text = (SPEC / "registry.md").read_text()
    return re.search(rf"^## {number}\. .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL).group()


def names(text: str) -> set:
    return {name for name in re.findall(r"`([^`]+)`", text) if re.fullmatch(r"[a-z0-9_.]+", name)}


class Registry(unittest.TestCase):
    def test_it_has_every_message_type(self):
        used = {stem.split(".")[0] for _, stem, _ in schemas()} - {"envelope"}
        self.assertEqual({name for name in names(section(3)) if "." not in name}, used)

    def test_it_has_every_code_of_every_layer(self):
        for column, folder in enumerate(FOLDERS, start=1):
            rows = [line.split("|")[1:] for line in section(4).splitlines() if line.startswith("| `")]
            listed = {row[0].strip(" `") for row in rows if row[column].strip()}
            nack = json.loads((SPEC / "schema" / folder / "nack.json").read_text())
            code = nack["properties"]["code"]
            self.assertEqual(listed, set(code.get("enum", [code.get("const")])), folder)

    def test_it_has_every_field(self):
        used = {key for _, _, schema in schemas() for key in schema["properties"]}
        self.assertEqual(names(section(5).split("\n\n")[1]), used)

    def test_no_name_of_ours_is_a_vendors(self):
        ours = names(section(2) + section(3) + section(4) + section(5))
        self.assertEqual([name for name in ours if name.startswith(("x.", "x_"))], [])


if __name__ == "__main__":
    unittest.main()
