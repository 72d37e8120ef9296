"""Private libvirt hosts: each a libvirtd with its own /run, /var/lib/libvirt and host name.

A Host is a set of Linux namespaces. Inside, libvirtd has its usual paths (qemu:///system, channel
sockets below /var/lib/libvirt/qemu); outside, nothing of it is seen and no other libvirtd is
disturbed. Whatever runs inside ends with the Host, however the test ends. It needs root.
"""

import contextlib
import os
from pathlib import Path
import re
import select
import shutil
import subprocess
from subprocess import PIPE
import uuid
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

from vmbed import procs
from vmbed.control import Control
from vmbed.guest import BOOT_SECONDS, KERNEL_ARGS, Model
from vmbed.initramfs import CONTROL_PORT

# Emulation is all that is used. Where QEMU may open /dev/kvm and has no use of it, libvirt takes what it knows of QEMU
# for outdated and asks again at every call, which costs seconds. $root: a directory that stays.
HIDE_KVM = """
if [ -e /dev/kvm ]; then
    install --mode=0 /dev/null "$root/no-kvm"
    mount --bind "$root/no-kvm" /dev/kvm
fi
"""

_UNSHARE = ("unshare", "--mount", "--uts", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")

# Process 1 of the namespaces: when the test ends, however it ends, `read` sees the end of its
# input, process 1 exits, and the kernel kills all others. $1 is the host's folder, $2 its name.
_SET_UP = f"""
set -e
root=$1
{HIDE_KVM}
mount --bind "$1/run" /run
mount --bind "$1/etc" /etc/libvirt
for kind in lib cache log; do mount --bind "$1/$kind" "/var/$kind/libvirt"; done
hostname "$2"
virtlogd --daemon
libvirtd --daemon
echo ready
read -r end || exit 0
"""

_LIBVIRTD_CONF = """
auth_unix_rw = "none"
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
host_uuid = "{uuid}"
log_outputs = "3:file:{folder}/libvirtd.log"
"""

# Domains need no cgroup, no private /dev, and must not change the owner of the shared images.
_QEMU_CONF = """
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
"""


class Host:
    """A running libvirt host. Its domains run as libvirt-qemu, as in production."""

    def __init__(self, folder: Path, name: str = "compute-1") -> None:
        if os.geteuid() != 0:
            raise PermissionError("a private libvirtd needs root: run the tests as root")
        self.name = name
        self.folder = folder
        self._prepare()
        set_up = ["bash", "-c", _SET_UP, "libvirt-host", folder, name]
        # Our end of the pipe closes when this process ends: process 1 waits for that.
        with open(folder / "set-up.log", "wb") as log:
            self._unshare = subprocess.Popen(
                [*_UNSHARE, *set_up], stdin=PIPE, stdout=PIPE, stderr=log
            )
        if not self._set_up_done():
            self._unshare.kill()
            self.close()
            raise RuntimeError(f"libvirt did not start:\n{self._log_text()}")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        self.first_process = children.read_text().split()[0]

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends libvirtd and the domains at once; programs run by command() are the caller's."""
        self._unshare.stdin.close()
        self._unshare.stdout.close()
        self._unshare.wait()

    def command(self, argv: list[str | Path]) -> list[str | Path]:
        """The argv that runs a program of the test (an agent) on this host.

        It sees the host's libvirt and host name. The process stays the caller's to end.
        """
        return [*self._enter("--mount", "--uts"), f"--wd={os.getcwd()}", "--", *argv]

    def in_network(self, argv: list[str | Path]) -> list[str | Path]:
        """The argv that runs a program where the domains' interfaces end."""
        return [*self._enter("--net"), "--", *argv]

    def virsh(self, *arguments: str | Path, deadline: float = procs.PATIENCE_SECONDS) -> str:
        argv = self.command(["virsh", "--quiet", "--connect", "qemu:///system", *arguments])
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=deadline)
        if done.returncode:
            raise RuntimeError(f"virsh {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def path(self, inside: str | Path) -> Path:
        """Where a path of this host's libvirt is seen from outside."""
        for prefix, folder in self._mounts().items():
            with contextlib.suppress(ValueError):
                return folder / Path(inside).relative_to(prefix)
        return Path(inside)

    # ---- libvirtd

    def stop_libvirtd(self) -> None:
        """The domains run on."""
        self._inside("kill $(cat /run/libvirtd.pid)")
        procs.wait_until(lambda: not self._libvirtd_runs(), "libvirtd ends")

    def kill_libvirtd(self) -> None:
        self._inside("kill -KILL $(cat /run/libvirtd.pid)")
        procs.wait_until(lambda: not self._libvirtd_runs(), "libvirtd is gone")

    def start_libvirtd(self) -> None:
        self._inside("libvirtd --daemon")

    def hang_libvirtd(self) -> None:
        """It takes connections and does not answer."""
        self._inside("kill -STOP $(cat /run/libvirtd.pid)")

    def continue_libvirtd(self) -> None:
        self._inside("kill -CONT $(cat /run/libvirtd.pid)")

    # ---- domains

    def create(self, xml: str) -> None:
        """Starts a transient domain."""
        self.virsh("create", self.xml_file(xml))

    def define(self, xml: str) -> None:
        """Makes a persistent domain, as Nova does; it does not run yet."""
        self.virsh("define", self.xml_file(xml))

    def readable(self, path: Path) -> Path:
        """A copy of a file that the user of the domains can read (a cache may be private)."""
        copy = self.folder / "boot" / path.name
        if not copy.exists():
            shutil.copyfile(path, copy)
        return copy

    def disk(self, name: str) -> Path:
        """A small disk image that the user of the domains can write."""
        image = self.folder / "boot" / f"{name}.raw"
        with image.open("ab") as file:
            file.truncate(1 << 20)
        image.chmod(0o666)
        return image

    def xml_file(self, xml: str) -> Path:
        """A file with that text, as virsh wants it."""
        path = self.folder / "xml" / f"{uuid.uuid4()}.xml"
        path.write_text(xml)
        return path

    def outside_pid(self, inside: int) -> int:
        """The process id out here of a process of this host."""
        namespace = os.readlink(f"/proc/{self.first_process}/ns/pid")
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                status = (process / "status").read_text()
                own = re.search(r"^NSpid:.*\t(\d+)$", status, re.MULTILINE)
                if int(own[1]) == inside and os.readlink(process / "ns/pid") == namespace:
                    return int(process.name)
        raise ProcessLookupError(f"host {self.name} has no process {inside}")

    # ---- internals

    def _mounts(self) -> dict[str, Path]:
        mounts = {f"/var/{kind}/libvirt": self.folder / kind for kind in ("lib", "cache", "log")}
        return {"/run": self.folder / "run", "/etc/libvirt": self.folder / "etc", **mounts}

    def _prepare(self) -> None:
        for folder in self._mounts().values():
            folder.mkdir(parents=True)
        for name in ("boot", "xml", "console"):
            (self.folder / name).mkdir()
        etc = self.folder / "etc"
        conf = _LIBVIRTD_CONF.format(uuid=uuid.uuid4(), folder=self.folder)
        (etc / "libvirtd.conf").write_text(conf)
        (etc / "qemu.conf").write_text(_QEMU_CONF)

    def _set_up_done(self) -> bool:
        answer = self._unshare.stdout
        waited = select.select([answer], [], [], procs.PATIENCE_SECONDS)
        return bool(waited[0]) and answer.readline() == b"ready\n"

    def _enter(self, *namespaces: str) -> list[str]:
        return ["nsenter", "--target", self.first_process, *namespaces]

    def _inside(self, script: str) -> None:
        argv = [*self._enter("--mount", "--uts", "--pid"), "sh", "-c", script]
        subprocess.run(argv, check=True)

    def _libvirtd_runs(self) -> bool:
        argv = [*self._enter("--mount", "--pid"), "pidof", "libvirtd"]
        return subprocess.run(argv, stdout=subprocess.DEVNULL, check=False).returncode == 0

    def _log_text(self) -> str:
        return "".join(procs.tail(self.folder / log) for log in ("set-up.log", "libvirtd.log"))


class Domain:
    """A libvirt domain around a guest model, on a host (or, after a migration, on another)."""

    def __init__(
        self,
        host: Host,
        name: str,
        model: Model,
        *,
        identity: str | None = None,
        on_crash: str = "preserve",
        metadata: str = "",
        serial_controller: bool = True,
        disk: bool = False,
        interface: str = "",
    ) -> None:
        self.host = host
        self.name = name
        self.uuid = identity or str(uuid.uuid4())
        self.console = host.folder / "console" / f"{name}.console.log"
        devices = _disk_xml(host.disk(name)) if disk else ""
        devices += _interface_xml(interface) if interface else ""
        self.xml = _domain_xml(self, model, on_crash, metadata, serial_controller, devices)
        self._control: Control | None = None

    def create(self) -> "Domain":
        """Starts it as a transient domain."""
        self.host.create(self.xml)
        return self

    def define(self) -> "Domain":
        """Makes it persistent, as Nova does."""
        self.host.define(self.xml)
        return self

    def virsh(self, command: str, *arguments: str | Path) -> str:
        """A virsh command on this domain: suspend, resume, reset, destroy, start, save ..."""
        return self.host.virsh(command, self.name, *arguments)

    @property
    def state(self) -> str:
        """As `virsh domstate --reason`: "running (booted)", "crashed (panicked)" ..."""
        return self.virsh("domstate", "--reason").strip()

    def channel(self, name: str) -> Path:
        """The channel's socket, from outside; it changes at every start."""
        return self.host.path(self.channels()[name])

    def channels(self) -> dict[str, str]:
        """Channel names to sockets as libvirt's live XML has them."""
        found = {}
        for channel in self._channel_elements():
            source = channel.find("source")
            if source is not None:
                found[channel.find("target").get("name")] = source.get("path")
        return found

    @property
    def control(self) -> Control:
        """The control port of the domain as it runs now."""
        if self._control is None:
            self._control = Control(self.channel(CONTROL_PORT))
        return self._control

    def forget_control(self) -> None:
        """After a start, restore or migration: the port has another socket."""
        if self._control:
            self._control.close()
        self._control = None

    def wait_ready(self, deadline: float = BOOT_SECONDS) -> "Domain":
        """Until the guest runs commands."""
        self.forget_control()
        procs.wait_until(self._runs_commands, f"domain {self.name} runs commands", deadline)
        return self

    def ctl(self, command: str, deadline: float = procs.PATIENCE_SECONDS) -> str:
        return self.control.check(command, deadline)

    def qemu_pid(self) -> int:
        inside = self.host.path(f"/run/libvirt/qemu/{self.name}.pid").read_text()
        return self.host.outside_pid(int(inside))

    def attach_channel(self, name: str) -> None:
        """Hot-plugs a channel."""
        self.virsh("attach-device", self.host.xml_file(_channel_xml(name)), "--live")

    def detach_channel(self, name: str) -> None:
        """Unplugs a channel."""
        for channel in self._channel_elements():
            if channel.find("target").get("name") == name:
                self.virsh("detach-device-alias", channel.find("alias").get("name"), "--live")

    def save(self, path: Path) -> None:
        """Stops it and keeps its state for restore(), as often as wanted."""
        self.virsh("save", path)
        self.forget_control()

    def restore(self, path: Path) -> "Domain":
        """Continues it as it was when it was saved: much quicker than a boot."""
        self.host.virsh("restore", path)
        self.forget_control()
        return self

    def migrate(self, destination: Host) -> None:
        """Live migration to another host; the domain is there when this returns."""
        socket = destination.path("/run/libvirt/libvirt-sock")
        self.virsh(
            "migrate",
            "--live",
            f"qemu+unix:///system?socket={socket}",
            # A folder that the destination's QEMU may write to.
            *("--migrateuri", f"unix://{destination.folder}/lib/qemu/migration.sock"),
        )
        self.host = destination
        self.forget_control()

    def _channel_elements(self) -> list[ElementTree.Element]:
        return ElementTree.fromstring(self.virsh("dumpxml")).findall("devices/channel")

    def _runs_commands(self) -> bool:
        try:
            return self.control.run("true", deadline=5).status == 0
        except TimeoutError:
            return False


def _channel_xml(name: str) -> str:
    return f"<channel type='unix'><target type='virtio' name='{escape(name)}'/></channel>"


def _disk_xml(image: Path) -> str:
    source = f"<driver name='qemu' type='raw'/><source file='{escape(str(image))}'/>"
    return f"<disk type='file' device='disk'>{source}<target dev='vda' bus='virtio'/></disk>"


def _interface_xml(tap: str) -> str:
    """Its other end is the host's interface of that name."""
    return (
        "<interface type='ethernet'><mac address='52:54:00:00:00:01'/>"
        f"<target dev='{tap}'/><model type='virtio'/><driver name='qemu'/></interface>"
    )


def _domain_xml(
    domain: Domain, model: Model, on_crash: str, metadata: str, serial_controller: bool, devices: str
) -> str:
    host, machine = domain.host, model.machine
    names = (*machine.channels, CONTROL_PORT) if serial_controller else ()
    channels = "".join(_channel_xml(name) for name in names)
    controller = "<controller type='virtio-serial' index='0'/>" if serial_controller else ""
    return f"""
<domain type='qemu'>
  <name>{escape(domain.name)}</name>
  <uuid>{domain.uuid}</uuid>
  <metadata>{metadata}</metadata>
  <memory unit='MiB'>{machine.memory_mib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='{machine.board}'>hvm</type>
    <kernel>{host.readable(model.kernel.image)}</kernel>
    <initrd>{host.readable(model.image)}</initrd>
    <cmdline>{escape(KERNEL_ARGS)}</cmdline>
  </os>
  <features><acpi/><tcg><tb-cache unit='MiB'>32</tb-cache></tcg></features>
  <cpu mode='maximum'/>
  <on_crash>{on_crash}</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    {controller}
    {devices}
    <serial type='file'><source path='{domain.console}'/></serial>
    {channels}
    <memballoon model='none'/>
    <panic model='isa'/>
  </devices>
</domain>
"""
