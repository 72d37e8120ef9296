#!/usr/bin/python3
"""What the shells offer for a command line of vitalwire(1), asked of the shells themselves."""

import os
from pathlib import Path
import re
import shutil
import subprocess
import unittest

from test_cli import ROOT, VITALWIRE, CliTestCase  # and through it tests/lib
from vmbed.procs import wait_until

COMPLETIONS = ROOT / "cli" / "completion"


class Completion(CliTestCase):
    def environment(self):
        return {**os.environ, "PATH": f"{VITALWIRE.parent}:{os.environ['PATH']}", "HOME": str(self.dir), "TERM": "dumb"}

    def complete(self, line):
        """What bash offers for the last word of `line`."""
        script = f"""
            source {COMPLETIONS}/vitalwire.bash
            PATH={VITALWIRE.parent}:$PATH
            COMP_LINE='{line}' COMP_POINT={len(line)}
            _vitalwire; printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        return subprocess.run(["bash", "-c", script], text=True, capture_output=True, timeout=60).stdout.split()

    def test_offers_what_fits(self):
        self.assertEqual(self.complete("vitalwire gu"), ["guests", "guest"])
        self.assertEqual(self.complete("vitalwire gr"), ["groups", "group"])
        self.assertEqual(self.complete(f"vitalwire --controller {self.controller.url} group "), ["pair"])
        self.assertEqual(self.complete(f"vitalwire --controller {self.controller.url} send pa"), ["pair"])
        self.assertIn("--state", self.complete("vitalwire guests --"))
        self.assertNotIn("--state", self.complete("vitalwire faults --"))
        self.assertEqual(self.complete("vitalwire guests --state un"), ["unhealthy", "unregistered"])
        for host in ("guests --host ", "guests --host=", "guests --host=c", "faults --host c", "host "):
            self.assertEqual(self.complete(f"vitalwire --controller {self.controller.url} {host}"), ["c1"])
        self.assertEqual(self.complete(f"vitalwire --controller={self.controller.url} guest g"), ["g-1"])
        self.assertEqual(self.complete("vitalwire agents --sort la"), ["last-seen"])
        self.assertEqual(self.complete("vitalwire guests -o c"), ["csv"])

    # What is asked, and what must be among the offers, live from the controller or as the program has it.
    ASKED = (("gu", ["guest", "guests"]), ("do", ["doctor"]), ("guests --host=", ["c1"]), ("guests --host ", ["c1"]),
             ("guest ", ["g-1"]), ("group ", ["pair"]), ("send pa", ["pair"]), ("forget ", ["c1"]), ("guests --sort lo", ["longest"]),
             ("maintenance ", ["guest", "host", "group", "all", "end", "list"]), ("maintenance host ", ["c1"]),
             ("maintenance guest g", ["g-1"]), ("guests --state un", ["unhealthy", "unregistered"]), ("guests -o c", ["csv"]),
             ("doctor --te", ["--test-event"]))

    def test_bash_offers_the_same(self):
        for asked, offered in self.ASKED:
            found = self.complete(f"vitalwire --controller {self.controller.url} {asked}")
            self.assertLessEqual(set(offered), set(found), asked)

    def test_no_shell_offers_or_runs_what_a_guest_calls_itself(self):
        mark = self.dir / "run"
        names = [f"$(touch${{IFS}}{mark})", f"`touch${{IFS}}{mark}`", f"a;touch${{IFS}}{mark}", "--all", "x$HOME", "*"]
        self.controller.pages["/v1/guests"]["guests"] = [
            {**self.controller.pages["/v1/guests"]["guests"][0], "guest": f"g-{i}", "name": name, "display_name": ""}
            for i, name in enumerate(names)]
        self.assertEqual(self.complete(f"vitalwire --controller {self.controller.url} guest "),
                         [f"g-{i}" for i in range(len(names))])
        self.assertFalse(mark.exists())
        for file in ("_vitalwire", "vitalwire.bash", "vitalwire.fish"):
            self.assertIn("$at ~ /^[A-Za-z0-9][A-Za-z0-9._:@+-]*$/", (COMPLETIONS / file).read_text())
        self.assertNotRegex((COMPLETIONS / "vitalwire.bash").read_text(), "[(] *compgen -W", "it expands its words")

    @unittest.skipUnless(shutil.which("fish"), "needs fish")
    def test_fish_offers_the_same(self):
        for asked, offered in self.ASKED:
            line = f"vitalwire --controller {self.controller.url} {asked}"
            script = f"source {COMPLETIONS}/vitalwire.fish; complete -C '{line}'"
            done = subprocess.run(["fish", "--no-config", "-c", script], text=True,
                                  capture_output=True, timeout=60, env=self.environment())
            found = [offer.split("\t")[0].removeprefix("--host=") for offer in done.stdout.splitlines()]
            self.assertLessEqual(set(offered), set(found), f"{asked}: {done.stderr}")

    @unittest.skipUnless(shutil.which("zsh"), "needs zsh")
    def test_zsh_offers_the_same(self):
        for asked, offered in self.ASKED:
            line = f"vitalwire --controller {self.controller.url} {asked}"

            def offers_all() -> bool:
                """An interactive shell gives up an offer when another key is there already, as on a busy machine."""
                done = subprocess.run(["zsh", "-f", Path(__file__).with_name("complete.zsh"), COMPLETIONS, line], text=True,
                                      capture_output=True, timeout=60, env=self.environment())
                return set(offered) <= set(" ".join(re.findall("<<(.*?)>>", done.stdout)).split())

            wait_until(offers_all, f"zsh offers {offered} for {asked!r}")

    def test_every_shell_offers_every_column(self):
        self.controller.pages["/v1/coverage"] = {"counts": {"uncovered": 0}, "guests": []}
        self.controller.pages["/v1/maintenance"] = {"maintenance": []}
        for command in ("guests", "faults", "agents", "groups", "coverage", "events", "maintenance"):
            columns = self.run_cli(command, "-o", "csv").stdout.splitlines()[0].replace(",", " ")
            self.assertIn("host" if command in ("guests", "events") else " ", columns)
            for file in ("_vitalwire", "vitalwire.bash", "vitalwire.fish"):
                self.assertRegex((COMPLETIONS / file).read_text(), rf"{command}\b.*[ \"]{columns}\b", file)

    def test_every_shell_offers_every_command(self):
        described = self.run_cli("--help").stdout.partition("Subcommands:")[2]
        commands = re.findall(r"^  ([a-z]+) ", described, re.M)
        self.assertIn("coverage", commands)
        for file in ("_vitalwire", "vitalwire.bash", "vitalwire.fish"):
            text = (COMPLETIONS / file).read_text()
            for command in commands:
                self.assertRegex(text, rf"\b{command}\b", file)


if __name__ == "__main__":
    unittest.main()
