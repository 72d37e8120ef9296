#!/usr/bin/python3
"""Maintenance, and what else an operator decides, with the command line and two controllers that are peers: what one did
about a fault, the other shows too."""

import json
from pathlib import Path
import subprocess
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed.cloud import free_ports
from raw_guest import RawGuest
from suite import BUILD, Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import http_request, temporary_dir, wait_until


class MaintenanceCase(unittest.TestCase):
    POLL = "1 s"

    def setUp(self) -> None:
        self.dir = self.enterContext(temporary_dir())
        self.inspector = self.enterContext(Inspector())
        # Two that follow each other.
        ports = {"first": free_ports(2), "second": 0}
        ports["second"] = ports["first"] + 1
        self.first, self.second = (
            self.start_controller(name, http__listen=f"unix:{self.dir}/{name}/http.sock 127.0.0.1:{ports[name]}",
                                  peers__url=f"http://127.0.0.1:{ports[peer]}", peers__poll_interval=self.POLL)
            for name, peer in (("first", "second"), ("second", "first")))
        self.agent = Agent(self.dir / "agent", "compute-1", [self.first, self.second])
        self.addCleanup(lambda: self.agent.close())
        self.guest = RawGuest(self.agent.channels, "g1")
        self.addCleanup(self.guest.close)
        self.guest.register(300)
        self.agent.wait_state("g1", "registered")

    def start_controller(self, name: str, **more: str) -> Controller:
        controller = Controller(self.dir / name, self.inspector, **more)
        self.addCleanup(lambda: controller.close())
        return controller

    def vitalwire(self, *arguments: str, controller: Controller | None = None, code: int | None = 0) -> str:
        asked = controller or self.first
        done = subprocess.run([BUILD / "cli" / "vitalwire", "--controller", f"unix:{asked.http}", *arguments],
                              capture_output=True, text=True)
        if code is not None:
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def windows(self, controller: Controller) -> list[dict]:
        return json.loads(self.vitalwire("maintenance", "--json", controller=controller))["maintenance"]


