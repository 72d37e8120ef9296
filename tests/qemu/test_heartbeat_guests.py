#!/usr/bin/python3
"""The whole chain on real machines: guest, virtio-serial, agent, controller, inspector.

The same tests for vitalwired, for the example guest in Python, and for a cgcs guest.
"""

from pathlib import Path
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from suite import ILLNESS, INTERVAL_MS, SERVICE, Agent, GuestTestCase, vitalwired_payload
from vmbed import initramfs, kernel, python
from vmbed.guest import BOOT_SECONDS, Guest, Machine, Model
from vmbed.initramfs import Payload, Service

GUEST = "web-1"


class HeartbeatGuests:
    """Given a guest that beats, its agent, a controller and an inspector."""

    guest_id = GUEST
    channel = "org.vitalwire.0"

    @classmethod
    def payload(cls) -> Payload:
        raise NotImplementedError

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        found = kernel.obtain()
        cls.model = Model(found, initramfs.build(cls.payload(), found), Machine(channels=(cls.channel,)))

    def setUp(self) -> None:
        super().setUp()
        self.agent = self.start_agent("compute-1")
        self.guest = self.new_guest(self.agent)
        self.guest.boot_from_snapshot().wait_ready()
        self.agent.wait_state(GUEST, "registered")
        self.agent.wait_beats(GUEST)

    def new_guest(self, agent: Agent) -> Guest:
        return self.enterContext(Guest(GUEST, self.model, agent.channels, agent.channels.parent))

    # ---- in the guest

    def hang(self) -> None:
        self.guest.signal_service(SERVICE, "STOP")

    def go_on(self) -> None:
        self.guest.signal_service(SERVICE, "CONT")

    # ---- tests

    def test_a_guest_registers_and_the_controller_lists_it(self) -> None:
        entry = next(entry for entry in self.controller.guests() if entry["guest"] == GUEST)
        self.assertEqual((entry["host"], entry["state"]), ("compute-1", "registered"))
        self.assertEqual(entry["interval_ms"], INTERVAL_MS)
        self.assert_no_fault(self.agent)

    def test_an_unhealthy_guest_is_a_fault_until_it_heals(self) -> None:
        self.guest.ctl(f"echo disk full > {ILLNESS}.new && mv {ILLNESS}.new {ILLNESS}")
        self.assertIn("disk full", self.wait_down("unhealthy")["reason"])
        self.guest.ctl(f"rm {ILLNESS}")
        self.assertEqual(self.wait_up("unhealthy")["clear_reason"], "recovered")
        self.assert_told(("unhealthy", "down"), ("unhealthy", "up"))

    def test_a_program_that_hangs_is_lost_until_it_goes_on(self) -> None:
        self.hang()
        self.assertEqual(self.wait_down("heartbeat_lost")["detail"], "silent")
        self.go_on()
        self.wait_up("heartbeat_lost")
        self.agent.wait_state(GUEST, "registered")

    def test_a_panic_is_a_crash_until_the_machine_is_reset(self) -> None:
        self.guest.panic()
        self.assertEqual(self.wait_down("vm_crashed")["detail"], "panicked")
        self.guest.reset()
        self.guest.resume()
        self.assertEqual(self.wait_up("vm_crashed")["clear_reason"], "registered")
        self.assert_told(("vm_crashed", "down"), ("vm_crashed", "up"))

    def test_a_panic_that_qemu_does_not_see_is_a_lost_heartbeat(self) -> None:
        self.guest.ctl("rmmod pvpanic-pci")
        self.guest.panic()
        self.assertEqual(self.wait_down("heartbeat_lost")["detail"], "silent")

    def test_a_killed_qemu_is_a_crash_at_once(self) -> None:
        self.guest.kill()
        self.assertEqual(self.wait_down("vm_crashed")["detail"], "failed")
        self.assert_told(("vm_crashed", "down"))

    def test_a_guest_that_powers_off_is_no_fault(self) -> None:
        self.guest.poweroff()
        self.guest.wait_exit()
        self.outlast_deadlines()
        self.assert_no_fault(self.agent)

    def test_a_guest_that_reboots_is_no_fault_and_comes_back(self) -> None:
        self.guest.reboot()
        self.guest.wait_restarted()
        self.agent.wait_state(GUEST, "registered", BOOT_SECONDS)
        self.agent.wait_beats(GUEST)
        self.assert_no_fault(self.agent)

    def test_a_guest_that_is_reset_is_no_fault_and_comes_back(self) -> None:
        self.guest.reset()
        self.guest.wait_restarted()
        self.agent.wait_state(GUEST, "registered", BOOT_SECONDS)
        self.agent.wait_beats(GUEST)
        self.assert_no_fault(self.agent)

    def test_a_paused_guest_is_no_fault_and_goes_on(self) -> None:
        self.guest.pause()
        self.assertEqual(self.agent.wait_state(GUEST, "held")["hold"], "paused")
        self.outlast_deadlines()
        self.guest.resume()
        self.agent.wait_state(GUEST, "registered")
        self.agent.wait_beats(GUEST)
        self.assert_no_fault(self.agent)

    def test_a_saved_and_restored_guest_is_no_fault(self) -> None:
        saved = self.dir / "saved"
        self.guest.save(saved)
        self.guest.close()
        self.outlast_deadlines()
        self.guest.restore(saved).wait_ready()
        self.agent.wait_state(GUEST, "registered")
        self.agent.wait_beats(GUEST)
        self.assert_no_fault(self.agent)

    def test_a_migrated_guest_is_no_fault_and_beats_at_its_destination(self) -> None:
        second = self.start_agent("compute-2")
        destination = self.new_guest(second)
        self.guest.migrate_to(destination)
        second.wait_state(GUEST, "registered")
        self.guest.close()
        self.outlast_deadlines()
        second.wait_beats(GUEST)
        self.assert_no_fault(self.agent, second)
        self.assertEqual([entry["host"] for entry in self.controller.guests()], ["compute-2"])

    def test_a_guest_that_hung_while_the_agent_was_away_is_found(self) -> None:
        self.agent.stop()
        self.hang()
        self.agent.start()
        self.wait_down("heartbeat_lost")
        self.go_on()
        self.wait_up("heartbeat_lost")

    def test_an_agent_that_is_stopped_or_killed_and_started_again_is_no_fault(self) -> None:
        for end in (self.agent.stop, self.agent.close):
            end()
            self.agent.start()
            self.agent.wait_beats(GUEST)
            self.assert_no_fault(self.agent)


