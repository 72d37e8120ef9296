#!/usr/bin/python3
"""The agent on compute nodes with libvirt: real libvirtd, real guests, an inspector. Needs root."""

import contextlib
from dataclasses import replace
import os
from pathlib import Path
import signal
import sys
import threading
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from libvirt_guests import NAME, LibvirtTestCase
from suite import SERVICE, Agent, vitalwired_payload
from vmbed.initramfs import Payload
from vmbed.libvirtbed import Host
from vmbed.procs import temporary_dir, wait_until

NOTICES = "/run/notices"  # in the guest
SCRIPT = f"#!/bin/sh\necho $1 $2 >> {NOTICES}\n"
CONFIGURATION = "/etc/vitalwire/vitalwired.conf"


class LibvirtAgentTest(LibvirtTestCase):
    # ---- given

    def beating(self) -> Agent:
        agent = self.agent_on(self.host)
        self.start_domain()
        self.wait_beating(agent)
        return agent

    # ---- when

    def hang(self) -> None:
        self.domain.ctl(f"service signal {SERVICE} STOP")

    def go_on(self) -> None:
        self.domain.ctl(f"service signal {SERVICE} CONT")

    def kill_qemu(self) -> None:
        os.kill(self.domain.qemu_pid(), signal.SIGKILL)

    # ---- then

    def wait_held(self, agent: Agent, why: str) -> None:
        self.assertEqual(agent.wait_state(self.guest_id, "held")["hold"], why)

    def wait_unknown(self, agent: Agent) -> None:
        wait_until(lambda: not agent.guest(self.guest_id), f"agent {agent.host} has forgotten the guest")

    def wait_channels(self, agent: Agent, *names: str) -> None:
        def there() -> bool:
            return agent.guest(self.guest_id).get("channels") == list(names)

        wait_until(there, f"the guest's channels are {names}")


class Discovery(LibvirtAgentTest):
    def test_a_domain_that_runs_when_the_agent_starts_is_found(self) -> None:
        self.start_domain()
        self.wait_beating(self.agent_on(self.host))

    def test_a_domain_that_starts_later_is_found(self) -> None:
        agent = self.beating()
        self.assertEqual([entry["guest"] for entry in self.controller.guests()], [self.guest_id])
        self.assert_no_fault(agent)

    def test_a_channel_is_found_when_it_is_plugged_and_gone_when_it_is_unplugged(self) -> None:
        agent = self.beating()
        self.domain.attach_channel("cgcs.heartbeat")
        self.wait_channels(agent, "org.vitalwire.0", "cgcs.heartbeat")
        self.domain.detach_channel("cgcs.heartbeat")
        self.wait_channels(agent, "org.vitalwire.0")
        self.assert_no_fault(agent)


class Life(LibvirtAgentTest):
    def test_a_guest_that_hangs_is_lost_until_it_goes_on(self) -> None:
        self.beating()
        self.hang()
        self.assertEqual(self.wait_down("heartbeat_lost")["detail"], "silent")
        self.go_on()
        self.wait_up("heartbeat_lost")

    def test_a_suspended_domain_is_no_fault_and_goes_on(self) -> None:
        agent = self.beating()
        self.domain.virsh("suspend")
        self.wait_held(agent, "paused")
        self.outlast_deadlines()
        self.domain.virsh("resume")
        self.wait_beating(agent)
        self.assert_no_fault(agent)

    def test_a_domain_that_was_suspended_while_the_agent_was_away_is_no_fault(self) -> None:
        agent = self.beating()
        agent.stop()
        self.domain.virsh("suspend")
        agent.start()
        self.wait_held(agent, "paused")
        self.outlast_deadlines()
        self.domain.virsh("resume")
        self.wait_beating(agent)
        self.assert_no_fault(agent)

    def test_a_saved_domain_is_held_and_is_challenged_again_when_it_is_restored(self) -> None:
        agent = self.beating()
        saved = self.dir / "saved"
        self.domain.save(saved)
        self.wait_held(agent, "saving")
        self.outlast_deadlines()
        self.domain.restore(saved)
        self.wait_beating(agent)
        self.assert_no_fault(agent)

    def test_a_destroyed_domain_is_no_fault(self) -> None:
        agent = self.beating()
        self.domain.virsh("destroy")
        self.wait_unknown(agent)
        self.outlast_deadlines()
        self.assert_no_fault(agent)
        wait_until(lambda: not self.controller.guests(), "the controller has forgotten the guest")

    def test_a_guest_that_powers_off_is_no_fault(self) -> None:
        agent = self.beating()
        self.domain.control.send("poweroff -f")
        self.wait_unknown(agent)
        self.outlast_deadlines()
        self.assert_no_fault(agent)

    def test_a_guest_that_reboots_is_no_fault_and_comes_back(self) -> None:
        agent = self.beating()
        self.domain.control.send("echo b > /proc/sysrq-trigger")
        self.wait_held(agent, "rebooting")
        self.wait_beating(agent)
        self.assert_no_fault(agent)

    def test_a_killed_qemu_is_a_crash_until_the_domain_runs_again(self) -> None:
        self.beating()
        self.kill_qemu()
        self.assertEqual(self.wait_down("vm_crashed")["detail"], "failed")
        self.domain.restore(self.saved)
        self.assertEqual(self.wait_up("vm_crashed")["clear_reason"], "registered")

    def test_a_crash_is_over_when_the_domain_is_undefined(self) -> None:
        self.beating()
        self.kill_qemu()
        self.wait_down("vm_crashed")
        wait_until(lambda: self.domain.state == "shut off (crashed)", "libvirt saw the end")
        self.domain.virsh("undefine")
        self.assertEqual(self.wait_up("vm_crashed")["clear_reason"], "removed")

    def test_a_crash_while_the_agent_was_away_is_found(self) -> None:
        agent = self.beating()
        agent.stop()
        self.kill_qemu()
        wait_until(lambda: self.domain.state == "shut off (crashed)", "libvirt saw the end")
        agent.start()
        self.wait_down("vm_crashed")
        self.assert_told(("vm_crashed", "down"))

    def test_a_panic_is_a_crash_until_the_operator_ends_the_domain(self) -> None:
        agent = self.beating()
        self.domain.control.send("echo c > /proc/sysrq-trigger")
        self.assertEqual(self.wait_down("vm_crashed")["detail"], "panicked")
        agent.stop()
        agent.start()
        self.assertEqual(agent.wait_state(self.guest_id, "crashed")["channels"], ["org.vitalwire.0"])
        self.domain.virsh("destroy")
        self.assertEqual(self.wait_up("vm_crashed")["clear_reason"], "domain_stopped")
        self.assert_told(("vm_crashed", "down"), ("vm_crashed", "up"))

    def test_a_stopped_qemu_is_a_lost_heartbeat_and_libvirt_is_heard_all_the_same(self) -> None:
        agent = self.beating()
        pid = self.domain.qemu_pid()
        os.kill(pid, signal.SIGSTOP)
        self.wait_down("heartbeat_lost")
        self.assertEqual(agent.problems(), [])
        os.kill(pid, signal.SIGCONT)
        self.wait_up("heartbeat_lost")


