#!/usr/bin/python3
"""The second opinion of a policy: a guest that is silent and still does I/O. Real libvirtd and guests. Needs root."""

from datetime import datetime, timedelta
import os
from pathlib import Path
import re
import signal
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from libvirt_guests import NAME, LibvirtTestCase
from suite import SERVICE, vitalwired_payload
from vmbed import initramfs, kernel
from vmbed.libvirtbed import Domain
from vmbed.procs import Process, http_json, wait_until

WITHOUT_IO = timedelta(seconds=20)
READ_SECONDS = 10  # between two readings
PATIENCE_SECONDS = 60
ADDRESS, PEER, TAP = "10.9.8.2", "10.9.8.1", "vw-guest"
# To everybody, of a kind that nobody answers.
SEND = """
import socket, sys, time
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
tap.bind((sys.argv[1], 0))
while True:
    tap.send(b"\\xff" * 6 + b"\\x52\\x54" + bytes(3) + b"\\x02" + b"\\x88\\xb5" + bytes(46))
    time.sleep(0.5)
"""
WRITE = "while sleep 1; do dd if=/proc/uptime of=/dev/vda conv=fsync 2> /dev/null; done"


class SecondOpinionTestCase(LibvirtTestCase):
    """The inspector is notified of a guest that is lost and has done no I/O for 20 s. It has a disk and an interface."""

    controller_settings = {"policy__act__sinks": "inspector", "policy__act__when_no_io_for": "20 s"}

    @classmethod
    def payload(cls) -> initramfs.Payload:
        found = kernel.obtain()
        return initramfs.with_network(initramfs.with_disk(vitalwired_payload(NAME), found), found, ADDRESS)

    @classmethod
    def new_domain(cls, **traits: bool) -> Domain:
        return super().new_domain(disk=True, interface=TAP, **traits)

    def setUp(self) -> None:
        super().setUp()
        self.controller.write_inventory(f"[guest {self.guest_id}]\nhost = {self.host.name}\nheartbeat = yes\n")
        self.agent = self.agent_on(self.host)
        self.start_domain()
        self.wait_beating(self.agent)
        wait_until(lambda: "io_read_at" in self.entry(), "its I/O is read", PATIENCE_SECONDS)

    def entry(self) -> dict:
        return self.agent.guest(self.guest_id)

    def fault(self) -> dict:
        found = wait_until(self.controller.faults, "the controller has the fault", PATIENCE_SECONDS)
        return http_json(self.controller.http, f"/v1/faults/{found[0]['id']}")

    def journal(self) -> list[str]:
        entries = self.fault()["journal"]["entries"]
        return [f"{entry['what']}: {entry.get('detail', '')}" for entry in entries]

    def wait_journal(self, pattern: str, seconds: float = PATIENCE_SECONDS) -> str:
        def matching() -> str:
            return next((line for line in self.journal() if re.fullmatch(pattern, line)), "")

        return wait_until(matching, f"the journal has {pattern}", seconds)

    def wait_io_read_after(self, moment: datetime) -> None:
        wait_until(
            lambda: datetime.fromisoformat(self.entry()["io_read_at"]) > moment,
            f"its I/O is read after {moment}",
            PATIENCE_SECONDS,
        )

    def assert_held_while(self, command: str) -> None:
        """In the guest, which is silent; and as long as it runs."""
        self.domain.ctl(f"({command}) < /dev/null > /dev/null 2>&1 & echo $! > /run/doing")
        self.wait_io_read_after(datetime.fromisoformat(self.entry()["io_read_at"]))
        self.domain.ctl(f"service signal {SERVICE} STOP")
        self.wait_journal(r"held: I/O seen \d+ s ago")
        opened = datetime.fromisoformat(self.fault()["opened_at"])
        self.wait_io_read_after(opened + WITHOUT_IO + timedelta(seconds=READ_SECONDS))
        self.assertEqual(self.guest_events(), [])
        self.assertLess(self.entry()["io_idle_ms"], 1000 * READ_SECONDS)
        self.domain.ctl("kill $(cat /run/doing)")
        self.assert_acted_upon()

    def assert_acted_upon(self) -> None:
        self.assertEqual(self.wait_down("heartbeat_lost")["detail"], "silent")
        released = self.wait_journal(r"released: no I/O for \d+ s")
        self.assertGreaterEqual(int(released.split()[-2]), WITHOUT_IO.seconds)
        self.domain.ctl(f"service signal {SERVICE} CONT")
        self.wait_up("heartbeat_lost")


class DiskIo(SecondOpinionTestCase):
    def test_a_silent_guest_that_writes_is_held_until_it_has_written_nothing_for_that_long(self) -> None:
        self.assert_held_while(WRITE)

    def test_a_machine_whose_io_cannot_be_read_is_acted_upon_and_keeps_nobody_else_waiting(self) -> None:
        qemu = self.domain.qemu_pid()
        os.kill(qemu, signal.SIGSTOP)
        self.addCleanup(os.kill, qemu, signal.SIGCONT)
        self.wait_journal(r"held: waits for the guest's I/O to be read")
        self.assertEqual(self.host.virsh("list", "--name").split(), [NAME], "libvirt serves others")
        self.assertEqual(self.wait_down("heartbeat_lost")["detail"], "silent")
        self.wait_journal("released: the guest's I/O is not known")
        os.kill(qemu, signal.SIGCONT)
        self.wait_up("heartbeat_lost")
        self.wait_beating(self.agent)


class NetworkIo(SecondOpinionTestCase):
    def disk_requests(self) -> list[str]:
        lines = self.host.virsh("domstats", NAME, "--block").splitlines()
        return [line for line in lines if ".reqs=" in line]

    def test_a_silent_guest_that_sends_and_reads_no_disk_is_held_until_it_has_sent_nothing_for_that_long(self) -> None:
        before = self.disk_requests()
        self.assertTrue(before)
        self.assert_held_while(f"ping {PEER}")
        self.assertEqual(self.disk_requests(), before)

    def test_what_others_send_to_a_silent_guest_holds_nothing(self) -> None:
        sender = Process(self.host.in_network(["/usr/bin/python3", "-c", SEND, TAP]), self.dir / "sender.log")
        self.addCleanup(sender.kill)
        wait_until(lambda: self.received() > 0, "the guest receives")
        self.domain.ctl(f"service signal {SERVICE} STOP")
        self.assert_acted_upon()
        before = self.received()
        wait_until(lambda: self.received() > before, "it received all the time")

    def received(self) -> int:
        return int(self.domain.ctl("cat /sys/class/net/eth0/statistics/rx_packets"))


if __name__ == "__main__":
    unittest.main()
