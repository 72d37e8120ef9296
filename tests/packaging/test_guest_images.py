#!/usr/bin/python3
"""The tarball in whole systems: Debian with OpenRC, a machine in its initramfs, and the snippets read by cloud-init and
Ignition. Needs root and Debian's archive."""

import os
from pathlib import Path
import shutil
import sys
import tempfile
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from scripted_host import Host
from test_guest_tarball import BUILD, load_packer
from test_packages import MIRROR, run
from vmbed.guest import Guest, Machine, Model
from vmbed.kernel import Kernel
from vmbed.procs import Process, ProcessTestCase, wait_until

# What the tests need of Debian; nothing of it is installed on this machine.
INCLUDED = "openrc initramfs-tools linux-image-cloud-amd64 cloud-init ignition procps"
DISK_MIB = 16
# As if OpenRC had booted the machine. Other services of the root are left alone.
BOOTED = """
for each in starting started stopping inactive wasinactive failed hotplugged daemons options exclusive scheduled init.d tmp; do
    mkdir -p /run/openrc/$each
done
echo default >/run/openrc/softlevel
"""


def inside(root: Path, *command: str, alone: bool = True) -> list[str]:
    """The command line that runs it in the root, as the first process there; what it starts ends with it. Alone: without
    this machine's network, so that nothing in there reaches what is outside."""
    mount = 'mount -t proc proc "$0/proc" && mount -t sysfs -o ro sysfs "$0/sys" && mount -t tmpfs tmpfs "$0/run" && exec chroot "$0" "$@"'
    spaces = ["--mount", "--pid", "--uts", "--ipc", *(["--net"] if alone else [])]
    return ["unshare", *spaces, "--fork", "--kill-child", "sh", "-c", mount, str(root), *command]


class WithDisk(Machine):
    """A machine with room for Debian's initramfs and with a disk."""

    disk: Path

    def arguments(self, kernel, image):
        arguments = super().arguments(kernel, image)
        append = arguments.index("-append") + 1
        arguments[append] += " root=/dev/vda ro"
        return [*arguments, "-drive", f"file={self.disk},if=virtio,format=raw"]


class GuestImages(ProcessTestCase):
    """The clean root is made once; each test installs the tarball in it."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if os.geteuid() != 0:
            raise AssertionError("the clean root needs root")
        cls.work = Path(tempfile.mkdtemp(prefix="vw-images-"))
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        cls.root = cls.work / "root"
        run("debootstrap", "--variant=minbase", "bookworm", cls.root, MIRROR)
        shutil.copy2("/etc/resolv.conf", cls.root / "etc/resolv.conf")
        policy = cls.root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        run(*inside(cls.root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "install", "-y",
                    "--no-install-recommends", *INCLUDED.split(), alone=False))
        policy.unlink()
        cls.tarball, cls.program, cls.cloud_init, cls.ignition = load_packer().write_all(BUILD, cls.work)
        shutil.copy2(cls.tarball, cls.root / "srv")

    def inside(self, *command: str) -> str:
        return run(*inside(self.root, *command)).stdout

    def install(self, *options: str) -> str:
        return self.inside("sh", "-c", f"cd /srv && tar xzf {self.tarball.name} && vitalwire-guest-*/install {' '.join(options)}")

    def test_openrc_runs_it_and_runs_it_again(self) -> None:
        self.assertIn("installed for openrc", self.install())
        channel = self.root / "srv" / "channel"
        (self.root / "etc/vitalwire/vitalwired.conf").write_text("[channel]\nname = unix:/srv/channel\n")
        commands = self.root / "srv" / "commands"
        os.mkfifo(commands)
        script = f"{BOOTED}rc-service --nodeps vitalwired start; while read -r line; do $line; done </srv/commands"
        self.start(Process(inside(self.root, "sh", "-c", script), self.dir / "openrc.log"))
        with commands.open("w", buffering=1) as tell:
            wait_until(channel.exists, "OpenRC starts it", 120)
            host = self.registered(channel, "session-1")
            print("pkill -KILL -x vitalwired", file=tell)
            with self.assertRaisesRegex(AssertionError, "closed the connection"):
                host.receive("nothing")
            host = self.registered(channel, "session-2")
            (self.root / "etc/vitalwire/vitalwired.conf").write_text("[channel]\nname = unix:/srv/channel\n[heartbeat]\nname = again\n")
            print("rc-service --nodeps vitalwired reload", file=tell)
            wait_until(lambda: host.receive("init")["name"] == "again", "it reads its configuration again")
            host.serve("session-3")
            print("rc-service --nodeps vitalwired stop", file=tell)
            self.assertEqual(host.receive("exit")["session_id"], "session-3")

    def registered(self, channel: Path, session: str) -> Host:
        host = Host(channel)
        self.addCleanup(host.disconnect)
        host.serve(session)
        return host

    def test_a_machine_is_watched_in_its_initramfs_until_its_own_vitalwired_starts(self) -> None:
        self.install("--init", "none", "--initramfs")
        (self.root / "etc/hostname").write_text("early\n")
        self.inside("update-initramfs", "-u")
        folder = self.dir / "kernel"
        folder.mkdir()
        shutil.copy2(next((self.root / "boot").glob("vmlinuz-*")), folder / "vmlinuz")
        machine = WithDisk(memory_mib=512)
        object.__setattr__(machine, "disk", self.disk())
        model = Model(Kernel(folder), next((self.root / "boot").glob("initrd.img-*")), machine)
        guest = self.enterContext(Guest("early", model, self.dir, self.dir)).boot()
        host = Host(guest.channel("org.vitalwire.0"))
        self.addCleanup(host.disconnect)
        init = host.receive("init", deadline=240)
        self.assertEqual(init["name"], "early")
        host.acknowledge(init, "session-1")
        self.assertEqual(host.receive("exit", deadline=240)["session_id"], "session-1")
        wait_until(lambda: "the disk's own system" in guest.console.read_text(), "the machine goes on from its disk", 120)

    def disk(self) -> Path:
        """A system that says that it is there and nothing else."""
        tree = self.dir / "disk-tree"
        for name in ("sbin", "bin", "dev", "proc", "sys", "run"):
            (tree / name).mkdir(parents=True)
        shutil.copy2("/bin/busybox", tree / "bin/busybox")
        (tree / "sbin/init").write_text("#!/bin/busybox sh\necho the disk\\'s own system >/dev/console\n"
                                        "while :; do /bin/busybox sleep 3600; done\n")
        (tree / "sbin/init").chmod(0o755)
        disk = self.dir / "disk.img"
        run("mkfs.ext4", "-q", "-d", tree, disk, f"{DISK_MIB}M")
        return disk

    def test_cloud_init_and_ignition_accept_their_snippets(self) -> None:
        for snippet in (self.cloud_init, self.ignition):
            shutil.copy2(snippet, self.root / "srv")
        self.assertIn("Valid cloud-config", self.inside("cloud-init", "schema", "--config-file", "/srv/cloud-init.yaml"))
        self.assertEqual(self.inside("ignition-validate", "/srv/ignition.json"), "")


if __name__ == "__main__":
    sys.exit(unittest.main())
