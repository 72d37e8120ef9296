#!/usr/bin/python3
"""proto-spec/device.md: the project's guests on a real virtio-serial port."""

import os
from pathlib import Path
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from scripted_host import Host
from vmbed import initramfs, kernel, python
from vmbed.guest import Guest, Model
from vmbed.initramfs import Payload, Service
from vmbed.procs import ProcessTestCase, wait_until
from vmbed.qmp import QmpError

BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))
CHANNEL = "org.vitalwire.0"
CPU_TICKS_A_SECOND = 100  # of the guest's kernel


class OnPort:
    """Given a virtual machine in which the program runs as service `guest`."""

    program = ""

    @classmethod
    def files(cls):
        raise NotImplementedError

    @classmethod
    def argv(cls):
        return (cls.program, "--channel", CHANNEL, "--name", "vm1")

    def boot(self, port_names=True):
        found = kernel.obtain()
        payload = Payload(files=self.files(), services=(Service("guest", self.argv()),), port_names=port_names)
        model = Model(found, initramfs.build(payload, found))
        self.guest = self.enterContext(Guest("g1", model, self.dir, self.dir))
        self.guest.boot_from_snapshot().wait_ready()

    def host(self):
        host = Host(self.guest.channel(CHANNEL))
        self.addCleanup(host.disconnect)
        return host

    def registered_host(self, session="session-1"):
        host = self.host()
        host.nack("no_session", orig_msg_type="unknown")
        host.serve(session)
        return host

    def cpu_ticks(self):
        pid = self.guest.ctl("cat /run/service/guest.pid").strip()
        user, system = self.guest.ctl(f"cat /proc/{pid}/stat").rsplit(")", 1)[1].split()[11:13]
        return int(user) + int(system)

    def test_it_registers_and_answers(self):
        self.boot()
        self.registered_host()

    def test_it_finds_the_port_without_udev(self):
        self.boot(port_names=False)
        self.registered_host()

    def test_without_a_host_it_does_not_spin_and_registers_again_when_one_comes(self):
        self.boot()
        self.registered_host().disconnect()
        before = self.cpu_ticks()
        self.guest.ctl("sleep 3")  # the time over which the CPU is measured
        # Spinning takes all of it; under emulation on a loaded machine ten looks a second are not nothing.
        self.assertLess(self.cpu_ticks() - before, 1.5 * CPU_TICKS_A_SECOND)
        self.registered_host("session-2")

    def test_what_the_host_sent_before_it_started_does_it_no_harm(self):
        self.boot()
        host = self.registered_host()
        self.guest.ctl("service stop guest")
        host.receive("exit")
        for number in range(20):
            host.send("challenge", session_id="session-1", heartbeat_challenge=number)
        host.send_bytes(b'\n{"version":2,"source_addr":"vitalw')
        self.guest.ctl("service start guest")
        host.serve("session-2")

    def test_after_a_reboot_it_registers_on_the_same_connection(self):
        self.boot()
        host = self.registered_host()
        self.guest.reboot()
        self.guest.wait_restarted()
        host.receive("init")

    def test_it_says_exit_when_it_stops(self):
        self.boot()
        host = self.registered_host()
        self.guest.signal_service("guest", "TERM")
        self.assertEqual(host.receive("exit")["session_id"], "session-1")
        host.receive("init")


class PythonGuest(OnPort, ProcessTestCase):
    program = "/usr/bin/python_guest"

    @classmethod
    def files(cls):
        return python.program(ROOT / "guest" / "examples" / "python_guest.py", cls.program, modules=["locale"])


class Vitalwired(OnPort, ProcessTestCase):
    program = "/usr/sbin/vitalwired"

    @classmethod
    def files(cls):
        return {cls.program: BUILD / "guest" / "vitalwired", "/etc/vitalwire/vitalwired.conf": ""}

    @classmethod
    def argv(cls):
        return (*super().argv(), "--app-socket", "none")

    def port(self):
        """Where QEMU keeps the port among its objects."""
        qmp = self.guest.qmp
        for entry in qmp.execute("qom-list", path="/machine/peripheral-anon"):
            path = f"/machine/peripheral-anon/{entry['name']}"
            if entry["type"] == "child<virtserialport>":
                if qmp.execute("qom-get", path=path, property="name") == CHANNEL:
                    return path, qmp.execute("qom-get", path=path, property="chardev")
        raise AssertionError(f"no port {CHANNEL}")

    def plug(self, chardev):
        try:
            self.guest.qmp.execute("device_add", driver="virtserialport", bus="serial0.0", chardev=chardev, name=CHANNEL)
        except QmpError:
            return False
        return True

    def test_an_unplugged_port_is_looked_for_until_it_is_back(self):
        self.boot(port_names=False)
        host = self.registered_host()
        path, chardev = self.port()
        self.guest.qmp.execute("device_del", id=path)
        wait_until(lambda: "went away" in self.guest.console.read_text(), "the guest notices")
        wait_until(lambda: self.plug(chardev), "QEMU lets go of the old port")
        host.serve("session-2")

    def test_a_port_that_another_process_holds_is_waited_for(self):
        self.boot()
        host = self.registered_host()
        self.guest.ctl("service stop guest")
        host.receive("exit")
        self.guest.ctl(f"sleep 1000 < /dev/virtio-ports/{CHANNEL} > /dev/null 2>&1 & echo $! > /run/holder")
        self.guest.ctl("service start guest")
        wait_until(lambda: "is held by another process" in self.guest.console.read_text(), "the guest notices")
        self.guest.ctl("kill $(cat /run/holder)")
        host.serve("session-2")


if __name__ == "__main__":
    unittest.main()
