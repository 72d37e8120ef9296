#!/usr/bin/python3
"""`vitalwire reload` of [bus] at agents and controllers that work: addresses, brokers and credentials change, and no fault is
lost, no agent called lost."""

from collections import defaultdict
from pathlib import Path
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from message_broker import CONTROLLER, INSTALLED, Broker
from outage import Guest, OutageTestCase
from suite import BUILD, Agent, Controller
from vmbed.procs import temporary_dir, wait_until

HOST_KEYS = ("agent.host", "controller.host")


def configuration(settings: list[str]) -> str:
    """A file with these, each as --set has it."""
    sections = defaultdict(str)
    for setting in settings:
        name, value = setting.split("=", 1)
        section, key = name.rsplit(".", 1)
        sections[section.replace(".", " ")] += f"{key} = {value}\n"
    return "".join(f"[{section}]\n{lines}" for section, lines in sections.items())


class BusTestCase(OutageTestCase):
    """Agents and controllers with a file each, and a guest that is lost from the first moment to the last."""

    MORE = {"self_monitoring__agent_lost_after": "10 s"}

    def setUp(self) -> None:
        super().setUp()
        self.sick = self.guest("sick")
        self.sound = self.guest("sound")
        self.wait_connected()
        self.fault = self.lose(self.sick)

    def from_file(self, argv: list[str | Path]) -> list[str | Path]:
        values = [str(argument) for argument in argv[1:] if argument != "--set"]
        host = next(value.split("=")[1] for value in values if value.split("=")[0] in HOST_KEYS)
        self.file(host).write_text(configuration(values))
        return [argv[0], "--config", self.file(host)]

    def file(self, host: str) -> Path:
        return self.dir / f"{host}.conf"

    def start_controller(self, name: str, **more: str | Path) -> Controller:
        return super().start_controller(name, self.from_file, **more)

    def start_agent(self, host: str, **more: str | Path) -> Agent:
        return super().start_agent(host, self.from_file, **more)

    def reload(self, one: Agent | Controller, key: str, value: str) -> list[str]:
        """What the command says when this key of [bus] has that value."""
        agent = isinstance(one, Agent)
        file = self.file(one.host if agent else one.name)
        before = next(line for line in file.read_text().splitlines() if line.startswith(f"{key} = "))
        file.write_text(file.read_text().replace(before, f"{key} = {value}"))
        return self.reload_as_it_is(one)

    def reload_as_it_is(self, one: Agent | Controller) -> list[str]:
        where = ["--agent", one.http] if isinstance(one, Agent) else ["--controller", f"unix:{one.http}"]
        done = subprocess.run([BUILD / "cli" / "vitalwire", *where, "reload"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def lose(self, guest: Guest) -> str:
        guest.answering = False
        self.agent.wait_state(guest.id, "lost")
        fault = self.fault_of(guest.id)
        self.wait_told(fault, "down")
        return fault

    def wait_links(self, *urls: str) -> None:
        """Until the agent has links to these, all of them up, and to no others."""

        def linked() -> bool:
            links = self.agent.status()["links"]
            return sorted(link["name"] for link in links) == sorted(urls) and all(link["up"] for link in links)

        wait_until(linked, f"the agent is connected to {urls}")

    def assert_all_told(self) -> None:
        """The fault from before; one that comes now; and nothing else, of a guest or of the agent."""
        self.assertEqual({details["status"] for details in self.told_of()[self.fault]}, {"down"})
        other = self.lose(self.sound)
        self.sick.answering = self.sound.answering = True
        self.wait_all_over()
        self.assert_told_in_order(self.fault, other)
        self.assertEqual([event for event in self.inspector.events() if "instance_id" not in event["details"]], [])


class Addresses(BusTestCase):
    def wait_known(self, controller: Controller, connected: int) -> None:
        wait_until(lambda: controller.status()["agents"]["connected"] == connected, f"{controller.name} has {connected} agents")

    def test_a_controller_moves_with_its_agents(self) -> None:
        first, second = self.controllers
        other = f"unix://{self.dir}/other.sock"
        self.assertEqual(self.reload(first, "listen", f"{first.link()} {other}"),
                         [f"applied: [bus] listen: {first.link()} -> {first.link()} {other}"])
        self.assertEqual(len(self.reload(self.agent, "controller", f"{other} {second.link()}")), 1)
        self.wait_links(other, second.link())
        before = self.agent.metric("vitalwire_agent_bus_links_lost_total")
        self.assertEqual(self.reload(first, "listen", other), [f"applied: [bus] listen: {first.link()} {other} -> {other}"])
        self.assertFalse(first.bus.exists())
        self.wait_known(first, 1)
        self.assertEqual(self.agent.metric("vitalwire_agent_bus_links_lost_total"), before)
        self.assert_all_told()

    def test_an_agent_goes_from_one_controller_to_the_other(self) -> None:
        first, second = self.controllers
        self.reload(self.agent, "controller", first.link())
        self.wait_links(first.link())
        self.wait_known(second, 0)
        self.reload(self.agent, "controller", f"{first.link()} {second.link()}")
        self.wait_links(first.link(), second.link())
        self.assertEqual(self.reload(self.agent, "controller", second.link()),
                         [f"applied: [bus] controller: {first.link()} {second.link()} -> {second.link()}"])
        self.wait_links(second.link())
        self.assertEqual(self.lead(), second)

    def test_an_address_that_cannot_be_had_waits_for_a_restart(self) -> None:
        first, _ = self.controllers
        with socket.create_server(("127.0.0.1", 0)) as taken:
            wanted = f"{first.link()} tcp://127.0.0.1:{taken.getsockname()[1]}"
            said = self.reload(first, "listen", wanted)
        self.assertEqual(said, [f"needs a restart: [bus] listen: {first.link()} -> {wanted}"])
        self.assertEqual(self.reload_as_it_is(first), [f"applied: [bus] listen: {first.link()} -> {wanted}"], "once it is free")
        self.assert_all_told()

    def test_what_is_decided_at_the_start_needs_a_restart(self) -> None:
        link = self.agent.status()["links"][0]["name"]
        for value in ("none", f"amqp://127.0.0.1:1/\npassword_file = {self.secret()}"):
            said = self.reload(self.agent, "controller", value)
            self.assertIn(f"needs a restart: [bus] controller: {self.links()}", "\n".join(said))
        self.assertIn(link, [each["name"] for each in self.agent.status()["links"]])
        self.assert_all_told()

    def links(self) -> str:
        """As the agent's configuration has them."""
        return " ".join(controller.link() for controller in self.controllers)

    def secret(self) -> Path:
        file = self.dir / "password"
        file.write_text("secret\n")
        file.chmod(0o600)
        return file


@unittest.skipUnless(INSTALLED, "no RabbitMQ")
class Brokers(BusTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.broker = cls.enterClassContext(Broker(cls.enterClassContext(temporary_dir()) / "broker"))

    def start_controller(self, name: str, **more: str | Path) -> Controller:
        controller = Controller(self.dir / name, self.inspector, self.bus("listen", CONTROLLER), self.from_file, **self.MORE)
        self.addCleanup(lambda: controller.close())
        return controller

    def start_agent(self, host: str, **more: str | Path) -> Agent:
        agent = Agent(self.dir / host, host, [], wrap=self.from_file, bus=self.bus("controller", host))
        self.addCleanup(lambda: agent.close())
        return agent

    def bus(self, key: str, user: str) -> dict[str, str | Path]:
        return {f"bus__{key}": self.broker.url(user), "bus__password_file": self.broker.password_file}

    def by_name(self, user: str) -> str:
        return self.broker.url(user).replace("127.0.0.1", "localhost")

    def test_a_broker_is_left_for_another_address(self) -> None:
        for one, key, user in ((self.agent, "controller", "compute-1"),
                               *((controller, "listen", CONTROLLER) for controller in self.controllers)):
            with self.subTest(user):
                before = self.broker.url(user)
                self.assertEqual(self.reload(one, key, self.by_name(user)),
                                 [f"applied: [bus] {key}: {before} -> {self.by_name(user)}"])
                wait_until(lambda: "it is no longer configured" in self.log_of(one), "the broker is left")
                self.wait_connected()
        self.assert_all_told()

    def log_of(self, one: Agent | Controller) -> str:
        return one._log.read_text()

    def test_without_any_broker_needs_a_restart(self) -> None:
        said = self.reload(self.agent, "controller", f"unix://{self.dir}/bus")
        self.assertEqual(said, [f"needs a restart: [bus] controller: {self.broker.url('compute-1')} -> unix://{self.dir}/bus"])
        self.assert_all_told()


if __name__ == "__main__":
    unittest.main()
