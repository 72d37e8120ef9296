#!/usr/bin/python3
"""What happens to guests' machines and channels without anybody wanting it is found, named and told."""

import os
from pathlib import Path
import socket
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from raw_guest import RawGuest
from scripted_qemu import ScriptedQemu
from suite import Agent, Controller, fault_event
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, wait_until


class Machines(ProcessTestCase):
    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())
        self.controller = Controller(self.dir / "controller", self.inspector)
        self.addCleanup(self.controller.close)
        self.agent = Agent(self.dir / "agent", "compute-1", self.controller)
        self.addCleanup(self.agent.close)

    def guest_with_monitor(self) -> tuple[RawGuest, ScriptedQemu]:
        qemu = ScriptedQemu(self.agent.channels / "g1.qmp")
        self.addCleanup(qemu.close)
        guest = RawGuest(self.agent.channels, "g1")
        self.addCleanup(guest.close)
        guest.register()
        self.agent.wait_state("g1", "registered")
        wait_until(lambda: qemu.answered, "the agent reads the monitor")
        return guest, qemu

    def told(self, kind: str, status: str) -> dict:
        return self.inspector.wait_event(fault_event("g1", kind, status), f"{kind} {status} of g1")["details"]

    def test_a_machine_that_its_disk_stopped_is_a_fault_until_it_runs(self) -> None:
        guest, qemu = self.guest_with_monitor()
        guest.answering = False
        qemu.status = "io-error"
        qemu.event("BLOCK_IO_ERROR", device="vda", action="stop", reason="No space left on device")
        qemu.event("STOP")
        details = self.told("stopped_by_host", "down")
        self.assertEqual(details["detail"], "io_error")
        self.assertIn("No space left on device", details["reason"])
        guest.answering = True
        qemu.status = "running"
        qemu.event("RESUME")
        self.told("stopped_by_host", "up")
        self.agent.wait_state("g1", "registered")

    def test_what_the_hypervisor_reports_waits_for_no_challenge_and_no_report(self) -> None:
        self.agent.close()
        self.agent = Agent(self.dir / "calm", "compute-2", self.controller, bus__report_interval="1 h")
        self.addCleanup(self.agent.close)
        for number, (event, data, kind) in enumerate((
            ("GUEST_PANICKED", {"action": "pause"}, "vm_crashed"),
            ("SHUTDOWN", {"guest": False, "reason": "host-error"}, "vm_crashed"),
            ("WATCHDOG", {"action": "none"}, "watchdog_fired"),
        )):
            with self.subTest(event):
                name = f"calm-{number}"
                qemu = ScriptedQemu(self.agent.channels / f"{name}.qmp")
                self.addCleanup(qemu.close)
                guest = RawGuest(self.agent.channels, name)
                self.addCleanup(guest.close)
                guest.register(interval=3_600_000)
                self.agent.wait_state(name, "registered")
                wait_until(lambda each=qemu: each.answered, "the agent reads the monitor")
                qemu.event(event, **data)
                self.inspector.wait_event(fault_event(name, kind, "down"), f"{kind} down of {name}")

    def test_a_machine_that_the_operator_paused_is_none(self) -> None:
        guest, qemu = self.guest_with_monitor()
        guest.answering = False
        qemu.status = "paused"
        qemu.event("STOP")
        self.agent.wait_state("g1", "held")
        self.assertEqual(self.agent.faults(), [])

    def test_a_watchdog_that_fired_is_a_fault(self) -> None:
        guest, qemu = self.guest_with_monitor()
        guest.answering = False
        qemu.event("WATCHDOG", action="none")
        self.assertEqual(self.told("watchdog_fired", "down")["detail"], "none")

    def test_of_a_guest_with_nothing_the_hypervisors_word_is_a_fault_where_all_machines_count(self) -> None:
        self.agent.close()
        self.agent = Agent(self.dir / "all", "compute-2", self.controller, heartbeat__machine_faults="all")
        self.addCleanup(self.agent.close)
        for event, data, kind in (
            ("WATCHDOG", {"action": "none"}, "watchdog_fired"),
            ("GUEST_PANICKED", {"action": "pause"}, "vm_crashed"),
        ):
            with self.subTest(event):
                name = kind.replace("_", "-")
                qemu = ScriptedQemu(self.agent.channels / f"{name}.qmp")
                self.addCleanup(qemu.close)
                wait_until(lambda each=qemu: each.answered, "the agent reads the monitor")
                qemu.event(event, **data)
                self.inspector.wait_event(fault_event(name, kind, "down"), f"{kind} down of {name}")

    def test_a_channel_that_cannot_be_connected_is_a_problem_with_guest_path_and_reason(self) -> None:
        longest = 107
        guest = "x" * (longest + 1 - len(str(self.agent.channels / "org.vitalwire.0..sock")))
        path = self.agent.channels / f"org.vitalwire.0.{guest}.sock"
        here = os.open(".", os.O_RDONLY)
        os.chdir(self.agent.channels)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
            os.fchdir(here)
            os.close(here)
            server.listen()
            problem = wait_until(lambda: next(iter(self.agent.problems()), ""), "the agent has a problem")
        for part in (guest, str(path), "File name too long"):
            self.assertIn(part, problem)
        path.unlink()
        wait_until(lambda: not self.agent.problems(), "the problem ends with the channel")


if __name__ == "__main__":
    unittest.main()
