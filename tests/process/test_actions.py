#!/usr/bin/python3
"""Guests are asked before the cloud acts on them, over the agent's own interface."""

import json
from pathlib import Path
import sys
import threading
import time
from typing import Any
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from raw_guest import RawGuest, heartbeat
from suite import Agent
from vmbed.procs import ProcessTestCase, http_metrics, http_request

BOUND_SECONDS = 2.0
TIMES = {"vote_ms": 60_000, "shutdown_notice_ms": 60_000, "suspend_notice_ms": 60_000, "resume_notice_ms": 1}


class AskingGuest(RawGuest):
    """Votes by itself with `vote`, which is None for one that hangs in its vote, and is ready at once."""

    vote: str | None = "accept"
    reason = ""

    def enroll(self, **fields: Any) -> None:
        self.say(heartbeat("init", invocation_id=7, revision=1, name="raw", **{**TIMES, **fields}))
        self.wait("init_ack")

    def _hear(self, connection: Any, message: dict[str, Any]) -> None:
        super()._hear(connection, message)
        notify = message.get("data", message)
        if notify.get("msg_type") != "action_notify" or self.vote is None:
            return
        echo = {key: notify[key] for key in ("session_id", "invocation_id", "event_type", "notification_type")}
        result = self.vote if notify["notification_type"] == "revocable" else "complete"
        connection.sendall(heartbeat("action_response", **echo, vote_result=result, reason=self.reason))


class ActionsTestCase(ProcessTestCase):
    def start_agent(self, **more: str) -> Agent:
        agent = Agent(
            self.dir / "agent", "compute-1", [], bus={"bus__controller": "none"},
            heartbeat__action_timeout_max=f"{BOUND_SECONDS:g} s", **more,
        )
        self.addCleanup(agent.close)
        return agent

    def ask(self, agent: Agent, guest: str, event: str = "stop", **keys: Any) -> dict[str, Any]:
        body = json.dumps({"event": event, **keys}).encode()
        status, answer = http_request(agent.http, f"/v1/guests/{guest}/actions", "POST", body)
        self.assertEqual(status, 200, answer)
        return json.loads(answer)


