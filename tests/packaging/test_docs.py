#!/usr/bin/python3
"""The documentation: every configuration block is accepted by its program, every command exists, every link leads somewhere."""

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
            "vitalwire-agent": BUILD / "host" / "vitalwire-agent"}
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "packaging" / "README.md"])
BLOCK = re.compile(r"^```(?P<language>\w+) ?(?P<program>[\w-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)#\s]+)[^)]*\)")
CODE = re.compile(r"`(?P<command>vitalwire [^`]+)`|^(?P<line>vitalwire .+)$", re.MULTILINE)


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


class Configuration(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="vw-docs-")))
        command = [ROOT / "cli" / "vitalwire-certs", "--directory", self.folder / "pki", "--controller", "controller",
                   "--agent", "compute-1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        made = {"ca.pem": "ca.pem", "controller.pem": "controllers/controller.pem", "controller.key": "controllers/controller.key",
                "compute-1.pem": "agents/compute-1.pem", "compute-1.key": "agents/compute-1.key"}
        for name, source in made.items():
            (self.folder / name).write_bytes((self.folder / "pki" / source).read_bytes())
            (self.folder / name).chmod(0o600)
        for name in ("rabbitmq.password", "tacker.token", "metrics.token"):
            (self.folder / name).write_text("secret-of-32-characters-at-least-00\n")
            (self.folder / name).chmod(0o600)
        (self.folder / "inventory.conf").write_text("")
        (self.folder / "clouds.yaml").write_text(
            "clouds:\n  site:\n    auth: {auth_url: 'http://127.0.0.1:1/v3', username: vitalwire, password: x, "
            "project_name: service, user_domain_name: Default, project_domain_name: Default}\n")

    def check(self, program: str, text: str) -> subprocess.CompletedProcess[str]:
        section = "controller" if program == "vitalwire-controller" else "agent"
        state = f"state = {self.folder}/state.db\n"
        text = text.replace("/etc/vitalwire/", f"{self.folder}/")
        if "state =" in text:
            state = ""
        text = text.replace(f"[{section}]\n", f"[{section}]\n{state}") if f"[{section}]" in text else f"[{section}]\n{state}{text}"
        file = self.folder / f"{program}.conf"
        file.write_text(text)
        environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(self.folder / "clouds.yaml")}
        return subprocess.run([PROGRAMS[program], "--config", file, "--check-config"], capture_output=True, text=True,
                              check=False, env=environment)

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
        text = text.replace("/etc/vitalwire/keys/", "/etc/vitalwire/").replace("/var/lib/vitalwire/controller", str(self.folder))
        done = self.check("vitalwire-controller", text)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_mistake_is_not(self) -> None:
        self.assertEqual(self.check("vitalwire-agent", "[bus]\ncontroler = tls://c:1\n").returncode, 2)


class Commands(unittest.TestCase):
    def test_every_command_of_vitalwire_is_understood(self) -> None:
        found = {found["command"] or found["line"] for page in PAGES for found in CODE.finditer(page.read_text())}
        self.assertIn("vitalwire status", found)
        for command in sorted(found):
            # A capital letter is a name that the reader has to put there.
            words = [re.sub(r"^[A-Z]+$", "x", word) for word in command.split("|")[0].split()[1:]]
            done = subprocess.run([BUILD / "cli" / "vitalwire", "--controller", "127.0.0.1:1", *words], text=True,
                                  capture_output=True, stdin=subprocess.DEVNULL, check=False)
            expected = (2,) if words[0] in ("top", "watch") else (3,)
            if words[0] in ("--agent", "--version"):
                expected = (0, 3)
            self.assertIn(done.returncode, expected, f"{command}: {done.stderr}")


if __name__ == "__main__":
    unittest.main()
