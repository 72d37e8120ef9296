#!/usr/bin/python3
"""Agents and controllers of the release before beside those of this one, in both orders, under load: nothing false, no fault
missed, no link cut.

The release before is built once below build/upgrade: the last tag, or BEFORE while there is none.
VITALWIRE_BEFORE=FOLDER names a build of it that is there already.
"""

import os
from pathlib import Path
import subprocess
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from outage import OutageTestCase
from suite import BUILD, Agent, Controller, Wrap
from vmbed.procs import wait_until

ROOT = Path(__file__).resolve().parents[2]
BEFORE = "a24eb0f"
PROGRAMS = ("vitalwire-agent", "vitalwire-controller")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def revision_before() -> str:
    tags = git("tag", "--merged", "HEAD", "--sort=-creatordate").splitlines()
    return git("rev-parse", "--short", tags[0] if tags else BEFORE)


def build_before() -> Path:
    if given := os.environ.get("VITALWIRE_BEFORE"):
        return Path(given)
    revision = revision_before()
    sources = ROOT / "build" / "upgrade" / revision
    build = sources / "build"
    if not all((build / folder / name).exists() for folder, name in zip(("host", "controller"), PROGRAMS)):
        sources.mkdir(parents=True, exist_ok=True)
        archive = subprocess.Popen(["git", "archive", revision], cwd=ROOT, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", sources], stdin=archive.stdout, check=True)
        options = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0", "-DVITALWIRE_BUILD_TESTS=OFF",
                   "-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=0"]
        subprocess.run(["cmake", "-S", sources, "-B", build, *options], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", build, "--target", *PROGRAMS], check=True)
    return build


class Upgrade(OutageTestCase):
    HOSTS = ("compute-1", "compute-2")

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.before = build_before()

    def of_before(self, argv: list[str | Path]) -> list[str | Path]:
        """The same program of the release before."""
        return [self.before / Path(argv[0]).relative_to(BUILD), *argv[1:]]

    def start_controller(self, name: str, wrap: Wrap = list, **more: str | Path) -> Controller:
        return super().start_controller(name, self.of_before, **more)

    def start_agent(self, host: str, wrap: Wrap = list, **more: str | Path) -> Agent:
        return super().start_agent(host, self.of_before, **more)

    def setUp(self) -> None:
        super().setUp()
        self.faults: list[str] = []
        self.frail = {agent: self.guest(f"{agent.host}-frail", agent, interval=500) for agent in self.agents}
        for agent in self.agents:
            for number in range(20):
                self.guest(f"{agent.host}-sound-{number}", agent, interval=1000)
        self.wait_connected()

    def hang_and_recover(self) -> None:
        """A guest of each host hangs; the inspector is notified, and again when it is well."""
        for agent, guest in self.frail.items():
            guest.answering = False
            agent.wait_state(guest.id, "lost")
            fault = self.fault_of(guest.id, agent)
            self.faults.append(fault)
            self.wait_told(fault, "down")
            guest.answering = True
            agent.wait_state(guest.id, "registered")
            self.wait_told(fault, "up")

    def replace(self, one: Agent | Controller) -> None:
        """By the same program of this release, with its state, while the others work on."""
        self.assertEqual(one.daemon.stop(), 0, one.http.parent.name)
        one.daemon.kill()
        one._wrap = list
        one.start()
        self.wait_connected()

    def upgrade(self, parts: list[Agent | Controller]) -> None:
        self.hang_and_recover()
        for one in parts:
            self.replace(one)
            self.hang_and_recover()
        self.wait_all_over()
        self.wait_well()
        self.assert_told_in_order(*self.faults)
        for agent in self.agents:
            wait_until(lambda each=agent: self.links_up(each) == self.CONTROLLERS, f"{agent.host} has all its links")

    def test_controllers_first(self) -> None:
        self.upgrade([*self.controllers, *self.agents])

    def test_agents_first(self) -> None:
        self.upgrade([*self.agents, *self.controllers])


if __name__ == "__main__":
    unittest.main()
