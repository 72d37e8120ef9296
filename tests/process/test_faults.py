#!/usr/bin/python3
"""A fault's way from a guest through agent and controller to the inspector, with each of them failing on the way."""

from pathlib import Path
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from raw_guest import RawGuest
from suite import Agent, Controller, fault_event
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, http_json, http_metrics, wait_until


class Faults(ProcessTestCase):
    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())
        self.controller = Controller(self.dir / "controller", self.inspector)
        self.addCleanup(lambda: self.controller.close())
        self.agent = Agent(self.dir / "agent", "compute-1", self.controller)
        self.addCleanup(lambda: self.agent.close())
        self.guest = RawGuest(self.agent.channels, "g1")
        self.addCleanup(self.guest.close)
        self.guest.register()
        self.agent.wait_state("g1", "registered")

    def told(self, status: str, kind: str = "heartbeat_lost") -> None:
        self.inspector.wait_event(fault_event("g1", kind, status), f"{kind} {status} of g1")

    def story(self) -> list[str]:
        """What the inspector was told of the guest, in order; of an agent that is long away it is told as well."""
        details = [event["details"] for event in self.inspector.events() if "instance_id" in event["details"]]
        return [f"{each['kind']} {each['status']}" for each in details]

    def test_a_silent_guest_is_told_and_cleared_when_it_answers(self) -> None:
        self.guest.answering = False
        self.told("down")
        self.assertEqual([fault["kind"] for fault in self.controller.faults()], ["heartbeat_lost"])
        self.guest.answering = True
        self.told("up")
        self.assertEqual(self.story(), ["heartbeat_lost down", "heartbeat_lost up"])
        wait_until(lambda: not self.controller.faults(), "no fault is open")

    def test_a_fault_that_came_and_went_while_the_inspector_was_away_is_told_in_order(self) -> None:
        self.inspector.down()
        self.guest.answering = False
        self.agent.wait_state("g1", "lost")
        self.guest.answering = True
        self.agent.wait_state("g1", "registered")
        self.inspector.up()
        self.told("up")
        self.assertEqual(self.story(), ["heartbeat_lost down", "heartbeat_lost up"])

    def test_an_inspector_that_refuses_is_told_until_it_accepts(self) -> None:
        self.inspector.refuse()
        self.guest.answering = False
        wait_until(lambda: len(self.inspector.requests) >= 2, "the inspector is asked again")
        sink = http_json(self.controller.http, "/v1/status")["sinks"][0]
        self.assertNotEqual(sink["state"], "ok")
        self.inspector.accept()
        self.told("down")
        self.assertEqual(self.story(), ["heartbeat_lost down"])

    def test_a_fault_that_came_and_went_while_the_controller_was_away_is_told(self) -> None:
        self.controller.close()
        self.guest.answering = False
        self.agent.wait_state("g1", "lost")
        self.guest.answering = True
        self.agent.wait_state("g1", "registered")
        self.controller.start()
        self.told("up")
        self.assertEqual(self.story(), ["heartbeat_lost down", "heartbeat_lost up"])

    def test_a_controller_that_restarts_tells_nothing_twice(self) -> None:
        self.guest.answering = False
        self.told("down")
        wait_until(lambda: self.delivered(), "the agent knows that it is told")
        self.controller.close()
        self.controller.start()
        self.guest.answering = True
        self.told("up")
        self.assertEqual(self.story(), ["heartbeat_lost down", "heartbeat_lost up"])

    def delivered(self) -> bool:
        faults = http_json(self.agent.http, "/v1/faults")["faults"]
        return bool(faults) and faults[0]["delivered"] >= faults[0]["revision"]

    def test_an_agent_that_restarts_continues_the_session_without_a_fault(self) -> None:
        session = self.guest.session
        self.agent.stop()
        self.agent.start()
        self.guest.forget()
        self.guest.wait("challenge", 3)
        self.assertEqual(self.guest.session, session)
        self.agent.wait_beats("g1")
        self.assertEqual(self.story(), [])

    def test_a_guest_that_hung_while_the_agent_was_down_is_found(self) -> None:
        self.agent.close()
        self.guest.answering = False
        self.agent.start()
        self.told("down")

    def test_a_killed_agent_keeps_its_open_fault_and_clears_it_once(self) -> None:
        self.guest.answering = False
        self.told("down")
        fault = self.controller.faults()[0]["id"]
        self.agent.close()
        self.agent.start()
        self.agent.wait_state("g1", "lost")
        self.assertEqual([entry["id"] for entry in self.controller.faults()], [fault])
        self.guest.answering = True
        self.told("up")
        self.assertEqual(self.story(), ["heartbeat_lost down", "heartbeat_lost up"])

    def test_the_agent_answers_its_operator_without_a_controller(self) -> None:
        def status() -> dict:
            return http_json(self.agent.http, "/v1/status")

        wait_until(lambda: [link["up"] for link in status()["links"]] == [True], "the controller is connected")
        self.controller.close()
        self.guest.answering = False
        self.agent.wait_state("g1", "lost")
        self.assertEqual(status()["faults_open"]["critical"], 1)
        wait_until(lambda: [link["up"] for link in status()["links"]] == [False], "the link is down")
        missing = "no controller is connected"

        def says_so(path: str) -> bool:
            return missing in [problem["what"] for problem in http_json(self.agent.http, path)["problems"]]

        wait_until(lambda: says_so("/v1/status") and says_so("/readyz"), "the agent says so")
        self.assertFalse(status()["healthy"])
        self.assertEqual(http_metrics(self.agent.http)["vitalwire_agent_controllers_up"], 0)
        self.assertIn(missing.encode(), (self.dir / "agent" / "agent.log").read_bytes())
        self.controller.start()
        self.told("down")
        wait_until(lambda: not says_so("/v1/status"), "the agent is content")


if __name__ == "__main__":
    unittest.main()
