#!/usr/bin/python3
"""Agents and controllers that meet at RabbitMQ: how it can fail, who is let in, and who may say what."""

import itertools
import json
from pathlib import Path
import sys
import unittest
import uuid

import amqp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed import certificates
from message_broker import CONTROLLER, Broker
from one_guest import OneGuestTestCase
from suite import Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import http_json, http_metrics, http_request, temporary_dir, wait_until

EXCHANGE = "vitalwire.controllers"
REFUSED = "vitalwire_controller_bus_connections_refused"
DROPPED = "vitalwire_controller_bus_messages_dropped"


def setUpModule() -> None:
    global common_broker
    folder = unittest.enterModuleContext(temporary_dir())
    common_broker = unittest.enterModuleContext(Broker(folder / "broker"))


class BrokerTestCase(OneGuestTestCase):
    """An agent with one guest, and two controllers."""

    def setUp(self) -> None:
        self.broker = common_broker
        self.addCleanup(self.broker.restore)
        self.inspector = self.enterContext(Inspector())

    def start_suite(self, *brokers: Broker, controllers: int = 2) -> None:
        self.controllers = [self.start_controller(number, brokers or (self.broker,)) for number in range(controllers)]
        self.agent = self.start_agent(brokers or (self.broker,))
        self.wait_links(controllers)
        self.meet_guest()

    def start_controller(self, number: int, brokers: tuple[Broker, ...], host: str = "") -> Controller:
        bus = {"bus__listen": " ".join(broker.url(CONTROLLER) for broker in brokers),
               "bus__password_file": brokers[0].password_file,
               "controller__resume_grace": "1 s"}
        named = {"controller__host": host} if host else {}
        controller = Controller(self.dir / f"controller-{number}", self.inspector, bus, **named)
        self.addCleanup(lambda: controller.close())
        return controller

    def start_agent(self, brokers: tuple[Broker, ...]) -> Agent:
        bus = {"bus__controller": " ".join(broker.url("compute-1") for broker in brokers),
               "bus__password_file": brokers[0].password_file}
        agent = Agent(self.dir / "agent", "compute-1", [], bus=bus)
        self.addCleanup(lambda: agent.close())
        return agent

    def lead(self) -> Controller:
        name = next(link["name"] for link in self.links() if link["primary"])
        return next(each for each in self.controllers if name == f"amqp:{each.name}")

    def wait_story(self, *statuses: str) -> None:
        """Until the inspector was told exactly that of the guest's heartbeat."""
        wait_until(lambda: self.story() == list(statuses), f"the inspector is told {statuses}")

    def story(self) -> list[str]:
        told = [event["details"] for event in self.inspector.events()]
        return [details["status"] for details in told if details["kind"] == "heartbeat_lost"]


