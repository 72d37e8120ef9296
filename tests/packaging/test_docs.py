#!/usr/bin/python3
"""The documentation: every configuration block is accepted by its program, every command exists, every link leads somewhere."""

import itertools
import os
from pathlib import Path
import re
import subprocess
import tempfile
import unittest

import yaml

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))
PROGRAMS = {"vitalwire-controller": BUILD / "controller" / "vitalwire-controller",
            "vitalwire-agent": BUILD / "host" / "vitalwire-agent", "vitalwired": BUILD / "guest" / "vitalwired"}
PAGES = sorted(path for path in ROOT.rglob("*.md") if not {"build", "node_modules"} & set(path.relative_to(ROOT).parts))
BLOCK = re.compile(r"^```(?P<language>\w+) ?(?P<program>[\w-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)#\s]+)[^)]*\)")
CODE = re.compile(r"`(?P<command>vitalwire [^`]+)`|^ *(?P<line>vitalwire .+)$", re.MULTILINE)
# The other programs that people call, with what they are called with.
OTHERS = {"vitalwire-app": BUILD / "guest" / "vitalwire-app", "vitalwire-group": BUILD / "guest" / "vitalwire-group",
          "vitalwire-certs": ROOT / "cli" / "vitalwire-certs", "vitalwire-doctor": ROOT / "cli" / "vitalwire-doctor",
          "vitalwire-lab": ROOT / "cli" / "vitalwire-lab", **PROGRAMS}
OTHER = re.compile(rf"(?:`|^ *)(?P<program>{'|'.join(OTHERS)}|vitalwire doctor) (?P<rest>[^`\n]+)", re.MULTILINE)
# What is wrong with a daemon is on a board; these are all ways to put it there.
BOARD = re.compile(r"(?<![\w:])(?:(?:[\w.]*problems_?(?:\.|->)(?:set|raise))|set_problem|report_problem|on_inventory_problem|"
                   r"show_guests_problem)\(\s*(?P<what>(?:\"[^\"]*\"|[^,\"{}])+),")


class Links(unittest.TestCase):
    def test_every_link_leads_to_a_file(self) -> None:
        broken = [f"{page.relative_to(ROOT)}: {target}" for page in PAGES for target in LINK.findall(page.read_text())
                  if "://" not in target and not (page.parent / target).exists()]
        self.assertEqual(broken, [])

    def test_every_kind_of_fault_and_alarm_has_a_page(self) -> None:
        table = (ROOT / "src" / "model" / "alarm_kind.cpp").read_text()
        names = (ROOT / "src" / "model" / "alarm_kind.hpp").read_text()
        constants = dict(re.findall(r'constexpr const char\* (k\w+) = "(\w+)"', names))
        rows = re.findall(r'^    \{"?(\w+)"?, "(critical|major|warning)"', table, re.MULTILINE)
        kinds = {constants.get(name, name): severity for name, severity in rows}
        self.assertGreater(len(kinds), 3)
        for kind, severity in kinds.items():
            self.assertIn(f"Severity: {severity}.", (ROOT / "docs" / "runbook" / f"{kind}.md").read_text(), kind)


def problems_in(source: Path) -> set[str]:
    """Titles of the problems that this file of the sources can put on the board; in capitals what is filled in."""
    text = source.read_text()
    meanings = {}
    for file in [*source.parent.glob("*.hpp"), source]:
        meanings |= dict(re.findall(r'constexpr const char\* (k\w+)\s*=\s*"([^"]+)"', file.read_text()))
    meanings |= dict(re.findall(r"std::string (\w+)\(const [\w:]+& \w+\) \{\s*return (\".+?);", text))
    found = set()
    for call in BOARD.finditer(text):
        what = " ".join(call["what"].split())
        if what in ("what", "const std::string& what") and "const std::string what =" not in text:
            continue  # handed on: its caller is looked at
        if what == "what":
            what = re.search(r"const std::string what = (.+?);", text, re.DOTALL)[1]
        if name := re.fullmatch(r"(\w+)\(\w+\)", what):
            what = meanings[name[1]]
        if what in meanings:
            found.add(meanings[what])
            continue
        parts = [re.fullmatch(r'"(.*)"', part.strip()) for part in what.split(" + ")]
        if not any(parts):
            raise AssertionError(f"{source.relative_to(ROOT)}: a problem whose title is not found: {what}")
        found.add("".join(part[1] if part else "NAME" for part in parts))
    return found


