"""One compute node: libvirtd and nova-compute in a mount and a host-name namespace of their own.

Inside, /run and libvirt's directories are the node's, so it needs nothing of the machine's libvirt
and disturbs nothing of it; QEMU, sockets and domains are found at the same paths as on a real node.
"""
import os
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Sequence

from vmbed.libvirtbed import HIDE_KVM

from . import settings
from .client import OpenStack
from .nova_host import NovaHost
from .programs import nova
from .services import Service, run
from .settings import Settings

DRIVER = "vitalwire.VitalwireLibvirtDriver"
PLAIN_DRIVER = "libvirt.LibvirtDriver"  # Nova's own, without our extension
# libvirtd's, and so QEMU's: a guest has CPUs of its own as far as one machine allows, and answers in time.
GUEST_NICENESS = -10
LIBVIRT_DIRECTORIES = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")

# `ssh` and `scp` of Nova, which lead from one node's namespaces into another's.
REMOTE = Path(__file__).with_name("remote")

# No control groups, mount namespaces, log daemon or security labels: libvirtd is alone here.
QEMU_CONF = """
namespaces = []
cgroup_controllers = []
security_driver = "none"
stdio_handler = "file"
"""

ENTER = f"""
host=$1 root=$2
{HIDE_KVM}
hostname "$host"
for directory in /run "${{@:3}}"; do
    mount --bind "$root$directory" "$directory"
done
exec sleep infinity
"""


class ComputeNode(NovaHost):
    def __init__(
        self, config: Settings, nova_extension: Path, host: str, driver: str = DRIVER
    ) -> None:
        super().__init__(host)
        self.root = config.home / host
        self._config = config
        self._driver = driver
        self._nova_path = {
            "PYTHONPATH": str(nova_extension),
            "PATH": f"{REMOTE}:/usr/sbin:/usr/bin:/sbin:/bin",
        }
        self._space = Service(
            config.home,
            f"{host}-namespace",
            [
                "unshare",
                "--mount",
                "--uts",
                "--propagation",
                "private",
                "bash",
                "-euc",
                ENTER,
                "enter",
                host,
                self.root,
                *LIBVIRT_DIRECTORIES,
            ],
            ready=self._is_entered,
        )

    @property
    def services(self) -> dict[str, Service]:
        """Those inside the node; they can be stopped and started while it is up."""
        conf = self.root / "nova.conf"
        compute = Service(
            self._config.home,
            f"{self.host}-nova-compute",
            self.enter(nova("compute", "--config-file", conf)),
            self._nova_path,
        )
        libvirtd = Service(
            self._config.home,
            f"{self.host}-libvirtd",
            self.enter(["libvirtd"]),
            ready=lambda: self.run(["virsh", "-q", "version"], check=False),
        )
        libvirtd.niceness = GUEST_NICENESS
        return {"libvirtd": libvirtd, "nova-compute": compute}

    def enter(self, argv: Sequence[object]) -> list[str]:
        """The command line that runs argv on this node, as the agent would be there."""
        words = ["nsenter", "--target", self._space.pid, "--mount", "--uts", *argv]
        return [str(word) for word in words]

    def run(self, argv: Sequence[object], check: bool = True) -> bool:
        return run(self._config.home, self.enter(argv), check)

    def output(self, argv: Sequence[object]) -> str:
        """What a command on this node prints; an error raises."""
        return subprocess.run(
            self.enter(argv), stdout=subprocess.PIPE, text=True, check=True
        ).stdout

    @property
    def is_up(self) -> bool:
        return self._space.pid is not None

    def path(self, path: str) -> Path:
        """Where a file of the node is seen from outside."""
        return Path(f"/proc/{self._space.pid}/root{path}")

    def up(self) -> None:
        self._make_directories()
        self._space.start().wait_ready()
        self._write_configuration()
        for service in self.services.values():
            service.start().wait_ready()

    def restart(self, name: str, admin: OpenStack) -> None:
        """Restarts one of its services and waits until servers can be scheduled here again."""
        service = self.services[name]
        service.stop()
        last_report = self.record(admin)["updated_at"]
        service.start().wait_ready()
        self.wait_up(admin, reported_after=last_report)

    def use_driver(self, driver: str, admin: OpenStack) -> None:
        """From now on nova-compute has this one; its servers stay as they are until they are built again."""
        self._driver = driver
        self._write_configuration()
        self.restart("nova-compute", admin)

    def down(self) -> None:
        """Kills every guest, and what services still run."""
        if not self.is_up:
            return
        self.kill()
        self._space.stop()

    def kill(self) -> None:
        """As the loss of its power; `up` turns it on again, without its guests."""
        for pid in self._members():
            os.kill(pid, signal.SIGKILL)

    def _write_configuration(self) -> None:
        conf = self.root / "nova.conf"
        state = self.root / "nova"
        settings.write(conf, self._config.nova_compute(self.host, state, conf, self._driver))

    def _make_directories(self) -> None:
        if self.root.exists():
            return
        for directory in LIBVIRT_DIRECTORIES:
            target = self.root / directory[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            run(self._config.home, ["cp", "-a", directory, target])  # with its owners and modes
        for directory in ("run", "nova", "var/lib/libvirt/instances"):
            (self.root / directory).mkdir(parents=True)
        with open(self.root / "etc/libvirt/qemu.conf", "a") as conf:
            conf.write(QEMU_CONF)
        # All nodes are one machine: each libvirtd would have its id, and none would migrate to another.
        with open(self.root / "etc/libvirt/libvirtd.conf", "a") as conf:
            conf.write(f'host_uuid = "{uuid.uuid4()}"\n')
        # A live migration names the other node's libvirtd by its address.
        (self._config.home / settings.address(self.host)).symlink_to(self.root)

    def _is_entered(self) -> bool:
        return Path(f"/proc/{self._space.pid}/comm").read_text() == "sleep\n"

    def _members(self) -> list[int]:
        space = os.readlink(f"/proc/{self._space.pid}/ns/mnt")
        members = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "ns/mnt") == space:
                    members.append(int(entry.name))
            except OSError:
                continue  # it has ended
        return [pid for pid in members if pid != self._space.pid]