class Migration(LibvirtAgentTest):
    @classmethod
    def payload(cls) -> Payload:
        guest = vitalwired_payload(NAME)
        actions = "[actions]\nevent_script = /usr/bin/on-event\n"
        files = {CONFIGURATION: f"{guest.files[CONFIGURATION]}{actions}", "/usr/bin/on-event": SCRIPT}
        return replace(guest, files={**guest.files, **files})

    def setUp(self) -> None:
        super().setUp()
        self.destination = self.enterContext(Host(self.enterContext(temporary_dir()), "compute-2"))
        self.source_agent = self.beating()
        self.destination_agent = self.agent_on(self.destination)

    def test_a_migrated_guest_is_no_fault_and_beats_at_its_destination(self) -> None:
        self.domain.migrate(self.destination)
        self.wait_beating(self.destination_agent)
        self.wait_unknown(self.source_agent)
        self.outlast_deadlines()
        self.wait_beating(self.destination_agent)
        self.assert_no_fault(self.source_agent, self.destination_agent)
        self.assertEqual([entry["host"] for entry in self.controller.guests()], ["compute-2"])

    def test_a_migrated_guest_leaves_its_faults_behind(self) -> None:
        self.hang()
        self.wait_down("heartbeat_lost")
        self.domain.migrate(self.destination)
        self.assertEqual(self.wait_up("heartbeat_lost")["clear_reason"], "migrated")
        self.assertEqual(self.destination_agent.faults_opened(), {})
        self.go_on()
        self.wait_beating(self.destination_agent)

    def test_a_migration_that_is_given_up_holds_only_while_it_lasts(self) -> None:
        self.domain.virsh("migrate-setspeed", "5")
        migration = threading.Thread(target=self.migrate_in_vain)
        migration.start()
        self.addCleanup(migration.join)
        self.wait_held(self.source_agent, "migrating")
        self.outlast_deadlines()
        self.domain.virsh("domjobabort")
        self.wait_beating(self.source_agent)
        self.wait_unknown(self.destination_agent)
        self.assert_no_fault(self.source_agent, self.destination_agent)
        self.hang()
        self.wait_down("heartbeat_lost")

    def test_without_novas_extension_libvirts_events_notify_the_guest(self) -> None:
        self.domain.virsh("migrate-setspeed", "5")
        migration = threading.Thread(target=self.migrate_in_vain)
        migration.start()
        self.addCleanup(migration.join)
        self.wait_notified("irrevocable live_migrate_begin")
        self.domain.virsh("domjobabort")
        self.wait_notified("irrevocable live_migrate_begin", "irrevocable live_migrate_end")
        self.domain.virsh("suspend")
        self.wait_held(self.source_agent, "paused")
        self.domain.virsh("resume")
        self.wait_notified(
            "irrevocable live_migrate_begin", "irrevocable live_migrate_end", "irrevocable unpause"
        )

    def test_a_dump_of_a_running_machine_is_no_migration_and_each_unpause_is_told(self) -> None:
        core = self.enterContext(temporary_dir()) / "core"
        self.domain.virsh("dump", "--live", str(core))
        for _ in range(2):
            self.domain.virsh("suspend")
            self.wait_held(self.source_agent, "paused")
            self.domain.virsh("resume")
            self.wait_beating(self.source_agent)
        self.wait_notified("irrevocable unpause", "irrevocable unpause")
        self.assert_no_fault(self.source_agent)

    def wait_notified(self, *events: str) -> None:
        wait_until(
            lambda: self.domain.ctl(f"cat {NOTICES} || true").splitlines() == list(events),
            f"the guest's script was run for {events}",
        )

    def migrate_in_vain(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.domain.migrate(self.destination)


class Libvirtd(LibvirtAgentTest):
    def start_libvirtd(self, agent: Agent) -> None:
        self.host.start_libvirtd()
        wait_until(lambda: not agent.problems(), "the agent sees libvirt again")

    def wait_blind(self, agent: Agent) -> None:
        wait_until(
            lambda: any("source libvirt qemu:///system cannot see" in text for text in agent.problems()),
            "the agent says that it cannot see",
        )

    def test_faults_are_found_while_libvirtd_is_away_and_events_afterwards(self) -> None:
        agent = self.beating()
        self.host.stop_libvirtd()
        self.wait_blind(agent)
        self.hang()
        self.wait_down("heartbeat_lost")
        self.go_on()
        self.wait_up("heartbeat_lost")
        self.start_libvirtd(agent)
        self.domain.virsh("suspend")
        self.wait_held(agent, "paused")

    def test_a_libvirtd_that_is_killed_and_started_again_is_no_fault(self) -> None:
        agent = self.beating()
        self.host.kill_libvirtd()
        self.wait_blind(agent)
        self.start_libvirtd(agent)
        self.outlast_deadlines()
        agent.wait_beats(self.guest_id)
        self.assert_no_fault(agent)

    def test_a_crash_while_libvirtd_was_away_is_found(self) -> None:
        agent = self.beating()
        pid = self.domain.qemu_pid()
        self.host.stop_libvirtd()
        self.wait_blind(agent)
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.wait_down("heartbeat_lost")["detail"], "channel_closed")
        self.start_libvirtd(agent)
        self.wait_down("vm_crashed")

    def test_a_libvirtd_that_hangs_disturbs_nobody_and_is_told(self) -> None:
        agent = self.beating()
        stalled = agent.metric("vitalwire_agent_stalled_seconds")
        self.host.hang_libvirtd()
        self.addCleanup(self.host.continue_libvirtd)
        self.wait_blind(agent)
        self.assertEqual(agent.metric("vitalwire_agent_sources_blind"), 1)
        agent.wait_beats(self.guest_id, 3)
        self.assertLess(agent.metric("vitalwire_agent_stalled_seconds") - stalled, 1)  # a call hangs for 2 s and more
        self.hang()
        self.wait_down("heartbeat_lost")
        self.go_on()
        self.wait_up("heartbeat_lost")
        self.host.continue_libvirtd()
        wait_until(lambda: not agent.problems(), "the agent sees libvirt again")
        self.assertEqual(agent.metric("vitalwire_agent_sources_blind"), 0)
        self.domain.virsh("suspend")
        self.wait_held(agent, "paused")

    def test_an_agent_that_starts_while_libvirtd_is_away_watches_the_guests_it_knew(self) -> None:
        agent = self.beating()
        agent.stop()
        self.host.stop_libvirtd()
        agent.start()
        self.wait_blind(agent)
        self.wait_beating(agent)
        self.assertEqual(agent.metric('vitalwire_agent_guests{state="unwatched"}'), 0)
        self.hang()
        self.wait_down("heartbeat_lost")
        self.go_on()
        self.wait_up("heartbeat_lost")
        self.start_libvirtd(agent)
        self.outlast_deadlines()
        agent.wait_beats(self.guest_id)
        self.domain.virsh("suspend")
        self.wait_held(agent, "paused")

    def test_a_guest_that_is_not_there_when_the_agent_starts_without_libvirtd_is_not_judged(self) -> None:
        agent = self.beating()
        agent.stop()
        pid = self.domain.qemu_pid()
        self.host.stop_libvirtd()
        os.kill(pid, signal.SIGKILL)
        agent.start()
        self.wait_blind(agent)
        self.assertEqual(agent.wait_state(self.guest_id, "unwatched")["hold"], "not_listed")
        self.assertEqual(agent.metric('vitalwire_agent_guests{state="unwatched"}'), 1)
        self.assertFalse(agent.status()["healthy"])
        self.outlast_deadlines()
        self.assert_no_fault(agent)
        self.start_libvirtd(agent)
        self.wait_down("vm_crashed")

    def test_an_agent_stops_while_libvirtd_hangs(self) -> None:
        agent = self.beating()
        self.host.hang_libvirtd()
        self.addCleanup(self.host.continue_libvirtd)
        self.wait_blind(agent)
        began = time.monotonic()
        agent.stop()
        self.assertLess(time.monotonic() - began, 10)


if __name__ == "__main__":
    unittest.main()
