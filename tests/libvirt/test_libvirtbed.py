#!/usr/bin/python3
"""The private libvirt hosts, tried with real domains. Needs root."""

from contextlib import closing
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import unittest

LIB = Path(__file__).resolve().parents[1] / "lib"
sys.path.insert(0, str(LIB))

from vmbed import initramfs, kernel
from vmbed.guest import Model
from vmbed.libvirtbed import Domain, Host
from vmbed.procs import Process, ProcessTestCase, temporary_dir, wait_until

CHANNEL = "org.vitalwire.0"


def echo(path: Path, text: str) -> str:
    """What the guest answers on a channel to one line."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(60)
        channel.connect(str(path))
        channel.sendall(f"\n{text}\n".encode())
        with closing(channel.makefile()) as lines:
            return next(line for line in lines if line != "READY\n").rstrip("\n")


class LibvirtTest(ProcessTestCase):
    """Each test has a domain that was booted once for the class, and is restored for each test."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.host = cls.enterClassContext(Host(cls.class_dir))
        found = kernel.obtain()
        cls.model = Model(found, initramfs.build(initramfs.echo_payload(CHANNEL), found))
        cls.booted = Domain(cls.host, "g1", cls.model)
        cls.saved = cls.class_dir / "booted"
        cls.booted.create().wait_ready()
        cls.booted.save(cls.saved)

    def domain(self) -> Domain:
        domain = Domain(self.host, "g1", self.model, identity=self.booted.uuid)
        self.addCleanup(self.destroy, domain.name)
        self.addCleanup(domain.forget_control)
        # libvirt 9.0 gives up a domain if it is killed within moments of restoring it.
        return domain.restore(self.saved).wait_ready()

    def destroy(self, name: str) -> None:
        if name in self.host.virsh("list", "--name").split():
            self.host.virsh("destroy", name)


class Domains(LibvirtTest):
    def test_the_live_xml_names_the_channel(self) -> None:
        domain = self.domain()
        self.assertRegex(
            domain.channels()[CHANNEL],
            r"^/var/lib/libvirt/qemu/channel/target/domain-\d+-g1/org\.vitalwire\.0$",
        )
        self.assertEqual(echo(domain.channel(CHANNEL), "hello"), "ECHO hello")

    def test_the_domain_runs_as_libvirt_qemu(self) -> None:
        owner = Path(f"/proc/{self.domain().qemu_pid()}").stat().st_uid
        self.assertNotEqual(owner, 0)

    def test_a_suspended_domain_answers_after_resume(self) -> None:
        domain = self.domain()
        domain.virsh("suspend")
        self.assertEqual(domain.state, "paused (user)")
        domain.virsh("resume")
        self.assertEqual(domain.ctl("echo awake"), "awake\n")

    def test_a_panic_leaves_a_crashed_domain(self) -> None:
        domain = self.domain()
        domain.control.send("echo c > /proc/sysrq-trigger")
        wait_until(lambda: domain.state == "crashed (panicked)", "libvirt saw the panic")

    def test_a_killed_qemu_is_a_crash_to_libvirt(self) -> None:
        domain = self.domain().define()
        self.addCleanup(domain.virsh, "undefine")
        os.kill(domain.qemu_pid(), signal.SIGKILL)
        wait_until(lambda: domain.state == "shut off (crashed)", "libvirt saw the end")

    def test_a_hot_plugged_channel_gets_its_name_in_the_guest(self) -> None:
        domain = self.domain()
        domain.attach_channel("cgcs.heartbeat")
        wait_until(
            lambda: "cgcs.heartbeat" in domain.ctl("ls /dev/virtio-ports"), "the name is there"
        )


class Libvirtd(LibvirtTest):
    def test_domains_outlive_libvirtd(self) -> None:
        domain = self.domain()
        channel = domain.channel(CHANNEL)
        self.host.stop_libvirtd()
        self.assertEqual(echo(channel, "alone?"), "ECHO alone?")
        self.host.start_libvirtd()
        self.assertEqual(domain.channel(CHANNEL), channel)

    def test_libvirtd_can_be_killed_and_started(self) -> None:
        domain = self.domain()
        self.host.kill_libvirtd()
        self.host.start_libvirtd()
        self.assertRegex(domain.state, "^running")

    def test_a_program_on_the_host_sees_its_name_and_libvirt(self) -> None:
        domain = self.domain()
        script = "hostname; virsh -c qemu:///system list --name; sleep 1d"
        log = self.dir / "program.log"
        program = self.start(Process(self.host.command(["sh", "-c", script]), log))
        wait_until(lambda: log.read_text() == f"compute-1\n{domain.name}\n\n", "its output")
        self.assertEqual(program.stop(), -signal.SIGTERM)


class Hosts(LibvirtTest):
    def test_a_domain_migrates_to_another_host(self) -> None:
        domain = self.domain()
        folder = self.enterContext(temporary_dir())
        destination = self.enterContext(Host(folder, "compute-2"))
        domain.ctl("echo moved > /tmp/note")
        domain.migrate(destination)
        self.assertEqual(self.host.virsh("list", "--name").split(), [])
        self.assertEqual(domain.ctl("cat /tmp/note"), "moved\n")
        self.assertEqual(echo(domain.channel(CHANNEL), "hello"), "ECHO hello")

    def test_a_closed_host_takes_its_domains_along(self) -> None:
        folder = self.enterContext(temporary_dir())
        with Host(folder, "compute-2") as host:
            domain = Domain(host, "g2", self.model).create()
            qemu = Path(f"/proc/{domain.qemu_pid()}")
            self.assertTrue(qemu.exists())
        self.assertFalse(qemu.exists())

    def test_a_host_ends_with_the_test_that_was_killed(self) -> None:
        folder = self.enterContext(temporary_dir())
        script = (
            f"import sys, time; sys.path.insert(0, {str(LIB)!r})\n"
            "from vmbed.libvirtbed import Host; from pathlib import Path\n"
            f"host = Host(Path({str(folder)!r}))\n"
            "print(host.first_process, flush=True); time.sleep(600)\n"
        )
        test = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        with test:
            first = Path("/proc", test.stdout.readline().strip())
            self.assertTrue(first.exists())
            test.kill()
        wait_until(lambda: not first.exists(), "the host is gone")


if __name__ == "__main__":
    unittest.main()