class Outages(BrokerTestCase):
    def test_a_fault_is_told_once_whichever_controller_is_killed(self) -> None:
        self.start_suite()
        for round_ in range(1, 3):
            lead = self.lead()
            lead.close()
            self.lose_guest()
            self.recover_guest()
            self.wait_story(*["down", "up"] * round_)
            lead.start()
            self.wait_links(2)

    def test_a_broker_that_is_killed_loses_nothing(self) -> None:
        self.start_suite()
        self.broker.kill()
        self.wait_links(0)
        wait_until(self.agent.problems, "the agent says that it has no controller")
        wait_until(lambda: self.problems(self.controllers[0]), "the controller says that it has no broker")
        self.lose_guest()
        self.broker.start()
        self.wait_story("down")
        self.wait_links(2)
        self.recover_guest()
        self.wait_story("down", "up")
        self.assertEqual(self.agent.problems(), [])
        wait_until(lambda: not self.problems(self.controllers[0]), "the controller is well")

    def problems(self, controller: Controller) -> list[str]:
        return [entry["detail"] for entry in controller.status()["problems"] if "amqp://" in entry["what"]]

    def test_a_broker_that_hangs_is_noticed_and_loses_nothing(self) -> None:
        self.start_suite()
        self.broker.pause()
        self.wait_links(0)
        self.lose_guest()
        self.recover_guest()
        self.broker.resume()
        self.wait_links(2)
        self.wait_story("down", "up")

    def test_a_broker_that_takes_nothing_is_a_problem_of_both_and_loses_nothing(self) -> None:
        self.start_suite(controllers=1)
        self.addCleanup(self.broker.control, "set_vm_memory_high_watermark", "0.4")
        self.broker.control("set_vm_memory_high_watermark", "0.00001")
        blocked = "takes no messages"
        wait_until(lambda: any(blocked in why for why in self.problems(self.controllers[0])), "the controller says so")
        wait_until(lambda: http_request(self.controllers[0].http, "/readyz")[0] == 503, "it is not ready")
        self.lose_guest()
        self.broker.control("set_vm_memory_high_watermark", "0.4")
        self.wait_story("down")
        wait_until(lambda: http_request(self.controllers[0].http, "/readyz")[0] == 200, "the controller is ready again")

    def test_two_controllers_of_one_name_both_say_so(self) -> None:
        self.controllers = [self.start_controller(number, (self.broker,), host="same") for number in range(2)]
        what = "another controller has the same name"

        def problems(controller: Controller) -> list[str]:
            return [problem["what"] for problem in controller.status()["problems"]]

        wait_until(lambda: all(what in problems(each) for each in self.controllers), "both say so")
        self.controllers[1].close()
        wait_until(lambda: what not in problems(self.controllers[0]), "the one that is left is content")

    def test_an_exchange_that_somebody_deletes_comes_back(self) -> None:
        self.start_suite()
        with self.connect_to_broker() as connection:
            connection.channel().exchange_delete(EXCHANGE)
        wait_until(self.has_exchange, "a controller declares the exchange")
        self.wait_links(2)
        self.lose_guest()
        self.wait_story("down")

    def has_exchange(self) -> bool:
        with self.connect_to_broker() as connection:
            try:
                connection.channel().exchange_declare(EXCHANGE, "direct", passive=True)
            except amqp.NotFound:
                return False
            return True

    def connect_to_broker(self) -> amqp.Connection:
        return amqp.Connection(f"127.0.0.1:{self.broker.port}", CONTROLLER, "secret", login_method="PLAIN")

    def test_a_controller_without_its_broker_is_not_ready(self) -> None:
        self.broker.kill()
        controller = self.start_controller(0, (self.broker,))
        wait_until(lambda: http_request(controller.http, "/readyz")[0] == 503, "the controller is not ready")
        self.assertIs(json.loads(http_request(controller.http, "/readyz")[1])["bus"], False)

    def test_a_host_that_is_lost_while_no_controller_runs_is_not_forgotten(self) -> None:
        self.start_suite(controllers=1)
        self.controllers[0].close()
        self.lose_guest()
        wait_until(lambda: self.left() == 1, "the broker has the fault")
        self.agent.close()
        self.controllers[0].start()
        self.wait_story("down")
        self.agent.start()
        self.recover_guest()
        self.wait_story("down", "up")

    def test_what_was_left_for_the_controllers_is_gone_when_they_know_it(self) -> None:
        self.start_suite()
        self.controllers[0].close()
        self.lose_guest()
        self.wait_story("down")
        self.recover_guest()
        self.wait_story("down", "up")
        self.agent.close()
        self.controllers[1].close()
        for controller in self.controllers:
            controller.start()
        metric = "vitalwire_controller_orphaned_reports_waiting"
        wait_until(
            lambda: self.left() + sum(http_metrics(each.http)[metric] for each in self.controllers) == 0,
            "all that was left is taken",
        )
        # One that took none of it before tells its end again: it cannot know that the other one did.
        self.assertEqual([status for status, _ in itertools.groupby(self.story())], ["down", "up"])

    def left(self) -> int:
        """Messages of faults that wait at the broker."""
        with self.connect_to_broker() as connection:
            return connection.channel().queue_declare("vitalwire.faults", passive=True).message_count

    def test_the_next_broker_serves_when_one_is_lost(self) -> None:
        first = self.enterContext(Broker(self.dir / "first"))
        self.start_suite(first, self.broker, controllers=1)
        first.kill()
        self.wait_links(0)
        self.wait_links(1)
        self.lose_guest()
        self.wait_story("down")


class PlayedAgentTestCase(BrokerTestCase):
    """The agent of compute-2 is played by the test."""

    def setUp(self) -> None:
        super().setUp()
        self.start_suite(controllers=1)
        self.controller = self.controllers[0]
        self.connection = amqp.Connection(
            f"127.0.0.1:{self.broker.port}", "compute-2", "secret", login_method="PLAIN"
        )
        self.connection.connect()
        self.addCleanup(self.connection.close)
        self.queue = f"vitalwire.agent.compute-2.{uuid.uuid4().hex}"

    def hosts(self) -> list[str]:
        agents = http_json(self.controller.http, "/v1/agents")["agents"]
        return [agent["host"] for agent in agents if agent["connected"]]

    def say(self, channel: amqp.Channel, host: str, **properties: str) -> None:
        """A whole hello, as an agent of that host says it."""
        hello = {"type": "hello", "version": 1, "host": host, "agent_version": "1", "instance": "i", "lead": True}
        properties = {"reply_to": self.queue, "type": "data", "message_id": "0", "correlation_id": "1", **properties}
        channel.basic_publish(amqp.Message(json.dumps(hello) + "\n", **properties), EXCHANGE, "all")


