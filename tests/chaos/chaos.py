"""Everything that can fail does, in an order that a seed decides: agents, controllers, guests, the inspector, the network
of one host, the controllers' disks, the broker and its queues. Then all comes back, and nothing is lost and nothing false."""

import contextlib
import itertools
import os
from pathlib import Path
import random
import signal
import sys
import time
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import amqp

from message_broker import CONTROLLER as BROKER_USER
from message_broker import PASSWORD as BROKER_PASSWORD
from outage import Guest, OutageTestCase, store_rows
from small_disk import SmallDisk
from stalling_proxy import StallingProxy
from suite import Agent, Controller, Wrap, common_broker
from vmbed.procs import wait_equal, wait_until

LONGEST_PAUSE = 1.0
CUT_OFF = "compute-3"  # the host whose network can stop

Move = tuple[str, Callable[[], None]]


class Chaos(OutageTestCase):
    """One run of a seed."""

    seed = 1
    steps = 40
    killed = 0  # by all runs of this process

    HOSTS = ("compute-1", "compute-2", CUT_OFF)
    MORE = {"self_monitoring__agent_lost_after": "2 s", "self_monitoring__sink_failing_after": "2 s",
            "sink__inspector__longest_backoff": "500 ms", "sink__inspector__timeout": "2 s"}

    def setUp(self) -> None:
        self.disks: dict[str, SmallDisk] = {}
        self.full: set[str] = set()  # names of controllers
        self.died_with_full_disk = False
        self.network: list[StallingProxy] = []
        self.network_carries = True
        super().setUp()
        self.frail: list[Guest] = []
        for agent in self.agents:
            self.frail += [self.guest(f"{agent.host}-{name}", agent) for name in ("a", "b")]
            self.guest(f"{agent.host}-sound", agent, interval=5000)
        self.wait_connected()
        self.condition: dict[Agent | Controller, str] = {each: "runs" for each in (*self.agents, *self.controllers)}
        self.broker_runs = common_broker() is not None
        self.broker_was_killed = False
        self.inspector_accepts = True
        self.disturbances = 1
        self.kept: set[str] = set()  # of faults that an agent has said or written: to be told, whatever comes
        self.said: dict[Agent, tuple[int, set[str]]] = {}  # by the process of that number when it was last asked
        self.journal = self.dir / "steps.log"  # printed after a failure
        self.addCleanup(self.restore_broker)

    def start_controller(self, name: str, wrap: Wrap = list, **more: str | Path) -> Controller:
        """On a disk of its own, where we may make one."""
        if os.geteuid() != 0:
            return super().start_controller(name, wrap, **more)
        disk = self.disks[name] = SmallDisk(self.dir / f"{name}-disk")
        self.addCleanup(disk.close)
        return super().start_controller(name, disk.wrap, controller__state=disk.folder / "controller.db", **more)

    def start_agent(self, host: str, wrap: Wrap = list, **more: str | Path) -> Agent:
        if host != CUT_OFF:
            return super().start_agent(host, wrap, **more)
        broker = common_broker()
        if broker:
            self.network = [StallingProxy(("127.0.0.1", broker.port))]
            address = f"amqp://{host}@127.0.0.1:{self.network[0].port}/"
            bus = {"bus__controller": address, "bus__password_file": broker.password_file}
        else:
            paths = {each: self.dir / f"{each.name}.net" for each in self.controllers}
            self.network = [StallingProxy(str(each.bus), path) for each, path in paths.items()]
            bus = {"bus__controller": " ".join(f"unix://{path}" for path in paths.values())}
        for part in self.network:
            self.addCleanup(part.close)
        return super().start_agent(host, wrap, bus=bus, **more)

    # What can happen next: the same in every run of a seed, so it must not depend on what the programs say.

    def moves(self) -> list[Move]:
        moves = [move for one, condition in self.condition.items() for move in self.moves_of(one, condition)]
        for guest in self.frail:
            moves.append((f"{guest.id} {'falls silent' if guest.answering else 'answers'}",
                          lambda each=guest: setattr(each, "answering", not each.answering)))
            moves.append((f"{guest.id} {'is unhealthy' if guest.healthy else 'is healthy'}",
                          lambda each=guest: setattr(each, "healthy", not each.healthy)))
        moves += self.moves_of_the_network() + self.moves_of_the_disks()
        return moves + self.moves_of_the_inspector() + self.moves_of_the_broker()

    def moves_of(self, one: Agent | Controller, condition: str) -> list[Move]:
        possible: dict[str, dict[str, Callable[[Agent | Controller], None]]] = {
            "runs": {"killed": self.kill, "stopped": self.stop, "frozen": self.freeze},
            "frozen": {"killed": self.kill, "runs": self.thaw},
            "killed": {"runs": self.start_again},
            "stopped": {"runs": self.start_again},
        }

        def move(to: str, act: Callable[[Agent | Controller], None]) -> None:
            act(one)
            self.condition[one] = to

        name = one.http.parent.name
        return [(f"{name} {condition} -> {to}", lambda to=to, act=act: move(to, act))
                for to, act in possible[condition].items()]

    def moves_of_the_network(self) -> list[Move]:
        def change(carries: bool) -> None:
            for part in self.network:
                part.resume() if carries else part.stall()
            self.network_carries = carries

        carries = not self.network_carries
        return [(f"the network of {CUT_OFF} {'carries' if carries else 'stalls'}", lambda: change(carries))]

    def moves_of_the_disks(self) -> list[Move]:
        def change(name: str) -> None:
            self.empty(name) if name in self.full else self.fill(name)

        return [(f"the disk of {name} {'has space' if name in self.full else 'is full'}", lambda each=name: change(each))
                for name in self.disks if self.may_fill(name)]

    def may_fill(self, name: str) -> bool:
        """Without a disk a controller does not start: only one that runs has its disk filled."""
        condition = next(state for one, state in self.condition.items() if one.http.parent.name == name)
        return name in self.full or condition == "runs"

    def fill(self, name: str) -> None:
        self.disks[name].fill()
        self.full.add(name)

    def empty(self, name: str) -> None:
        self.disks[name].empty()
        self.full.discard(name)

    def moves_of_the_inspector(self) -> list[Move]:
        def change(act: Callable[[], None], accepts: bool) -> None:
            act()
            self.inspector_accepts = accepts

        if not self.inspector_accepts:
            return [("the inspector is well", lambda: change(self.inspector.up, True))]
        return [("the inspector is away", lambda: change(self.inspector.down, False)),
                ("the inspector refuses", lambda: change(self.inspector.refuse, False)),
                ("the inspector hangs", lambda: change(self.inspector.hang, False))]

    def moves_of_the_broker(self) -> list[Move]:
        broker = common_broker()
        if broker is None:
            return []
        if not self.broker_runs:
            return [("the broker is well", self.restore_broker)]
        moves = [("the broker hangs", lambda: self.end_broker(broker.pause))]
        moves += [(f"the queue of {one.name} is deleted", lambda each=one: self.delete_queue(each)) for one in self.controllers]
        if not self.broker_was_killed:  # it takes long to start on a small machine: once is enough
            moves.append(("the broker is killed", self.kill_broker))
        return moves

    def delete_queue(self, controller: Controller) -> None:
        """As an operator may by mistake."""
        broker = common_broker()
        connection = amqp.Connection(f"127.0.0.1:{broker.port}", BROKER_USER, BROKER_PASSWORD)
        with contextlib.closing(connection):
            connection.connect()
            connection.channel().queue_delete(f"vitalwire.controller.{controller.name}")

    def end_broker(self, how: Callable[[], None]) -> None:
        how()
        self.broker_runs = False

    def kill_broker(self) -> None:
        self.end_broker(common_broker().kill)
        self.broker_was_killed = True
        type(self).killed += 1

    def restore_broker(self) -> None:
        broker = common_broker()
        if broker and not self.broker_runs:
            broker.restore()
            self.broker_runs = True

    def kill(self, one: Agent | Controller) -> None:
        one.daemon.kill()
        type(self).killed += 1
        self.note_unwritten(one)
        self.note_written(one)

    def stop(self, one: Agent | Controller) -> None:
        self.assertEqual(one.daemon.stop(), 0, one.http.parent.name)
        one.daemon.kill()
        self.note_unwritten(one)
        self.note_written(one)

    def note_unwritten(self, one: Agent | Controller) -> None:
        """Guests' faults are reported again by their agents; a controller's internal alarms only its disk remembers."""
        self.died_with_full_disk |= one.http.parent.name in self.full

    def note_written(self, one: Agent | Controller) -> None:
        """What the agent has written it says again, so it has to be told."""
        if isinstance(one, Agent):
            self.kept |= set(store_rows(one.http.parent / "agent.db", "faults"))

    def freeze(self, one: Agent | Controller) -> None:
        one.daemon.signal(signal.SIGSTOP)

    def thaw(self, one: Agent | Controller) -> None:
        one.daemon.signal(signal.SIGCONT)

    def start_again(self, one: Agent | Controller) -> None:
        name = one.http.parent.name
        if name in self.full:
            self.empty(name)
        one.start()

    # The run

    def run_steps(self) -> None:
        chance = random.Random(self.seed)
        with open(self.journal, "w", buffering=1) as journal:
            print(f"tests/chaos/run --seed {self.seed} --steps {self.steps}", file=journal)
            for number in range(self.steps):
                what, act = chance.choice(self.moves())
                print(f"{number}: {what}", file=journal)
                act()
                self.disturbances += not what.startswith("compute-") or "->" in what
                time.sleep(chance.uniform(0, LONGEST_PAUSE))
                self.require_alive()
                self.ask_agents()

    def ask_agents(self) -> None:
        """What an agent has said and outlived for a while is on its disk: it is to be told as well."""
        for agent in self.agents:
            if self.condition[agent] != "runs":
                continue
            process, faults = self.said.get(agent, (0, set()))
            if process == agent.daemon.pid:
                self.kept |= faults
            self.said[agent] = agent.daemon.pid, {fault["id"] for fault in agent.faults()}

    def require_alive(self) -> None:
        for one, condition in self.condition.items():
            if condition in ("runs", "frozen"):
                one.daemon.require_running()

    def bring_all_back(self) -> None:
        self.restore_broker()
        for part in self.network:
            part.resume()
        for name in list(self.full):
            self.empty(name)
        self.inspector.up()
        for one, condition in self.condition.items():
            if condition == "frozen":
                self.thaw(one)
            elif condition != "runs":
                self.start_again(one)
        for guest in self.frail:
            guest.answering = guest.healthy = True

    def test_nothing_is_lost_and_nothing_is_invented(self) -> None:
        self.run_steps()
        self.bring_all_back()
        self.wait_connected()
        for agent in self.agents:
            self.kept |= {fault["id"] for fault in agent.faults()}
        self.wait_all_over()
        self.wait_well()
        for controller in self.controllers:
            wait_until(lambda each=controller: self.sees_all_well(each), f"{controller.name} sees all guests well")
        self.require_alive()
        self.assert_every_fault_is_told_and_over()
        self.assert_nothing_is_invented()
        self.assert_bounded()

    def sees_all_well(self, controller: Controller) -> bool:
        return {guest["state"] for guest in controller.guests()} == {"registered"}

    def assert_every_fault_is_told_and_over(self) -> None:
        stories = self.told_of()
        self.assertEqual(self.kept - set(stories), set(), "never told")
        for fault, story in stories.items():
            self.assertEqual(story[0]["status"], "down", f"{fault} is cleared before it is raised")
            self.assertEqual(self.last_state(fault), "up", fault)

    def assert_nothing_is_invented(self) -> None:
        guests = {details["instance_id"] for details in self.told()}
        self.assertLessEqual(guests, {guest.id for guest in self.frail})
        if not self.died_with_full_disk:
            wait_equal(self.internal_alarms, [], "the inspector is told that the suite is well")

    def internal_alarms(self) -> list[dict[str, Any]]:
        """Those of which the inspector was last told that they are open."""
        alarms = [event["details"] for event in self.inspector.events() if "instance_id" not in event["details"]]
        last = {details["fault_id"]: details for details in alarms}
        return [details for details in last.values() if details["status"] == "down"]

    def assert_bounded(self) -> None:
        """A fault is repeated only by who was disturbed while it was being told."""
        for fault, story in self.told_of().items():
            changes = len({(details["revision"], details["status"]) for details in story})
            repeats = len(story) - changes
            self.assertLessEqual(repeats, 2 * self.disturbances, fault)
            self.assertLessEqual(len(list(itertools.groupby(details["status"] for details in story))), 6, fault)
