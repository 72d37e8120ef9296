#!/usr/bin/python3
"""The server group from application to application: two guests with vitalwired, two agents, one controller."""

import base64
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
import unittest
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from server_group import PLACES, GroupTestCase
from suite import BUILD
from vmbed.procs import Daemon, Process, http_request, wait_until

TOOL = BUILD / "guest" / "vitalwire-group"
ACTIVE_STANDBY = BUILD / "guest" / "examples" / "active_standby"
HEARTBEAT = {name: "heartbeat = yes" for name in "ac"}


class GuestsTestCase(GroupTestCase):
    """a on compute-1 and c on compute-2 run vitalwired; the group has no further member."""

    GUESTS = ()

    def setUp(self) -> None:
        super().setUp()
        self.daemons = {name: self.start_guest(name) for name in "ac"}
        self.write_pair()

    def write_pair(self, **more: str) -> None:
        lines = {name: f"{HEARTBEAT[name]}\n{more.get(name, '')}" for name in "ac"}
        self.write_inventory(groups={"a": "g", "c": "g", "b": "other"}, **lines)

    def start_guest(self, name: str) -> Daemon:
        channel = self.agents[PLACES[name]].channels / f"org.vitalwire.0.{name}.sock"
        argv = [BUILD / "guest" / "vitalwired", "--config", os.devnull, "--channel", f"unix:{channel}", "--name", name,
                "--interval", "200", "--app-socket", self.dir / f"{name}.apps"]
        return self.start(Daemon(argv, self.dir / f"{name}.log")).wait_ready()

    def socket(self, name: str) -> dict[str, str]:
        return {"VITALWIRE_SOCKET": str(self.dir / f"{name}.apps")}

    def start_application(self, name: str, *argv: str | Path) -> Process:
        return self.start(Process(argv, self.dir / f"{name}.application.log", self.socket(name)))

    def lines(self, name: str) -> list[str]:
        """Those that are written to their end."""
        text = (self.dir / f"{name}.application.log").read_text()
        return text[: text.rfind("\n") + 1].splitlines()

    def run_tool(self, name: str, *arguments: str, **options) -> subprocess.CompletedProcess:
        return subprocess.run([TOOL, *arguments], env={**os.environ, **self.socket(name)}, capture_output=True,
                              timeout=60, **options)

    def heartbeat_of(self, name: str, seen_by: str) -> str:
        rows = [line.split("\t") for line in self.run_tool(seen_by, "status").stdout.decode().splitlines()]
        return next((row[3] for row in rows if row[0] == name), "")

    def wait_served_guests(self) -> None:
        for name in "ac":
            wait_until(lambda: len(self.run_tool(name, "status").stdout.splitlines()) == 2, f"{name} is served", pause=0.2)


