#!/usr/bin/python3
"""What guests see of a maintenance: the command line, two controllers that are peers, an agent, and vitalwired as it is
installed, whose event script is run; and the votes that do not count while it lasts."""

import json
from pathlib import Path
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from suite import BUILD
from test_actions import CgcsGuest
from test_maintenance import MaintenanceCase
from vmbed.procs import Daemon, http_metrics, http_request, wait_until

BEGIN, END = "irrevocable maintenance_begin", "irrevocable maintenance_end"


class Notices(MaintenanceCase):
    def setUp(self) -> None:
        super().setUp()
        self.calls = self.dir / "calls"
        self.boot()

    def write_script(self, more: str = "exit 0") -> Path:
        script = self.dir / "on-event"
        script.write_text(f'#!/bin/sh\necho "$1 $2" >> {self.calls}\n{more}\n')
        script.chmod(0o755)
        return script

    def boot(self) -> None:
        config = self.dir / "vitalwired.conf"
        config.write_text(f"[actions]\nevent_script = {self.write_script()}\n[applications]\nsocket = none\n")
        channel = self.agent.channels / "org.vitalwire.0.vnf.sock"
        log = self.dir / "guest.log"
        guest = Daemon([BUILD / "guest" / "vitalwired", "--config", config, "--channel", f"unix:{channel}"], log)
        self.addCleanup(guest.kill)
        wait_until(lambda: "registered with the host" in log.read_text(), "the guest knows its session")

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def begin(self, *arguments: str) -> None:
        self.vitalwire("maintenance", *arguments, "--for", "1h", "--reason", "new disks")

    def ask(self, event: str) -> dict:
        status, answer = http_request(self.agent.http, "/v1/guests/vnf/actions", "POST",
                                      json.dumps({"event": event}).encode())
        self.assertEqual(status, 200, answer)
        return json.loads(answer)

    def test_the_event_script_is_run_at_its_begin_and_its_end(self) -> None:
        self.begin("host", "compute-1", "--notify")
        wait_until(lambda: self.called() == [BEGIN], "the script is run")
        self.assertIn("its guests are notified", self.vitalwire("guest", "vnf"))
        self.vitalwire("maintenance", "end", "compute-1")
        wait_until(lambda: self.called() == [BEGIN, END], "it is run again")

    def test_without_the_option_no_guest_is_disturbed(self) -> None:
        self.begin("host", "compute-1")
        self.assertEqual(self.ask("live_migrate_end")["answer"], "notified")  # comes after what would have been sent
        wait_until(lambda: self.called() == ["irrevocable live_migrate_end"], "only that is sent")

    def test_it_ends_by_itself(self) -> None:
        self.vitalwire("maintenance", "guest", "vnf", "--for", "2s", "--reason", "short", "--notify")
        wait_until(lambda: self.called() == [BEGIN, END], "both are sent")

    def test_a_restart_of_the_agent_costs_no_end(self) -> None:
        self.begin("all", "--notify")
        wait_until(lambda: self.called() == [BEGIN], "the begin is sent")
        self.agent.stop()
        self.agent.start()
        self.agent.wait_state("vnf", "registered")
        self.vitalwire("maintenance", "end", self.windows(self.first)[0]["id"])
        wait_until(lambda: self.called()[-1] == END, "the end is sent")

    def test_the_loss_of_the_controller_that_began_it_costs_no_end(self) -> None:
        self.begin("host", "compute-1", "--notify")
        wait_until(lambda: self.called() == [BEGIN] and self.windows(self.second), "it is sent, and the peer has it")
        self.first.close()
        self.vitalwire("maintenance", "end", "compute-1", controller=self.second)
        wait_until(lambda: self.called() == [BEGIN, END], "the peer sends the end")

    def test_a_cgcs_guest_is_not_sent_what_its_protocol_does_not_have(self) -> None:
        guest = CgcsGuest(self.agent.channels, "old", "cgcs.heartbeat")
        self.addCleanup(guest.close)
        guest.enroll()
        self.agent.wait_state("old", "registered")
        self.begin("host", "compute-1", "--notify")
        wait_until(lambda: self.called() == [BEGIN], "the native guest is notified")
        status, _ = http_request(self.agent.http, "/v1/guests/old/actions", "POST", b'{"event":"unpause"}')
        self.assertEqual(status, 200)
        self.assertEqual(guest.wait("action_notify")["event_type"], "unpause")
        self.assertEqual(len(guest.heard("action_notify")), 1)

    def test_votes_do_not_count_while_they_are_overridden(self) -> None:
        self.write_script('[ "$1" = irrevocable ] || { echo "last member"; exit 1; }')
        answer = self.ask("stop")
        self.assertEqual((answer["decision"], answer.get("reason")), ("reject", "event script: last member"))
        self.begin("guest", "vnf", "--force")
        wait_until(lambda: self.ask("stop")["decision"] == "proceed", "the guest can reject nothing")
        self.assertEqual(self.called()[-1], "irrevocable stop")
        self.assertIn("their votes do not count", self.vitalwire("guest", "vnf"))
        self.assertGreaterEqual(http_metrics(self.agent.http)["vitalwire_agent_action_votes_forced_total"], 1)
        self.vitalwire("maintenance", "end", "vnf")
        wait_until(lambda: self.ask("stop")["decision"] == "reject", "it can again")


if __name__ == "__main__":
    unittest.main()
