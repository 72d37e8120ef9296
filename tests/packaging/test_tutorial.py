#!/usr/bin/python3
"""docs/tutorial.md, followed to the letter: two controllers and three compute nodes, each a clean Debian in which systemd runs, a
machine in libvirt that hangs, a real Alertmanager, and its pager. Prints the minutes that it took. Needs root and Debian's archive.

VITALWIRE_PACKAGES_FROM    a finished build to package, instead of a fresh one
VITALWIRE_CLEAN_ROOT, VITALWIRE_DEBIAN_MIRROR    see clean_root.py
"""

import json
import os
from pathlib import Path
import re
import shutil
import sys
import tempfile
import time
import unittest
import uuid

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from clean_network import GATEWAY, Archive, Network
from clean_root import make_root, run
from suite import BUILD
from vmbed import initramfs, kernel
from vmbed.guest import KERNEL_ARGS
from vmbed.procs import wait_until
from vmbed.serving import HttpAnswer, HttpRequest, HttpServing

PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
# What precedes a block that is no command.
FILE = re.compile(r"`([^`\n]+)`:\n\n$")
NODES = {"controller-1": ["controller-1.example.net"], "controller-2": ["controller-2.example.net"], "compute-1": [], "compute-2": [],
         "compute-3": []}
GUEST = "db-1"
LOOK_SECONDS = 30
DOMAIN = """
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>128</memory>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>/srv/vmlinuz</kernel>
    <initrd>/srv/initrd</initrd>
    <cmdline>{arguments}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <channel type='unix'><target type='virtio' name='org.vitalwire.0'/></channel>
    <channel type='unix'><target type='virtio' name='org.vitalwire.test.ctl'/></channel>
  </devices>
</domain>
"""


class Pager(HttpServing):
    """What Alertmanager calls; it keeps all alerts."""

    def __init__(self) -> None:
        super().__init__(listen=(GATEWAY, 8080))
        self._alerts: list[dict] = []

    def answer(self, request: HttpRequest) -> HttpAnswer:
        self._alerts += json.loads(request.body)["alerts"]
        return HttpAnswer()

    def rang(self, status: str, kind: str, guest: str) -> bool:
        return any(alert["status"] == status and alert["labels"]["kind"] == kind and
                   alert["annotations"].get("guest_name") == guest for alert in self._alerts)


class Tutorial(unittest.TestCase):
    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.fail("clean nodes need root")
        self.work = Path(tempfile.mkdtemp(prefix="vw-tutorial-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        build = ["--build", os.environ["VITALWIRE_PACKAGES_FROM"]] if "VITALWIRE_PACKAGES_FROM" in os.environ else []
        run(ROOT / "packaging" / "build", "--no-rpm", "--output", self.work / "packages", *build)
        network = Network(self.work, NODES)
        self.addCleanup(network.close)
        with network.inside():
            archive, self.pager = Archive(), Pager()
        self.enterContext(archive)
        self.enterContext(self.pager)
        self.make_nodes(network)
        self.start_guest()

    # ---- what the page asks for before it begins

    def make_nodes(self, network: Network) -> None:
        base, compute = self.work / "base", self.work / "compute"
        make_root(base)
        self.add(base, "openssh-server", "openssh-client", "iproute2")
        self.allow_ssh(base)
        run("cp", "-a", "--reflink=auto", base, compute)
        self.add(compute, "libvirt-daemon-system", "qemu-system-x86")
        # A node of the test has no cgroups to give away.
        with (compute / "etc/libvirt/qemu.conf").open("a") as file:
            file.write("cgroup_controllers = []\n")
        self.nodes = {}
        for name in NODES:
            self.nodes[name] = network.node(name, [compute if name.startswith("compute") else base])
            self.addCleanup(self.nodes[name].close)
        first = self.nodes["controller-1"].root / "root"
        shutil.copytree(self.work / "packages", first / "packages")
        shutil.copy2(self.work / "key", first / ".ssh" / "id_ed25519")

    @staticmethod
    def add(root: Path, *packages: str) -> None:
        policy = root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        run("chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "install", "-y", "--no-install-recommends", *packages)
        policy.unlink()

    def allow_ssh(self, root: Path) -> None:
        key = self.work / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        folder = root / "root" / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        shutil.copy2(key.with_suffix(".pub"), folder / "authorized_keys")
        hosts = " ".join(sorted(NODES)).replace(" ", ",")
        for kind in ("ed25519", "ecdsa", "rsa"):
            public = (root / "etc/ssh" / f"ssh_host_{kind}_key.pub").read_text()
            with (folder / "known_hosts").open("a") as file:
                file.write(f"{hosts} {public}")

    def start_guest(self) -> None:
        """A small machine in libvirt, with `vitalwired` inside."""
        node, found = self.nodes["compute-1"], kernel.obtain()
        daemon = "/usr/sbin/vitalwired"
        payload = initramfs.Payload(files={daemon: BUILD / "guest" / "vitalwired"},
                                    services=(initramfs.Service("vitalwired", (daemon,)),), init_lines=(f"hostname {GUEST}",))
        for source, name in ((found.image, "vmlinuz"), (initramfs.build(payload, found), "initrd")):
            shutil.copyfile(source, node.root / "srv" / name)
            (node.root / "srv" / name).chmod(0o644)
        (node.root / "srv/db-1.xml").write_text(DOMAIN.format(name=GUEST, uuid=uuid.uuid4(), arguments=KERNEL_ARGS))
        node.run("virsh", "create", "/srv/db-1.xml")

    # ---- the page

    def test_from_packages_to_the_pager(self) -> None:
        self.seen: list[str] = []
        begun = time.monotonic()
        page = PAGE.read_text()
        for block in BLOCK.finditer(page):
            file = FILE.search(page[:block.start()])
            self.follow(file and file[1], block["language"], block["text"])
        self.assertEqual(self.seen, ["firing", "resolved"])
        minutes = (time.monotonic() - begun) / 60
        print(f"docs/tutorial.md, from packages to the pager on {len(NODES)} nodes: {minutes:.1f} minutes", file=sys.stderr)
        self.assertLess(minutes, 15)

    def follow(self, file: str | None, language: str, text: str) -> None:
        if language != "sh":
            self.assertIsNotNone(file, f"which file is this?\n{text}")
            (self.nodes["controller-1"].root / str(Path("/root") / file)[1:]).write_text(text)
        elif text.startswith("vitalwire ") and "ack" not in text:
            self.look(text)
        else:
            self.command(text)
        self.check_pager(text)

    def command(self, text: str) -> str:
        return self.nodes["controller-1"].run("env", "HOME=/root", "bash", "-euo", "pipefail", "-c", f"cd /root\n{text}").stdout

    def look(self, text: str) -> None:
        """A reader looks again when it is not well yet."""
        deadline = time.monotonic() + LOOK_SECONDS
        while True:
            try:
                print(f"{text}\n{self.command(text)}", file=sys.stderr)
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def check_pager(self, text: str) -> None:
        for action, status in (("kill -STOP", "firing"), ("kill -CONT", "resolved")):
            if action in text:
                wait_until(lambda: self.pager.rang(status, "heartbeat_lost", GUEST), f"the pager is called: {status}")  # noqa: B023
                self.seen.append(status)


if __name__ == "__main__":
    unittest.main()
