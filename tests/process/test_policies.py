#!/usr/bin/python3
"""Policies of vitalwire-controller over real receivers: who is told of what, and when."""

from pathlib import Path
import subprocess
import sys
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from controller_case import CONTROLLER, ControllerTestCase
from vmbed.inspector import Inspector
from vmbed.procs import http_metrics, wait_until

HOLD_OFF_SECONDS = 3


class Policies(ControllerTestCase):
    """The inspector is told of everything; the healer of guests of the flavor nfv.large that are lost for a while."""

    def setUp(self):
        super().setUp()
        self.healer = self.enterContext(Inspector())
        self.configure(
            f"[sink healer]\ntype = webhook\nurl = http://{self.healer.address}/heal\nlongest_backoff = 500 ms\n"
            "[policy told]\nsinks = inspector\n"
            "[policy healed]\nkinds = heartbeat_lost vm_crashed\nflavors = nfv.*\n"
            f"hold_off = {int(1000 * HOLD_OFF_SECONDS)} ms\nsinks = healer\n")
        self.name("vm-1", "nfv.large")
        self.start_controller()
        self.agent = self.start_agent()

    def name(self, guest, flavor):
        with (self.dir / "inventory.conf").open("a") as file:
            file.write(f"[guest {guest}]\nhost = compute-1\nflavor = {flavor}\n")

    def healed(self, fault):
        return [event["event"] for event in self.healer.events() if event["fault"]["id"] == fault]

    def deliveries(self, fault):
        for entry in self.get("/v1/faults")["faults"]:
            if entry["id"] == fault:
                return {delivery["sink"]: delivery["state"] for delivery in entry["deliveries"]}
        return {}

    def test_who_acts_hears_it_when_it_lasts_and_then_hears_the_end_too(self):
        began = time.time()
        fault = self.agent.open("vm-1")
        self.await_told(fault, "down")
        self.assertEqual(self.deliveries(fault), {"inspector": "acknowledged", "healer": "held"})
        wait_until(lambda: self.healed(fault), "the healer is told")
        self.assertGreaterEqual(time.time() - began, HOLD_OFF_SECONDS)
        self.agent.await_delivered(fault)
        self.agent.clear(fault)
        self.agent.await_delivered(fault)
        self.assertEqual(self.healed(fault), ["opened", "cleared"])
        self.assertEqual(self.healer.events()[0]["fault"]["flavor"], "nfv.large")

    def test_who_acts_does_not_hear_of_a_guest_that_flaps(self):
        for _ in range(10):
            fault = self.agent.open("vm-1")
            self.agent.clear(fault)
            self.agent.await_delivered(fault)
        last = self.agent.open("vm-1")
        wait_until(lambda: self.healed(last), "the healer is told of the one that lasts")
        self.assertEqual(len(self.healer.events()), 1)
        self.assertEqual(http_metrics(self.dir / "http")['vitalwire_controller_sink_suppressed_total{sink="healer"}'], 10)

    def test_other_kinds_and_other_flavors_are_not_told_to_who_acts(self):
        self.name("vm-2", "m1.small")
        wait_until(lambda: len(self.get("/v1/guests")["guests"]) == 2, "the inventory names it")
        for fault in (self.agent.open("vm-1", "unhealthy"), self.agent.open("vm-2"), self.agent.open("vm-3")):
            self.agent.await_delivered(fault)
            self.assertEqual(self.deliveries(fault), {"inspector": "acknowledged", "healer": "suppressed"})
        self.assertEqual(self.healer.requests, [])

    def test_a_guest_that_the_inventory_names_late_is_told_then(self):
        fault = self.agent.open("vm-9")
        self.agent.await_delivered(fault)
        self.name("vm-9", "nfv.small")
        wait_until(lambda: self.healed(fault), "the healer is told")

    def test_a_kill_within_the_hold_off_loses_nothing(self):
        lasting, short = self.agent.open("vm-1"), self.agent.open("vm-1", "vm_crashed")
        self.await_told(lasting, "down")
        self.await_told(short, "down")
        self.controller.kill()
        self.agent.clear(short)
        self.start_controller()
        self.agent.await_delivered(short)
        self.agent.await_delivered(lasting)
        self.assertEqual((self.healed(lasting), self.healed(short)), (["opened"], []))

    def test_mistakes_are_reported_all_at_once(self):
        self.configure("[policy p]\nkinds = dizzy\nhold_off = soon\nsinks = nobody\n")
        done = subprocess.run([CONTROLLER, "--check-config", "--config", self.dir / "controller.conf"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        for mistake in ("[policy p] kinds", "[policy p] hold_off", "[policy p] sinks: there is no [sink nobody]",
                        "[sink inspector]: no policy names it"):
            self.assertIn(mistake, done.stderr)


if __name__ == "__main__":
    unittest.main()
