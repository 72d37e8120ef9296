#!/usr/bin/python3
"""The tarball in a guest with busybox and neither udev nor systemd: installed there as guest/README.md says, run by its plain
init script on a real virtio-serial port."""

from pathlib import Path
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lib"), str(ROOT / "tests" / "packaging")]

from scripted_host import Host
from test_guest_tarball import BUILD, load_packer, static_guest
from vmbed import initramfs, kernel
from vmbed.guest import Guest, Model
from vmbed.initramfs import Payload
from vmbed.procs import ProcessTestCase, wait_until

CHANNEL = "org.vitalwire.0"
INSTALL = ("tar xzf /guest.tar.gz -C /", "/vitalwire-guest-*/install", "for each in /etc/init.d/S*; do $each start; done")


@unittest.skipUnless(static_guest(), "the guest's programs are not static in this build")
class BusyboxGuest(ProcessTestCase):
    def test_the_plain_init_script_runs_it_and_runs_it_again(self) -> None:
        tarball, *_ = load_packer().write_all(BUILD, self.dir)
        found = kernel.obtain()
        payload = Payload(files={"/guest.tar.gz": tarball}, init_lines=INSTALL, port_names=False)
        self.guest = self.enterContext(Guest("g1", Model(found, initramfs.build(payload, found)), self.dir, self.dir))
        self.guest.boot().wait_ready()
        host = Host(self.guest.channel(CHANNEL))
        self.addCleanup(host.disconnect)
        host.nack("no_session", orig_msg_type="unknown")
        host.serve("session-1")

        self.guest.ctl("kill -KILL $(cat /run/vitalwire/vitalwired.pid)")
        host.serve("session-2")

        self.guest.ctl("printf '[heartbeat]\\nname = plain\\n' >/etc/vitalwire/vitalwired.conf; /etc/init.d/vitalwired reload")
        wait_until(lambda: host.receive("init")["name"] == "plain", "it reads its configuration again")
        host.serve("session-3")
        self.assertRegex(self.guest.ctl("echo nonsense >>/etc/vitalwire/vitalwired.conf; /etc/init.d/vitalwired reload || echo not so"),
                         "vitalwired.conf:3.*\nnot so")
        self.guest.ctl("printf '[heartbeat]\\nname = plain\\n' >/etc/vitalwire/vitalwired.conf")

        self.assertIn("vitalwired runs", self.guest.ctl("/etc/init.d/vitalwired status"))
        self.guest.ctl("/etc/init.d/vitalwired stop")
        self.assertEqual(host.receive("exit")["session_id"], "session-3")
        self.assertIn("does not run", self.guest.ctl("/etc/init.d/vitalwired status || true"))
        self.guest.ctl("/etc/init.d/vitalwired start")
        host.serve("session-4")


if __name__ == "__main__":
    sys.exit(unittest.main())