class Losses(PlayedAgentTestCase):
    def test_what_a_full_queue_of_the_broker_lost_is_counted_and_ends_the_stream(self) -> None:
        channel = self.connection.channel()
        channel.queue_declare(self.queue, exclusive=True)
        for number in ("0", "4"):
            self.say(channel, "compute-2", user_id="compute-2", message_id=number)
        wait_until(lambda: http_metrics(self.controller.http)[DROPPED] == 3, "three messages are counted")
        wait_until(lambda: "compute-2" not in self.hosts(), "its next stream is waited for")


class Rights(PlayedAgentTestCase):
    """What a stolen password of compute-2's agent is good for."""

    def refused(self) -> float:
        return http_metrics(self.controller.http)[REFUSED]

    def test_its_own_host_it_may_speak_for(self) -> None:
        channel = self.connection.channel()
        channel.queue_declare(self.queue, exclusive=True)
        self.say(channel, "compute-2", user_id="compute-2")
        wait_until(lambda: "compute-2" in self.hosts(), "compute-2 is known")

    def test_another_host_it_may_not_speak_for(self) -> None:
        channel = self.connection.channel()
        channel.queue_declare(self.queue, exclusive=True)
        before = self.refused()
        for number, (host, properties) in enumerate((
            ("compute-1", {"user_id": "compute-2"}),
            ("compute-1", {}),
            ("compute-1", {"user_id": "compute-2", "reply_to": self.queue.replace("compute-2", "compute-1")}),
        ), 1):
            self.say(channel, host, correlation_id=str(number), **properties)
            wait_until(lambda: self.refused() >= before + number, f"message {number} is refused")
        self.assertEqual(self.hosts(), ["compute-1"])
        self.assertEqual([link["up"] for link in self.links()], [True])

    def test_the_broker_refuses_a_foreign_name(self) -> None:
        channel = self.connection.channel()
        self.say(channel, "compute-1", user_id="compute-1")
        with self.assertRaises(amqp.PreconditionFailed):
            self.connection.drain_events(timeout=20)

    def test_it_reaches_no_queue_and_no_exchange_but_the_controllers(self) -> None:
        foreign = f"vitalwire.agent.compute-1.{'0' * 32}"
        message = amqp.Message("x")
        for what, attempt in {
            "declare another's queue": lambda c: c.queue_declare(foreign),
            "consume all there is": lambda c: c.queue_declare("vitalwire.controller.spy." + "0" * 32),
            "hear what agents say": lambda c: (c.queue_declare(self.queue), c.queue_bind(self.queue, EXCHANGE, "all")),
            "write to a queue": lambda c: (c.confirm_select(), c.basic_publish_confirm(message, "", foreign)),
            "write to Nova": lambda c: (c.confirm_select(), c.basic_publish_confirm(message, "amq.topic", "x")),
        }.items():
            with self.subTest(what), self.assertRaises(amqp.AccessRefused):
                attempt(self.connection.channel())


class Certificates(BrokerTestCase):
    """amqps without passwords: the certificate says who we are."""

    def bus(self, key: str, user: str, certified: str) -> dict[str, str | Path]:
        folder = self.broker.certificates
        certificates.issue_client(folder, certified)
        return {
            f"bus__{key}": f"amqps://{user}@localhost:{self.broker.tls_port}/",
            "bus__ca": folder / "authority.pem",
            "bus__certificate": folder / f"{certified}.pem",
            "bus__key": folder / f"{certified}.key",
        }

    def setUp(self) -> None:
        super().setUp()
        bus = self.bus("listen", CONTROLLER, CONTROLLER)
        self.controllers = [Controller(self.dir / "controller", self.inspector, bus)]
        self.addCleanup(self.controllers[0].close)

    def start_certified(self, certified: str) -> None:
        bus = self.bus("controller", "compute-1", certified)
        self.agent = Agent(self.dir / "agent", "compute-1", [], bus=bus)
        self.addCleanup(self.agent.close)

    def test_they_let_agents_and_controllers_in(self) -> None:
        self.start_certified("compute-1")
        self.wait_links(1)

    def test_that_of_another_host_is_of_no_use(self) -> None:
        self.start_certified("compute-2")
        wait_until(self.agent.problems, "the agent says that it has no controller")
        self.assertIn("vitalwire.agent.compute-1", self.agent.problems()[0])


if __name__ == "__main__":
    unittest.main()
