#!/usr/bin/python3
"""vitalwire-lab as a VNF developer and a CI job use it."""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from suite import BUILD, ROOT
from vmbed.procs import ProcessTestCase, wait_until

LAB = ROOT / "cli" / "vitalwire-lab"


class Lab(ProcessTestCase):
    def lab(self, *arguments: str | Path, **how: object) -> subprocess.Popen[str]:
        process = subprocess.Popen([LAB, "--programs", BUILD, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   **{"stdin": subprocess.DEVNULL, **how})  # fmt: skip
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def run_lab(self, *arguments: str | Path) -> tuple[int, str, str]:
        process = self.lab(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def events(self, output: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in output.splitlines()]

    def test_the_check_shows_messages_faults_and_peers(self) -> None:
        status, out, err = self.run_lab("--check", "--json", "--guests", "5")
        self.assertEqual((status, err), (0, ""), out)
        events = self.events(out)
        end = events[-1]
        self.assertEqual((end["event"], end["status"], end["problem"]), ("end", 0, ""))
        self.assertEqual([step["ok"] for step in end["steps"]], [True] * 7)
        self.assertTrue(any("detected_ms" in step for step in end["steps"]))
        alarms = [(event["change"], event["kind"]) for event in events if event["event"] == "alarm"]
        for kind in ("heartbeat_lost", "unhealthy"):
            self.assertIn(("opened", kind), alarms)
            self.assertIn(("cleared", kind), alarms)

    def test_the_exit_status_is_that_of_the_command(self) -> None:
        shell = 'test "$("$0" -o json guests | grep -c guest-)" -gt 0 && test -S "$VITALWIRE_AGENT" && exit 7'
        status, out, err = self.run_lab("--", "/bin/sh", "-c", shell, BUILD / "cli" / "vitalwire")
        self.assertEqual(status, 7, out + err)
        self.assertEqual(self.run_lab("--", "/bin/true")[0], 0)

    def test_it_obeys_the_terminal_until_the_input_ends(self) -> None:
        process = self.lab("--guests", "2", stdin=subprocess.PIPE)
        assert process.stdin is not None and process.stdout is not None
        for line in process.stdout:
            if "are registered" in line:
                break
        process.stdin.write("send guest-1 good morning\nill guest-2 no disk\nnonsense\n")
        process.stdin.flush()
        seen = ""
        for line in process.stdout:
            seen += line
            if all(text in seen for text in ("guest-2: message of guest-1: good morning", "unhealthy: no disk", "expected freeze")):
                break
        process.stdin.close()
        self.assertEqual(process.wait(60), 0, seen)

    def test_a_guest_of_the_developer_joins_the_group(self) -> None:
        folder = self.dir / "lab"
        process = self.lab("--json", "--guests", "2", "--own", "mine", "--keep", folder)
        assert process.stdout is not None
        ready = next(event for event in map(json.loads, process.stdout) if event["event"] == "ready")
        guest = subprocess.Popen([BUILD / "guest" / "vitalwired", "--channel", ready["own"]["mine"], "--app-socket", self.dir / "app"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        self.addCleanup(guest.wait)
        self.addCleanup(guest.kill)
        seen = next(event for event in map(json.loads, process.stdout) if event["event"] == "peer" and event["peer"] == "mine"
                    and event["heartbeat"] == "healthy")  # fmt: skip
        self.assertIn(seen["guest"], ("guest-1", "guest-2"))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 0)
        self.assertTrue((folder / "vitalwire-controller.log").exists())

    def test_nothing_of_it_stays(self) -> None:
        place = self.dir / "tmp"
        place.mkdir()
        process = self.lab("--json", env={**os.environ, "TMPDIR": str(place)})
        assert process.stdout is not None
        ready = next(event for event in map(json.loads, process.stdout) if event["event"] == "ready")
        self.assertTrue(Path(ready["folder"]).is_relative_to(place))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 0)
        wait_until(lambda: not list(place.iterdir()), "the folder is removed")

    def test_what_does_not_work_is_named(self) -> None:
        for arguments, status, message in (
            (("--guests", "501"), 2, "--guests: expected 0 to 500"),
            (("--own", "a/b"), 2, "--own: expected 1 to 32 letters"),
            (("--own", "guest-3"), 2, "--own: expected a name that no other guest has, found 'guest-3'"),
            (("--own", "vnf", "--own", "vnf"), 2, "found 'vnf'"),
            (("--check", "--guests", "1"), 2, "--check needs two guests"),
            (("--programs", self.dir), 1, f"vitalwire-controller is not in {self.dir}"),
            (("--", "/nonexistent"), 1, "/nonexistent: No such file or directory"),
        ):
            with self.subTest(message):
                found, _, err = self.run_lab(*arguments)
                self.assertEqual(found, status, err)
                self.assertIn(message, err)


if __name__ == "__main__":
    unittest.main()
