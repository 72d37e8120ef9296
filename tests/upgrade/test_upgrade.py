#!/usr/bin/python3
"""Agents, controllers and guests of the release before beside those of this one, in both orders, under load, and back again:
nothing false, no fault missed or lost, no link cut.

The release before is built once below build/upgrade: the last tag, or BEFORE while there is none.
VITALWIRE_BEFORE=FOLDER names a build of it that is there already.
"""

import os
from pathlib import Path
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from outage import Guest, OutageTestCase
from suite import BUILD, Agent, Controller, Wrap
from vmbed.procs import Daemon, http_metrics, wait_until

ROOT = Path(__file__).resolve().parents[2]
BEFORE = "6f18765"
PROGRAMS = ("vitalwire-agent", "vitalwire-controller", "vitalwired")
FOLDERS = ("host", "controller", "guest")


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
    if not all((build / folder / name).exists() for folder, name in zip(FOLDERS, PROGRAMS)):
        sources.mkdir(parents=True, exist_ok=True)
        archive = subprocess.Popen(["git", "archive", revision], cwd=ROOT, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", sources], stdin=archive.stdout, check=True)
        options = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0", "-DVITALWIRE_BUILD_TESTS=OFF",
                   "-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=0"]
        subprocess.run(["cmake", "-S", sources, "-B", build, *options], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", build, "--target", *PROGRAMS], check=True)
    return build


class Vitalwired:
    """A guest with the daemon of one of the two releases; it hangs by a signal."""

    def __init__(self, channels: Path, guest: str, program: Path) -> None:
        argv = [program, "--config", os.devnull, "--channel", f"unix:{channels}/org.vitalwire.0.{guest}.sock", "--name", guest,
                "--interval", "500", "--app-socket", "none"]
        self.id = guest
        self._daemon = Daemon(argv, channels.parent / f"{guest}.log").wait_ready()

    @property
    def answering(self) -> bool:
        raise NotImplementedError

    @answering.setter
    def answering(self, answering: bool) -> None:
        self._daemon.signal(signal.SIGCONT if answering else signal.SIGSTOP)

    def close(self) -> None:
        self._daemon.kill()


class Versions(OutageTestCase):
    """On each host 20 guests that are well; one that is lost from the first moment to the last; and three that hang now and
    then: two with vitalwired, of either release, and one that the test plays. All daemons begin with the release before."""

    HOSTS = ("compute-1", "compute-2")
    # What is started again on a loaded machine may be away for longer than the default.
    MORE = {"self_monitoring__agent_lost_after": "20 s"}

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
        self.told_faults: list[str] = []
        self.frail = [(agent, guest) for agent in self.agents for guest in self.frail_guests(agent)]
        for agent in self.agents:
            for number in range(20):
                self.guest(f"{agent.host}-sound-{number}", agent, interval=1000)
        self.sick = {agent: self.guest(f"{agent.host}-sick", agent, interval=500) for agent in self.agents}
        self.wait_connected()
        for guest in self.sick.values():
            guest.answering = False
        self.open = {agent: self.wait_down(agent, guest) for agent, guest in self.sick.items()}

    def frail_guests(self, agent: Agent) -> list[Guest | Vitalwired]:
        guests: list[Guest | Vitalwired] = [self.guest(f"{agent.host}-played", agent, interval=500)]
        for release, folder in (("before", self.before), ("this", BUILD)):
            guests.append(Vitalwired(agent.channels, f"{agent.host}-{release}", folder / "guest" / "vitalwired"))
            self.addCleanup(guests[-1].close)
            agent.wait_state(guests[-1].id, "registered")
        return guests

    def wait_down(self, agent: Agent, guest: Guest | Vitalwired) -> str:
        agent.wait_state(guest.id, "lost")
        fault = self.fault_of(guest.id, agent)
        self.told_faults.append(fault)
        self.wait_told(fault, "down")
        return fault

    def hang_all(self, answering: bool = False) -> None:
        for _, guest in self.frail:
            guest.answering = answering

    def recover_all(self) -> None:
        """Those that hang have been told, and are told well."""
        down = [(agent, guest, self.wait_down(agent, guest)) for agent, guest in self.frail]
        self.hang_all(answering=True)
        for agent, guest, fault in down:
            agent.wait_state(guest.id, "registered")
            self.wait_told(fault, "up")

    def assert_the_sick_are_told_lost(self) -> None:
        for agent, fault in self.open.items():
            self.assertEqual(self.fault_of(self.sick[agent].id, agent), fault)
            # Again by each primary that follows: it does not know what the one before has told.
            self.assertEqual({details["status"] for details in self.told_of()[fault]}, {"down"})
            for controller in self.controllers:
                wait_until(lambda one=controller, each=fault: self.open_at(one, each), f"{controller.name} has {fault}")

    def open_at(self, controller: Controller, fault: str) -> bool:
        return any(entry["id"] == fault and entry["state"] == "open" for entry in controller.faults())

    def replace(self, one: Agent | Controller, wrap: Wrap) -> None:
        """With its state, while the others work on; the guests that hang do so in that moment."""
        self.hang_all()
        self.assertEqual(one.daemon.stop(), 0, one.http.parent.name)
        one.daemon.kill()
        one._wrap = wrap
        one.start()
        self.wait_connected()
        self.recover_all()
        self.assert_the_sick_are_told_lost()

    def replace_all(self, parts: list[Agent | Controller], wrap: Wrap = list) -> None:
        for one in parts:
            with self.subTest(replaced=one.http.parent.name, by="this" if wrap is list else "before"):
                self.replace(one, wrap)

    def finish(self) -> None:
        for guest in self.sick.values():
            guest.answering = True
        self.wait_all_over()
        self.wait_well()
        self.assert_told_in_order(*self.told_faults)
        self.assertEqual([event for event in self.inspector.events() if "instance_id" not in event["details"]], [], "no alarm")
        for agent in self.agents:
            wait_until(lambda each=agent: self.links_up(each) == self.CONTROLLERS, f"{agent.host} has all its links")


class Upgrade(Versions):
    def links_lost(self) -> list[float]:
        return [agent.metric("vitalwire_agent_bus_links_lost_total") for agent in self.agents]

    def refused(self) -> list[float]:
        return [http_metrics(controller.http)["vitalwire_controller_bus_refused_total"] for controller in self.controllers]

    def test_controllers_first(self) -> None:
        self.replace_all([*self.controllers, *self.agents])
        self.finish()
        self.assertEqual(self.links_lost(), [0, 0])
        self.assertEqual(self.refused(), [0, 0])

    def test_agents_first(self) -> None:
        self.replace_all(self.agents)
        self.assertEqual(self.links_lost(), [0, 0])
        self.replace_all(self.controllers)
        self.finish()
        self.assertEqual(self.links_lost(), [2, 2], "one for each controller that was replaced")
        self.assertEqual(self.refused(), [0, 0])


class Rollback(Versions):
    def test_of_the_agents_and_then_of_the_controllers(self) -> None:
        parts = [*self.controllers, *self.agents]
        self.replace_all(parts)
        self.replace_all(parts[::-1], self.of_before)
        self.finish()

    def test_of_a_controller_while_the_agents_stay(self) -> None:
        self.replace_all([*self.agents, *self.controllers])
        self.replace_all(self.controllers, self.of_before)
        self.finish()


if __name__ == "__main__":
    unittest.main()