class Vitalwired(HeartbeatGuests, GuestTestCase):
    @classmethod
    def payload(cls) -> Payload:
        return vitalwired_payload(GUEST)

    def test_a_daemon_that_is_stopped_says_exit_and_is_no_fault(self) -> None:
        self.guest.ctl(f"service stop {SERVICE}")
        self.agent.wait_state(GUEST, "unregistered")
        self.guest.ctl(f"service start {SERVICE}")
        self.agent.wait_state(GUEST, "registered")
        self.assert_no_fault(self.agent)


class PythonGuest(HeartbeatGuests, GuestTestCase):
    detect_multiplier = 2  # an answer may take two thirds of the detection time, which is two intervals

    @classmethod
    def payload(cls) -> Payload:
        program = "/usr/bin/python_guest"
        script = ROOT / "guest" / "examples" / "python_guest.py"
        argv = (program, "--name", GUEST, "--detection-time", str(3 * INTERVAL_MS), "--health-file", ILLNESS)
        return Payload(
            files=python.program(script, program, modules=["locale"]), services=(Service(SERVICE, argv),)
        )


class CgcsGuest(HeartbeatGuests, GuestTestCase):
    channel = "cgcs.heartbeat"
    detect_multiplier = 2

    @classmethod
    def payload(cls) -> Payload:
        program = "/usr/bin/cgcs_guest"
        script = Path(__file__).with_name("cgcs_guest.py")
        argv = (program, str(INTERVAL_MS), ILLNESS)
        return Payload(files=python.program(script, program), services=(Service(SERVICE, argv),))

    def test_the_corrective_action_is_carried_into_the_fault(self) -> None:
        self.hang()
        self.assertEqual(self.wait_down("heartbeat_lost")["corrective_action"], "reboot")

    def test_ill_health_whose_words_break_the_line_is_a_fault_until_it_heals(self) -> None:
        self.guest.ctl(f"echo 'disk \"sda\" is full' > {ILLNESS}.new && mv {ILLNESS}.new {ILLNESS}")
        self.assertIn("sda", self.wait_down("unhealthy")["reason"])
        self.guest.ctl(f"rm {ILLNESS}")
        self.assertEqual(self.wait_up("unhealthy")["clear_reason"], "recovered")
        self.assert_told(("unhealthy", "down"), ("unhealthy", "up"))


if __name__ == "__main__":
    unittest.main()