class Messages(GuestsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.wait_served_guests()

    def test_any_bytes_reach_the_application_of_the_other_guest(self) -> None:
        self.start_application("c", TOOL, "listen", "--json")
        payload = bytes(range(256)) * 11 + b"\xff" * 234

        def heard() -> bool:
            self.assertEqual(self.run_tool("a", "send", input=payload).returncode, 0)
            return bool(self.lines("c"))

        wait_until(heard, "c receives a", pause=0.1)
        self.assertIn('"source_instance":"a"', self.lines("c")[0])
        self.assertEqual(base64.b64decode(json.loads(self.lines("c")[0])["data"]), payload)

    def test_a_change_of_state_in_the_inventory_reaches_the_application(self) -> None:
        self.start_application("c", TOOL, "listen")

        def heard() -> bool:
            self.write_pair(a="state = paused")
            return any(line.startswith("notification\ta\tpaused") for line in self.lines("c"))

        wait_until(lambda: self.run_tool("a", "send", "x").returncode == 0 and self.lines("c"), "c listens", pause=0.1)
        wait_until(heard, "c is told that a is paused", pause=0.2)

    def test_without_a_controller_the_application_is_told_within_a_second_or_so(self) -> None:
        self.controller.daemon.kill()
        began = time.monotonic()
        ended = self.run_tool("a", "send", "x")
        self.assertEqual(ended.returncode, 1)
        self.assertIn(b"not sent: ", ended.stderr)
        self.assertLess(time.monotonic() - began, 4)
        self.controller.start()
        wait_until(lambda: self.run_tool("a", "send", "x").returncode == 0, "service resumes by itself", pause=0.2)

    def test_a_stopped_guest_is_reported_lost_to_its_peer(self) -> None:
        wait_until(lambda: self.heartbeat_of("a", seen_by="c") == "healthy", "a is healthy", pause=0.2)
        self.daemons["a"].signal(signal.SIGSTOP)
        wait_until(lambda: self.heartbeat_of("a", seen_by="c") == "lost", "a is reported lost", pause=0.2)
        self.daemons["a"].signal(signal.SIGCONT)
        wait_until(lambda: self.heartbeat_of("a", seen_by="c") == "healthy", "a is healthy again", pause=0.2)


class ActiveStandby(GuestsTestCase):
    """guest/examples/active_standby in both guests, over the real programs."""

    def setUp(self) -> None:
        super().setUp()
        self.pair = {name: self.start_pair(name) for name in "ac"}
        wait_until(lambda: sorted(map(self.role, "ac")) == ["active", "standby"], "one of them is active")
        self.active, self.other = ("a", "c") if self.role("a") == "active" else ("c", "a")

    def start_pair(self, name: str) -> Process:
        return self.start_application(name, ACTIVE_STANDBY, "--instance", name, "--beat", "200", "--lease", "1500")

    def role(self, name: str) -> str:
        return self.lines(name)[-1].split(":")[0] if self.lines(name) else ""

    def await_role(self, name: str, role: str) -> None:
        wait_until(lambda: self.role(name) == role, f"{name} is {role}")

    def freeze(self, name: str) -> None:
        for process in (self.pair[name], self.daemons[name]):
            process.signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        for process in (self.pair[name], self.daemons[name]):
            process.signal(signal.SIGCONT)

    def await_takeover(self) -> None:
        self.await_role(self.other, "active")

    def await_return(self) -> None:
        """The former active is back, and the role stays where it went."""
        self.await_role(self.active, "standby")
        wait_until(lambda: self.heartbeat_of(self.active, seen_by=self.other) == "healthy", "it is healthy", pause=0.2)
        self.assertEqual((self.role(self.active), self.role(self.other)), ("standby", "active"))

    def test_the_standby_takes_over_from_a_frozen_active_and_keeps_the_role(self) -> None:
        self.freeze(self.active)
        self.await_takeover()
        self.assertEqual(self.lines(self.other)[-1], "active: the peer is reported down")
        self.thaw(self.active)
        self.await_return()

    def test_the_standby_takes_over_when_the_application_dies_in_a_living_guest(self) -> None:
        self.pair[self.active].kill()
        self.await_takeover()
        self.start_pair(self.active)
        self.await_return()

    def test_the_standby_takes_over_when_the_active_is_stopped(self) -> None:
        self.assertEqual(self.pair[self.active].stop(), 0)
        self.await_takeover()

    def test_the_standby_takes_over_when_nova_says_that_the_active_has_stopped(self) -> None:
        self.write_pair(**{self.active: "state = stopped"})
        self.await_takeover()
        self.write_pair()
        self.await_return()

    def act(self, event: str) -> dict[str, Any]:
        """What the cloud does on the active one's host before and after an action."""
        body = json.dumps({"event": event, "vote": True}).encode()
        agent = self.agents[PLACES[self.active]]
        status, answer = http_request(agent.http, f"/v1/guests/{self.active}/actions", "POST", body)
        self.assertEqual(status, 200, answer)
        return json.loads(answer)

    def has_handed_over(self) -> bool:
        """It does not while the other one, which has just started, cannot be active yet."""
        self.assertEqual(self.act("live_migrate_begin")["decision"], "proceed")
        if self.lines(self.active)[-1] == "standby: ready for live_migrate_begin, the peer is active":
            return True
        self.assertEqual(self.lines(self.active)[-1], "active: ready for live_migrate_begin, the peer is not active")
        self.act("live_migrate_end")
        return False

    def test_the_active_hands_over_before_the_cloud_acts_on_it(self) -> None:
        wait_until(self.has_handed_over, "it has handed over when it answers", pause=0.2)
        self.await_role(self.other, "active")
        self.act("live_migrate_end")
        self.await_return()

    def test_an_outage_of_the_controller_changes_nothing(self) -> None:
        before = {name: self.lines(name) for name in "ac"}
        self.controller.daemon.kill()
        wait_until(lambda: self.run_tool("a", "status").returncode == 1, "the outage is seen")
        self.controller.start()
        self.wait_served_guests()
        self.assertEqual({name: self.lines(name) for name in "ac"}, before)


if __name__ == "__main__":
    unittest.main()
