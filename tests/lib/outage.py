"""Two controllers, agents with guests that the test plays, and what an inspector must and must not be told of them."""

from collections import defaultdict
import itertools
import json
from pathlib import Path
import sqlite3
import shutil
import subprocess
import tempfile
from typing import Any

from raw_guest import RawGuest, heartbeat
from suite import BUILD, Agent, Controller, Wrap
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, http_metrics, wait_until


class Guest(RawGuest):
    """Registers by itself, as vitalwired does: at first, and whenever the agent knows no session of it."""

    def __init__(self, channels: Path, guest: str, interval: int) -> None:
        self._init = heartbeat("init", invocation_id=7, name=guest, heartbeat_interval_ms=interval)
        super().__init__(channels, guest)

    def _hear(self, connection: Any, message: dict[str, Any]) -> None:
        data = message.get("data", message)
        if data.get("msg_type") == "nack" and data.get("code") == "no_session":
            connection.sendall(self._init)
        super()._hear(connection, message)


def store_rows(state: Path, table: str) -> dict[str, Any]:
    """What a store says after its owner's death, as the owner itself would find it: key to row."""
    with tempfile.TemporaryDirectory() as folder:
        for part in state.parent.glob(f"{state.name}*"):
            shutil.copy(part, folder)
        connection = sqlite3.connect(Path(folder) / state.name)
        rows = connection.execute("SELECT key, value FROM entry WHERE section = ?", (table,)).fetchall()
        connection.close()
    return {key: json.loads(value) for key, value in rows}


def operator_sees(one: Agent | Controller) -> str:
    """`vitalwire status` of an agent or a controller."""
    argv = [BUILD / "cli" / "vitalwire", "--agent", one.http, "status"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def pending(controller: Controller) -> float:
    """Rows that are not on the disk yet."""
    return http_metrics(controller.http)["vitalwire_controller_store_pending"]


class OutageTestCase(ProcessTestCase):
    CONTROLLERS = 2
    HOSTS: tuple[str, ...] = ("compute-1",)
    MORE: dict[str, str | Path] = {}  # settings of the controllers

    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())
        self.controllers = [self.start_controller(f"controller-{n}") for n in range(self.CONTROLLERS)]
        self.agents = [self.start_agent(host) for host in self.HOSTS]
        self.agent = self.agents[0]
        self.wait_connected()

    def start_controller(self, name: str, wrap: Wrap = list, **more: str | Path) -> Controller:
        controller = Controller(self.dir / name, self.inspector, wrap=wrap, **self.MORE, **more)
        self.addCleanup(lambda: controller.close())
        return controller

    def start_agent(self, host: str, wrap: Wrap = list, **more: str | Path) -> Agent:
        agent = Agent(self.dir / host, host, self.controllers, wrap=wrap, **more)
        self.addCleanup(lambda: agent.close())
        return agent

    def guest(self, name: str, agent: Agent | None = None, interval: int = 1000) -> Guest:
        """A registered one."""
        at = agent or self.agent
        guest = Guest(at.channels, name, interval)
        self.addCleanup(guest.close)
        at.wait_state(name, "registered")
        return guest

    # Who is there

    def wait_connected(self) -> None:
        """Until every agent has a link to each controller, and each controller knows what every agent knows."""
        for agent in self.agents:
            wait_until(lambda each=agent: self.links_up(each) == self.CONTROLLERS, f"{agent.host} has all its links")
        for controller in self.controllers:
            wait_until(lambda each=controller: self.knows_all(each), f"{controller.name} knows all guests")

    def links_up(self, agent: Agent) -> int:
        return sum(link["up"] for link in agent.status()["links"])

    def knows_all(self, controller: Controller) -> bool:
        status = controller.status()
        guests = sum(agent.status()["guests"]["total"] for agent in self.agents)
        return status["agents"]["connected"] == len(self.agents) and status["guests"]["total"] >= guests

    def lead(self) -> Controller:
        """Of the first agent."""
        names = [link["name"] for link in self.agent.status()["links"] if link["primary"]]
        return next(each for each in self.controllers if each.link() in names)

    # What was told

    def told(self) -> list[dict[str, Any]]:
        """The details of all that the inspector accepted about guests, in order."""
        return [event["details"] for event in self.inspector.events() if "instance_id" in event["details"]]

    def told_of(self) -> dict[str, list[dict[str, Any]]]:
        """The same by fault."""
        stories = defaultdict(list)
        for details in self.told():
            stories[details["fault_id"]].append(details)
        return stories

    def last_state(self, fault: str) -> str:
        """`down` or `up`, as a receiver sees it that goes by the revisions; empty when it was told nothing."""
        story = enumerate(self.told_of()[fault])
        newest = max(story, key=lambda told: (told[1]["revision"], told[0]), default=None)
        return newest[1]["status"] if newest else ""

    def wait_told(self, fault: str, status: str) -> None:
        wait_until(lambda: self.last_state(fault) == status, f"the inspector is told that {fault} is {status}")

    def fault_of(self, guest: str, agent: Agent | None = None) -> str:
        """The id of the one open fault of a guest."""
        faults = [fault for fault in (agent or self.agent).faults() if fault["guest"] == guest]
        [fault] = [fault for fault in faults if fault["state"] == "open"]
        return fault["id"]

    def wait_all_over(self) -> None:
        """Until no fault is open anywhere, and nothing waits to be told, confirmed or written."""
        for agent in self.agents:
            wait_until(lambda each=agent: not each.faults(), f"all faults of {agent.host} are over and delivered")
        for controller in self.controllers:
            wait_until(lambda each=controller: not each.faults(), f"{controller.name} has no fault left")
            wait_until(lambda each=controller: self.rests(each), f"{controller.name} has nothing left to do")
        for fault in self.told_of():
            self.wait_told(fault, "up")

    def rests(self, controller: Controller) -> bool:
        waiting = sum(sink["queued"] for sink in controller.status()["sinks"])
        return waiting + pending(controller) == 0

    def wait_well(self) -> None:
        """Until nobody complains of anything."""
        for one in (*self.agents, *self.controllers):
            wait_until(lambda each=one: not each.status()["problems"], f"{one.http.parent.name} has no problem")

    def assert_told_in_order(self, *faults: str) -> None:
        """Of these faults and no others, each raised and then cleared; repetitions are allowed after a kill."""
        stories = {fault: [details["status"] for details in story] for fault, story in self.told_of().items()}
        for fault, statuses in stories.items():
            self.assertEqual([status for status, _ in itertools.groupby(statuses)], ["down", "up"], fault)
        self.assertEqual(set(stories), set(faults))