class Runbook(unittest.TestCase):
    def test_it_is_installed_where_alerts_lead(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vw-docs-"))
        subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr", "--component", "cli"], check=True,
                       env={**os.environ, "DESTDIR": folder}, stdout=subprocess.DEVNULL)
        sink = (ROOT / "controller" / "sinks" / "alertmanager_sink.cpp").read_text()
        address = re.search(r'kRunbook = "file://(/[^"]+)"', sink)[1]
        for kind in ("heartbeat_lost", "sink_failing"):
            self.assertTrue(Path(folder + address.replace("{kind}", kind)).is_file(), address)


class Guests(unittest.TestCase):
    """What each kind of guest gets: in short in the guide, all of it on its page."""

    @staticmethod
    def table(page: str) -> list[str]:
        lines = (ROOT / "docs" / page).read_text().split("\n")
        begin = next(number for number, line in enumerate(lines) if re.match(r"\| +\| native \|", line))
        return list(itertools.takewhile(lambda line: line.startswith("|"), lines[begin:]))

    def test_the_guides_table_is_a_part_of_the_whole(self) -> None:
        short = self.table("operator-guide.md")
        self.assertEqual(short, [row for row in self.table("guests.md") if row in short])
        for row in ("a guest that hangs is found within", "health of applications", "asked and notified", "server group"):
            self.assertTrue(any(line.startswith(f"| {row}") for line in short), row)


class Problems(unittest.TestCase):
    FOLDER = ROOT / "docs" / "runbook" / "problems"

    def titles(self) -> dict[str, Path]:
        return {re.sub(r"\b[A-Z]{3,}\b(?<!HTTP)", "NAME", page.read_text().split("\n")[0].removeprefix("# ")): page
                for page in self.FOLDER.glob("*.md")}

    def test_every_problem_has_a_page_and_every_page_a_problem(self) -> None:
        found = set()
        for folder in ("host", "controller", "src"):
            for source in (ROOT / folder).rglob("*.cpp"):
                found |= problems_in(source)
        self.assertGreater(len(found), 20)
        self.assertEqual(found, set(self.titles()))

    def test_every_page_says_what_to_do(self) -> None:
        index = (self.FOLDER.parent / "problems.md").read_text()
        for title, page in self.titles().items():
            headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
            self.assertEqual(headings, ["Meaning", "Likely causes", "What to do", "It ends with"], title)
            self.assertIn(f"(problems/{page.name})", index)