class Maintenance(MaintenanceCase):
    def told(self) -> list[str]:
        return [event["details"]["status"] for event in self.inspector.events()
                if event["details"].get("instance_id") == "g1"]

    def hang(self) -> None:
        self.guest.answering = False
        self.agent.wait_state("g1", "lost")

    def recover(self) -> None:
        self.guest.answering = True
        self.agent.wait_state("g1", "registered")

    def test_faults_in_maintenance_are_recorded_and_not_sent(self) -> None:
        shown = self.vitalwire("maintenance", "host", "compute-1", "--for", "1h", "--reason", "new disks")
        self.assertIn("new disks", shown)
        wait_until(lambda: self.windows(self.second), "the peer has it")
        self.hang()
        wait_until(lambda: self.first.faults() and self.second.faults(), "both have recorded the fault")
        fault = self.first.faults()[0]["id"]
        journals = [self.vitalwire("fault", fault, controller=each) for each in (self.first, self.second)]
        self.assertTrue(any("maintenance" in journal for journal in journals), journals)
        self.recover()
        wait_until(lambda: not self.first.faults() and not self.second.faults(), "both have recorded its end")
        self.vitalwire("maintenance", "end", self.windows(self.first)[0]["id"])
        wait_until(lambda: not self.windows(self.second)[0]["active"], "the peer knows of the end")
        self.hang()
        wait_until(lambda: self.told() == ["down"], "the next fault is sent, and only that")

    def test_each_view_shows_what_keeps_a_fault_back(self) -> None:
        self.vitalwire("maintenance", "all", "--for", "1h", "--reason", "new disks")
        wait_until(lambda: self.windows(self.second), "the peer has it")
        self.hang()
        wait_until(lambda: self.first.faults() and self.second.faults(), "both have recorded the fault")
        for controller in (self.first, self.second):
            self.assertIn("maintenance of all until", self.vitalwire("status", controller=controller, code=None))
            for view in (["faults"], ["host", "compute-1"], ["fault", "g1"], ["coverage", "--all"], ["guests"]):
                self.assertIn("maintenance", self.vitalwire(*view, controller=controller), view)
            metrics = http_request(controller.http, "/metrics")[1].decode()
            self.assertIn('vitalwire_controller_maintenance_active{scope="all"} 1', metrics)

    def test_what_is_open_at_the_end_is_sent_then(self) -> None:
        self.vitalwire("maintenance", "guest", "g1", "--for", "1h", "--reason", "new disks")
        wait_until(lambda: self.windows(self.second), "the peer has it")
        self.hang()
        wait_until(lambda: self.first.faults(), "the fault is recorded")
        self.assertEqual(self.told(), [])
        self.vitalwire("maintenance", "end", "g1")
        wait_until(lambda: self.told() == ["down"], "it is sent")

    def test_a_shorter_one_ends_no_longer_one(self) -> None:
        self.vitalwire("maintenance", "guest", "g1", "--for", "2h", "--reason", "new disks")
        answer = self.vitalwire("maintenance", "guest", "g1", "--for", "1h", "--reason", "kernel")
        self.assertIn("kernel", answer)
        self.assertIn("new disks", answer, "what lasts longer")
        self.assertIn("ambiguous", self.vitalwire("maintenance", "end", "g1", code=None))
        shorter = next(each for each in self.windows(self.first) if each["reason"] == "kernel")
        self.assertIn("new disks", self.vitalwire("maintenance", "end", shorter["id"]), "what still lasts")
        self.hang()
        wait_until(lambda: self.first.faults(), "the fault is recorded")
        self.assertEqual(self.told(), [])

    def test_maintenance_ends_by_itself(self) -> None:
        self.vitalwire("maintenance", "all", "--for", "3s", "--reason", "short")
        self.hang()
        wait_until(lambda: "down" in self.told(), "the fault is sent after the end")

    def test_wrong_requests_name_what_is_wrong(self) -> None:
        self.assertIn("no host 'compute-9'",
                      self.vitalwire("maintenance", "host", "compute-9", "--for", "1h", "--reason", "x", code=1))
        self.assertIn("expected --for", self.vitalwire("maintenance", "all", "--reason", "x", code=2))
        self.assertIn("expected --reason", self.vitalwire("maintenance", "all", "--for", "1h", code=2))
        self.assertIn("only to begin", self.vitalwire("maintenance", "end", "compute-1", "--force", code=2))
        self.assertIn("expected a name", self.vitalwire("maintenance", "host", "--for", "1h", "--reason", "x", code=2))

    def test_a_host_that_is_no_more_is_forgotten(self) -> None:
        self.hang()
        wait_until(lambda: self.first.faults(), "the fault is recorded")
        self.assertIn("is connected", self.vitalwire("forget", "compute-1", code=1))
        self.agent.close()
        wait_until(lambda: self.first.status()["agents"]["lost"], "the agent is lost")
        self.vitalwire("forget", "compute-1")
        wait_until(lambda: not self.first.faults(), "its fault is over")
        self.assertEqual(self.first.status()["agents"]["known"], 0)
        wait_until(lambda: not self.second.faults(), "its fault is over at the peer")
        wait_until(lambda: self.second.status()["agents"]["known"] == 0, "the peer has forgotten it too")

    def test_what_came_and_went_while_a_controller_was_away_is_in_its_history(self) -> None:
        self.first.close()
        self.hang()
        wait_until(lambda: self.second.faults(), "the peer has the fault")
        fault = self.second.faults()[0]["id"]
        self.recover()
        wait_until(lambda: not self.second.faults(), "it is over")
        self.first.start()
        wait_until(lambda: fault in self.vitalwire("faults", "--all", "--json"), "the first has heard of it")
        self.assertIn("opened", self.vitalwire("fault", fault))
        self.assertIn("cleared", self.vitalwire("events", "--since", "1h"))
        self.assertEqual(self.told(), ["down", "up"], "nobody is told again")

    def test_an_alarm_of_a_host_is_the_same_at_each_controller_and_kept_after_its_end(self) -> None:
        def alarms(controller: Controller) -> list[str]:
            return [alarm["id"] for alarm in controller.status()["alarms"]]

        both = (self.first, self.second)
        alarm = "agent_lost.compute-1"
        self.agent.close()
        for each in both:
            wait_until(lambda each=each: alarms(each) == [alarm], f"{each.name} shows it")
            self.assertIn("agent_lost", self.vitalwire("faults", controller=each))
        self.vitalwire("ack", "agent_lost", "--note", "on it", controller=self.second)
        self.vitalwire("close", alarm, "--reason", "known", controller=self.second)
        for each in both:
            wait_until(lambda each=each: not alarms(each), f"it is over at {each.name}")

        def whole(controller: Controller) -> bool:
            fault = json.loads(self.vitalwire("fault", alarm, "--json", controller=controller))
            seen = {entry["what"] for entry in fault["journal"]["entries"]}
            return seen >= {"opened", "acknowledged", "seen by the operator", "closed by the operator", "cleared"}

        for each in both:
            wait_until(lambda each=each: whole(each), f"its whole life is in the journal of {each.name}")
            self.assertIn("agent_lost", self.vitalwire("faults", "--all", controller=each))
            events = json.loads(self.vitalwire("events", "--json", controller=each))["events"]
            self.assertEqual([event["event"] for event in events if event["fault"]["id"] == alarm],
                             ["opened", "cleared"])
        self.first.close()
        self.first.start()
        self.assertTrue(whole(self.first), "it is kept over a restart")
        self.assertEqual(alarms(self.first), [], "and stays closed, as its cause lasts")

    def test_a_fault_that_is_closed_while_its_agent_is_away_is_closed_at_the_peer(self) -> None:
        self.hang()
        wait_until(lambda: self.first.faults() and self.second.faults(), "both have recorded the fault")
        self.agent.close()
        wait_until(lambda: self.second.status()["agents"]["connected"] == 0, "the peer has lost the agent")
        self.vitalwire("close", self.first.faults()[0]["id"], "--reason", "replaced")
        wait_until(lambda: not self.second.faults(), "the peer has closed it")

    def test_what_the_primary_did_about_a_fault_is_in_the_journal_of_its_peer(self) -> None:
        self.hang()
        wait_until(lambda: self.second.faults(), "the peer has recorded the fault")
        fault = self.second.faults()[0]["id"]

        def complete() -> bool:
            """Both controllers recorded the fault, and whoever of them is primary delivered it."""
            answer = self.vitalwire("fault", fault, "--json", controller=self.second)
            entries = json.loads(answer)["journal"]["entries"]
            names = {entry.get("controller") for entry in entries}
            return len(names - {None}) == 2 and any(entry["what"] == "acknowledged" for entry in entries)

        wait_until(complete, "the peer shows what both did")
        self.first.close()
        self.second.close()
        self.second.start()
        self.assertTrue(complete(), "it is kept")

    def test_an_operator_acknowledges_a_fault(self) -> None:
        self.hang()
        wait_until(lambda: self.first.faults(), "the fault is recorded")
        fault = self.first.faults()[0]["id"]
        self.vitalwire("ack", fault[:8], "--note", "on it")
        self.assertIn("on it", self.vitalwire("fault", fault))


class Announcements(MaintenanceCase):
    POLL = "1 h"

    def test_what_an_operator_decides_counts_at_the_peer_at_once(self) -> None:
        self.vitalwire("maintenance", "all", "--for", "1h", "--reason", "x")
        wait_until(lambda: self.windows(self.second), "the peer has it though it asks once an hour")
        self.vitalwire("maintenance", "end", self.windows(self.second)[0]["id"], controller=self.second)
        wait_until(lambda: not self.windows(self.first)[0]["active"], "and the other way round")


if __name__ == "__main__":
    unittest.main()
