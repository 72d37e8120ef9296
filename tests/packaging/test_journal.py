#!/usr/bin/python3
"""The daemons' lines in a real journal: fields of their own, and a message catalogue that explains them. Needs root."""

import json
import os
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from raw_guest import RawGuest
from suite import Agent, Controller, fault_event
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, wait_until

JOURNALD = Path("/lib/systemd/systemd-journald")
CATALOGUE = ROOT / "systemd" / "vitalwire.catalog"
ENTRY = re.compile(r'\{"(?P<sentence>[^"]+)", "(?P<id>[0-9a-f]{32})"\}')
# $1: the folder; then the command, with the journal as its standard error. journald has a /run of its own.
IN_A_NAMESPACE = """
set -e
mount --bind "$1" /run
env -u NOTIFY_SOCKET "$2" &
for _ in $(seq 300); do [ -S /run/systemd/journal/stdout ] && break; sleep 0.05; done
shift 2
# As systemd does it for a unit.
exec systemd-cat --stderr-priority=info bash -c 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$0" "$@"' "$@"
"""


class Journal(ProcessTestCase):
    """Only the agent runs in the namespace of the journal."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.fail("journald needs root")
        self.journal = self.dir / "run"
        (self.journal / "log" / "journal").mkdir(parents=True)
        inspector = self.enterContext(Inspector())
        controller = Controller(self.dir / "controller", inspector)
        self.addCleanup(controller.close)
        self.agent = Agent(self.dir / "compute-1", "compute-1", controller, wrap=self.in_namespace)
        self.addCleanup(self.agent.close)
        guest = RawGuest(self.agent.channels, "vm-1")
        self.addCleanup(guest.close)
        guest.register()
        self.agent.wait_state("vm-1", "registered")
        guest.answering = False
        inspector.wait_event(fault_event("vm-1", "heartbeat_lost", "down"), "the fault")

    def in_namespace(self, argv: list[str | Path]) -> list[str | Path]:
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", IN_A_NAMESPACE, "journal",
                self.journal, JOURNALD, *argv]

    def entries(self, *matches: str) -> list[dict[str, str]]:
        done = subprocess.run(["journalctl", "--directory", self.journal / "log" / "journal", "--output=json", *matches],
                              capture_output=True, text=True, check=False)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def test_a_guests_lines_are_found_by_its_name(self) -> None:
        found = wait_until(lambda: self.entries("VITALWIRE_GUEST=vm-1", "VITALWIRE_KIND=heartbeat_lost"), "the journal has it")
        self.assertTrue(found[0]["MESSAGE"].startswith("fault opened "), found[0])
        self.assertEqual(found[0]["SYSLOG_IDENTIFIER"], "vitalwire-agent")
        self.assertEqual(found[0]["PRIORITY"], "4")
        self.assertEqual(found[0]["MESSAGE_ID"], identities()["fault opened"])

    def test_each_line_is_there_once(self) -> None:
        wait_until(lambda: self.entries("VITALWIRE_GUEST=vm-1", "VITALWIRE_KIND=heartbeat_lost"), "the journal has it")
        started = [each for each in self.entries() if each["MESSAGE"].startswith("started ")]
        self.assertEqual(len(started), 1)


def identities() -> dict[str, str]:
    source = (ROOT / "src" / "runtime" / "journal_entry.cpp").read_text()
    return {found["sentence"]: found["id"] for found in ENTRY.finditer(source)}


class Catalogue(unittest.TestCase):
    def test_it_explains_every_id_and_no_other(self) -> None:
        explained = re.findall(r"^-- ([0-9a-f]{32})$", CATALOGUE.read_text(), re.MULTILINE)
        self.assertEqual(sorted(explained), sorted(identities().values()))
        self.assertGreater(len(explained), 10)

    def test_every_sentence_is_one_of_the_programs(self) -> None:
        sources = "".join(path.read_text() for folder in ("host", "controller", "src")
                          for path in (ROOT / folder).rglob("*.cpp") if path.name != "journal_entry.cpp")
        for sentence in identities():
            self.assertIn(f'"{sentence}"', sources)

    def test_systemd_reads_it(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="vw-catalogue-")))
        (folder / "usr/lib/systemd/catalog").mkdir(parents=True)
        (folder / "var/lib/systemd/catalog").mkdir(parents=True)
        (folder / "usr/lib/systemd/catalog/vitalwire.catalog").write_text(CATALOGUE.read_text())
        subprocess.run(["journalctl", f"--root={folder}", "--update-catalog"], check=True, capture_output=True)
        listed = subprocess.run(["journalctl", f"--root={folder}", "--list-catalog"], check=True, capture_output=True, text=True)
        for identity in identities().values():
            self.assertIn(f"{identity} vitalwire: ", listed.stdout)

    def test_its_pages_exist(self) -> None:
        for page in re.findall(r"file:///usr/share/doc/vitalwire/(\S+)", CATALOGUE.read_text()):
            self.assertTrue((ROOT / "docs" / page).is_file(), page)


if __name__ == "__main__":
    unittest.main()
