#!/usr/bin/python3
"""What proto-spec/ demands of a guest, a stock JSON parser keeps: Python's and, where they are installed, those of Node
and Go read every message that a host sends, and reject what base-layer.md says that a guest must."""

import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import wire
from test_vectors import stream_of, vectors

# Reasons that a stock parser cannot tell; a guest may accept these lines.
MAY_ACCEPT = {"duplicate_key", "too_deep", "too_many_keys", "bad_envelope"}
NODE = """
const lines = JSON.parse(require("fs").readFileSync(0, "utf8"));
const read = hex => {
  try {
    const text = new TextDecoder("utf-8", {fatal: true, ignoreBOM: true}).decode(Buffer.from(hex, "hex"));
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value);
  } catch { return false; }
};
console.log(JSON.stringify(lines.map(read)));
"""
GO = """package main
import ("encoding/hex"; "encoding/json"; "os"; "unicode/utf8")
func main() {
    var lines []string
    json.NewDecoder(os.Stdin).Decode(&lines)
    good := []bool{}
    for _, line := range lines {
        bytes, _ := hex.DecodeString(line)
        var object map[string]any
        good = append(good, utf8.Valid(bytes) && json.Unmarshal(bytes, &object) == nil && object != nil)
    }
    json.NewEncoder(os.Stdout).Encode(good)
}
"""


def read_by_python(lines):
    def read(line):
        try:
            return isinstance(json.loads(line.decode("utf-8"), parse_constant=_no_constant), dict)
        except (ValueError, RecursionError):
            return False

    return [read(line) for line in lines]


def _no_constant(text):
    raise ValueError(text)  # NaN and Infinity are no JSON


def read_by(command, lines):
    text = json.dumps([line.hex() for line in lines])
    return json.loads(subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout)


class StockParsers(unittest.TestCase):
    def cases(self):
        """(vector's id, line, what a guest has to make of it: True, False)."""
        for _, vector in vectors():
            if vector["direction"] != "host_to_guest":
                continue
            for line, expect in zip(wire.lines(stream_of(vector)), vector["expect"]):
                if expect["result"] != "malformed":
                    yield vector["id"], line, True
                elif expect["reason"] not in MAY_ACCEPT and len(line) <= wire.MAX_MESSAGE[vector["channel"]] - 2:
                    yield vector["id"], line, False

    def check(self, read):
        cases = list(self.cases())
        self.assertGreater(len(cases), 100)
        for (name, _, wanted), found in zip(cases, read([line for _, line, _ in cases]), strict=True):
            with self.subTest(vector=name):
                self.assertEqual(found, wanted)

    def test_python(self):
        self.check(read_by_python)

    @unittest.skipUnless(shutil.which("node"), "Node is not installed")
    def test_node(self):
        self.check(lambda lines: read_by(["node", "-e", NODE], lines))

    @unittest.skipUnless(shutil.which("go"), "Go is not installed")
    def test_go(self):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "main.go"
            source.write_text(GO)
            self.check(lambda lines: read_by(["go", "run", str(source)], lines))


if __name__ == "__main__":
    sys.exit(unittest.main())