class Configuration(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="vw-docs-")))
        command = [ROOT / "cli" / "vitalwire-certs", "--directory", self.folder / "pki", "--controller", "controller",
                   "--agent", "compute-1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        made = {"ca.pem": "ca.pem", "controller.pem": "controllers/controller.pem", "controller.key": "controllers/controller.key",
                "compute-1.pem": "agents/compute-1.pem", "compute-1.key": "agents/compute-1.key",
                "agent.pem": "agents/compute-1.pem", "agent.key": "agents/compute-1.key"}
        for name, source in made.items():
            (self.folder / name).write_bytes((self.folder / "pki" / source).read_bytes())
            (self.folder / name).chmod(0o600)
        for name in ("rabbitmq.password", "tacker.token", "metrics.token", "reader.token"):
            (self.folder / name).write_text("secret-of-32-characters-at-least-00\n")
            (self.folder / name).chmod(0o600)
        (self.folder / "inventory.conf").write_text("")
        (self.folder / "clouds.yaml").write_text(
            "clouds:\n  site:\n    auth: {auth_url: 'http://127.0.0.1:1/v3', username: vitalwire, password: x, "
            "project_name: service, user_domain_name: Default, project_domain_name: Default}\n")

    def check(self, program: str, text: str) -> subprocess.CompletedProcess[str]:
        if program == "vitalwired":
            return self.check_guest(text)
        section = "controller" if program == "vitalwire-controller" else "agent"
        state = f"state = {self.folder}/state.db\n"
        text = text.replace("/etc/vitalwire/", f"{self.folder}/")
        if "state =" in text:
            state = ""
        if section == "agent" and not re.search(r"^host =", text, re.MULTILINE):
            state += "host = compute-1\n"  # whose certificate it is; by default the machine's own name
        text = text.replace(f"[{section}]\n", f"[{section}]\n{state}") if f"[{section}]" in text else f"[{section}]\n{state}{text}"
        file = self.folder / f"{program}.conf"
        file.write_text(text)
        environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(self.folder / "clouds.yaml")}
        return subprocess.run([PROGRAMS[program], "--config", file, "--check-config"], capture_output=True, text=True,
                              check=False, env=environment)

    def check_guest(self, text: str) -> subprocess.CompletedProcess[str]:
        script = self.folder / "on-event"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
        file = self.folder / "vitalwired.conf"
        file.write_text(text.replace("/usr/lib/vnf/on-event", str(script)))
        return subprocess.run([PROGRAMS["vitalwired"], "--config", file, "--check-config"], capture_output=True, text=True,
                              check=False)

    def test_every_block_is_accepted(self) -> None:
        seen = 0
        for page in PAGES:
            for block in BLOCK.finditer(page.read_text()):
                if block["program"] not in PROGRAMS:
                    continue
                seen += 1
                done = self.check(block["program"], block["text"])
                self.assertEqual(done.returncode, 0, f"{page.relative_to(ROOT)}:\n{block['text']}\n{done.stderr}")
        self.assertGreaterEqual(seen, 5)

    def test_the_configuration_for_kubernetes_is_accepted(self) -> None:
        objects = list(yaml.safe_load_all((ROOT / "packaging" / "kubernetes" / "controller.yaml").read_text()))
        text = next(each for each in objects if each["kind"] == "ConfigMap")["data"]["vitalwire-controller.conf"]
        text = text.replace("/etc/vitalwire-keys/", "/etc/vitalwire/").replace("/var/lib/vitalwire/controller", str(self.folder))
        text = text.replace("/run/vitalwire/", f"{self.folder}/")
        done = self.check("vitalwire-controller", text)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_default_files_show_every_key(self) -> None:
        default = {"vitalwire-controller": ROOT / "controller", "vitalwire-agent": ROOT / "host"}
        (self.folder / "empty.conf").write_text("")
        for program, folder in default.items():
            shown = (folder / f"{program}.conf").read_text()
            done = subprocess.run([PROGRAMS[program], "--config", self.folder / "empty.conf", "--print-config"], capture_output=True,
                                  text=True, check=True)
            missing, section = [], ""
            for line in done.stdout.splitlines():
                if line.startswith("["):
                    section = line
                    part = shown.partition(section)[2].partition("\n[")[0]
                elif (key := re.match(r"(?:# )?(\w+) (?:=|is not set)", line)) and not re.search(rf"^#?{key[1]} =", part, re.MULTILINE):
                    missing.append(f"{section} {key[1]}")
            # An environment variable in place of a file is for containers, and the sink is for who has none; the manual has both.
            missing = [key for key in missing if not key.endswith("_env") and not key.startswith("[sink log]")]
            self.assertEqual(missing, [], program)

    def test_a_mistake_is_not(self) -> None:
        self.assertEqual(self.check("vitalwire-agent", "[bus]\ncontroler = tls://c:1\n").returncode, 2)
        self.assertNotEqual(self.check("vitalwired", "[check x]\ncomand = true\n").returncode, 0)


class Commands(unittest.TestCase):
    def test_every_command_of_vitalwire_is_understood(self) -> None:
        found = {found["command"] or found["line"] for page in PAGES for found in CODE.finditer(page.read_text())}
        self.assertIn("vitalwire status", found)
        for command in sorted(found):
            # A capital letter is a name that the reader has to put there.
            words = [re.sub(r"^[A-Z]+$", "x", word) for word in command.split("|")[0].split()[1:]]
            done = subprocess.run([BUILD / "cli" / "vitalwire", "--controller", "127.0.0.1:1", *words], text=True,
                                  capture_output=True, stdin=subprocess.DEVNULL, check=False)
            if words[0] == "doctor":
                continue  # its options: below
            expected = (2,) if words[0] in ("top", "watch") else (3,)
            if words[0] in ("--agent", "--version"):
                expected = (0, 3)
            self.assertIn(done.returncode, expected, f"{command}: {done.stderr}")

    def test_options_of_the_other_programs_exist(self) -> None:
        seen = set()
        for page in PAGES:
            for call in OTHER.finditer(page.read_text()):
                own = call["rest"].split(" -- ")[0].split("#")[0]
                options = re.findall(r"(?<![\w-])--[a-z][a-z-]+", own)
                done = subprocess.run([OTHERS[call["program"].replace(" ", "-")], "--help"], text=True, capture_output=True, check=False)
                for option in options:
                    seen.add(call["program"])
                    self.assertRegex(done.stdout, rf"(?<![\w-]){option}(?![\w-])", f"{page.relative_to(ROOT)}: {call[0]}")
        self.assertGreater(len(seen), 4)


if __name__ == "__main__":
    unittest.main()