class Asked(ActionsTestCase):
    def setUp(self) -> None:
        self.agent = self.start_agent()

    def guest(self, name: str = "g1", **fields: Any) -> AskingGuest:
        guest = AskingGuest(self.agent.channels, name)
        self.addCleanup(guest.close)
        guest.enroll(**fields)
        self.agent.wait_state(name, "registered")
        return guest

    def test_an_accepted_action_goes_on_when_the_guest_is_ready(self) -> None:
        guest = self.guest()
        answer = self.ask(self.agent, "g1")
        self.assertEqual((answer["decision"], answer["answer"]), ("proceed", "complete"))
        kinds = [notify["notification_type"] for notify in guest.heard("action_notify")]
        self.assertEqual(kinds, ["revocable", "irrevocable"])

    def test_a_rejected_action_names_the_reason(self) -> None:
        guest = self.guest()
        guest.vote, guest.reason = "reject", "last member"
        answer = self.ask(self.agent, "g1", "live_migrate_begin")
        self.assertEqual((answer["decision"], answer["reason"]), ("reject", "last member"))
        self.assertEqual(self.ask(self.agent, "g1", vote=False)["decision"], "proceed")
        self.assertEqual(http_metrics(self.agent.http)["vitalwire_agent_actions_rejected_total"], 1)

    def test_a_guest_that_hangs_in_its_vote_delays_by_the_bound_and_no_other_beat(self) -> None:
        hanging = self.guest("g1", detection_time_ms=300)
        hanging.vote = None
        other = self.guest("g2", detection_time_ms=300)
        started = time.monotonic()
        answers: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: answers.append(self.ask(self.agent, "g1")))
        thread.start()
        hanging.wait("action_notify")
        before = other.challenges
        self.assertEqual(self.ask(self.agent, "g2")["decision"], "proceed")
        self.assertEqual(answers, [])
        thread.join()
        self.assertEqual((answers[0]["decision"], answers[0]["answer"]), ("proceed", "silent"))
        self.assertGreaterEqual(answers[0]["waited_ms"], 1000 * BOUND_SECONDS)
        self.assertGreater(other.challenges - before, (time.monotonic() - started) / 0.3)
        self.assertEqual(self.agent.faults(), [])

    def test_a_guest_whose_heartbeat_is_lost_is_not_waited_for(self) -> None:
        guest = self.guest(detection_time_ms=300)
        guest.vote, guest.answering = None, False
        answer = self.ask(self.agent, "g1")
        self.assertEqual((answer["decision"], answer["answer"]), ("proceed", "heartbeat_lost"))
        self.assertLess(answer["waited_ms"], 1000 * BOUND_SECONDS)

    def test_a_guest_that_is_not_there_is_not_waited_for(self) -> None:
        self.assertEqual(self.ask(self.agent, "nobody")["answer"], "not_registered")

    def test_the_end_of_an_action_is_told_to_a_guest_as_soon_as_it_is_here(self) -> None:
        self.assertEqual(self.ask(self.agent, "g1", "live_migrate_end")["answer"], "waiting")
        guest = self.guest()
        notify = guest.wait("action_notify")
        self.assertEqual((notify["event_type"], notify["timeout_ms"]), ("live_migrate_end", 0))

    def test_a_cgcs_guest_votes(self) -> None:
        guest = CgcsGuest(self.agent.channels, "g1", "cgcs.heartbeat")
        self.addCleanup(guest.close)
        guest.enroll()
        self.agent.wait_state("g1", "registered")
        answer = self.ask(self.agent, "g1", "pause")
        self.assertEqual((answer["decision"], answer["reason"]), ("reject", 'say "no"'))
        self.assertEqual(guest.wait("action_notify")["timeout_ms"], 1000 * BOUND_SECONDS)

    def test_what_is_no_question_is_refused(self) -> None:
        for body in (b"", b"{}", b'{"event":"explode"}', b'{"event":"stop","vote":1}', b"x" * 70_000):
            with self.subTest(body[:20]):
                status, _ = http_request(self.agent.http, "/v1/guests/g1/actions", "POST", body)
                self.assertIn(status, (400, 413))


class CgcsGuest(RawGuest):
    """Rejects every action, in words that its JSON does not escape."""

    def enroll(self) -> None:
        times = {"vote_secs": 8, "shutdown_notice_secs": 8, "suspend_notice_secs": 8, "resume_notice_secs": 13}
        self.say_cgcs(
            msg_type="init", invocation_id=1, name="vm1", heartbeat_interval_ms=500, **times, restart_secs=120,
            corrective_action="reboot",
        )
        self.wait("init_ack")

    def say_cgcs(self, **fields: Any) -> None:
        self.say(b"\n" + json.dumps({"version": 3, "revision": 1, "sequence": 1, **fields}).encode() + b"\n")

    def _hear(self, connection: Any, message: dict[str, Any]) -> None:
        if message["msg_type"] == "challenge":
            self.say_cgcs(
                msg_type="challenge_response", heartbeat_response=message["heartbeat_challenge"],
                heartbeat_health="healthy", corrective_action="none", log_msg="",
            )
        elif message["msg_type"] == "action_notify":
            echo = {key: message[key] for key in ("invocation_id", "event_type", "notification_type")}
            answer = {"version": 3, "revision": 1, "msg_type": "action_response", "sequence": 5, **echo}
            line = json.dumps({**answer, "vote_result": "reject", "log_msg": ""}, separators=(",", ":"))
            self.say(b"\n" + line.removesuffix('""}').encode() + b'"say "no""}\n')
        with self._changed:
            self._lines.append(message)


class WithoutVotes(ActionsTestCase):
    def test_the_operator_lets_no_guest_reject(self) -> None:
        agent = self.start_agent(heartbeat__action_votes="no")
        guest = AskingGuest(agent.channels, "g1")
        self.addCleanup(guest.close)
        guest.vote = "reject"
        guest.enroll()
        agent.wait_state("g1", "registered")
        self.assertEqual(self.ask(agent, "g1")["decision"], "proceed")
        self.assertEqual([each["notification_type"] for each in guest.heard("action_notify")], ["irrevocable"])


if __name__ == "__main__":
    unittest.main()
