"""A real guest in QEMU, with software emulation (no /dev/kvm needed)."""

from dataclasses import dataclass
import functools
import hashlib
from pathlib import Path
import re
import shlex
import subprocess
from typing import Any

from vmbed import cache, procs
from vmbed.control import Control
from vmbed.initramfs import CONTROL_PORT
from vmbed.kernel import Kernel
from vmbed.qmp import Qmp

QEMU = "qemu-system-x86_64"
BOOT_SECONDS = 240.0
SNAPSHOTS_KEPT = 8

_BOARDS = {
    "pc": "pc,usb=off,vmport=off,hpet=off",
    "q35": "q35,usb=off,vmport=off,hpet=off",
}
# random.trust_cpu: without it a guest waits seconds for its first random bytes.
# no_timer_check: on a machine that others slow down the emulated timer seems not to tick, and Linux panics.
KERNEL_ARGS = (
    "console=ttyS0 quiet panic=0 reboot=t tsc=reliable nokaslr mitigations=off random.trust_cpu=on no_timer_check"
)


@dataclass(frozen=True)
class Machine:
    """The hardware; guests can share a snapshot, or migrate, if theirs are equal."""

    board: str = "pc"  # or "q35"
    channels: tuple[str, ...] = ("org.vitalwire.0",)
    memory_mib: int = 160  # Linux keeps 60 of them, and holds the image twice at boot

    def arguments(self, kernel: Kernel, image: Path) -> list[str]:
        """The command line but for names and sockets."""
        return [
            *("-accel", "tcg,thread=single,tb-size=32"),
            *("-M", _BOARDS[self.board], "-cpu", "max", "-smp", "1"),
            *("-m", str(self.memory_mib), "-action", "panic=pause"),
            *("-nodefaults", "-no-user-config", "-display", "none"),
            *("-kernel", str(kernel.image), "-initrd", str(image)),
            *("-append", KERNEL_ARGS),
            *("-device", "virtio-serial-pci,id=serial0", "-device", "pvpanic-pci"),
        ]


@dataclass(frozen=True)
class Model:
    """What a guest is made of: guests of one model differ in names and sockets only."""

    kernel: Kernel
    image: Path
    machine: Machine = Machine()


class Guest:
    """One guest. Its channels are <channels_dir>/<channel>.<name>.sock.

    monitor   where QEMU listens for the agent's monitor connection (default
              <channels_dir>/<name>.qmp); the test has another one, `qmp`
    work_dir  gets the console (<name>.console.log) and the sockets of the test
    """

    def __init__(
        self,
        name: str,
        model: Model,
        channels_dir: Path,
        work_dir: Path,
        monitor: Path | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self.monitor = monitor or channels_dir / f"{name}.qmp"
        self.console = work_dir / f"{name}.console.log"
        self._channels_dir = channels_dir
        self._own_monitor = work_dir / f"{name}.test.qmp"
        self._control_path = work_dir / f"{name}.ctl.sock"
        self._migration_path = work_dir / f"{name}.migration.sock"
        self._qemu_log = work_dir / f"{name}.qemu.log"
        self._process: procs.Process | None = None
        self._qmp: Qmp | None = None
        self.control = Control(self._control_path)

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def channel(self, name: str) -> Path:
        return self._channels_dir / f"{name}.{self.name}.sock"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def qmp(self) -> Qmp:
        """The test's own monitor connection."""
        if self._qmp is None:
            raise RuntimeError(f"guest {self.name} was not started")
        return self._qmp

    # ---- start and end

    def boot(self) -> "Guest":
        """Cold boot; returns while the guest still starts."""
        self._launch(())
        return self

    def boot_from_snapshot(self) -> "Guest":
        """Continues a guest of this model that was ready: the same boot id, random state, uptime.

        The first call for a model boots one; later calls, of later runs too, take under a second.
        """
        return self.restore(snapshot(self.model))

    def restore(self, saved: Path) -> "Guest":
        """Continues what save() of a guest of the same model left; returns while it is read."""
        self._launch(("-incoming", f"exec:cat {shlex.quote(str(saved))}"))
        return self

    def wait_ready(self, deadline: float = BOOT_SECONDS) -> "Guest":
        """Until the guest runs commands and has opened every channel."""
        try:
            procs.wait_until(
                lambda: self._runs_commands() and self._channels_open(), f"guest {self.name} is ready", deadline
            )
        except (RuntimeError, OSError) as error:
            error.add_note(f"--- console of {self.name}\n{procs.tail(self.console)}")
            raise
        return self

    def save(self, path: Path) -> None:
        """Writes the guest's state to a file; QEMU stays, paused, and can only be ended."""
        self._migrate(f"exec:cat > {shlex.quote(str(path))}")

    def migrate_to(self, destination: "Guest") -> None:
        """Live migration to a guest of the same model that was not started.

        When it returns, the destination runs; this one is paused in state postmigrate.
        """
        listen = f"unix:{destination._migration_path}"
        destination._launch(("-incoming", listen))
        self._migrate(listen)
        procs.wait_until(
            lambda: destination.status == "running", f"guest {self.name} runs at its destination"
        )

    def kill(self) -> None:
        """SIGKILL: as if QEMU had crashed. Its sockets stay in the file system, dead."""
        self._disconnect()
        if self._process:
            self._process.kill()

    def wait_exit(self, deadline: float = procs.PATIENCE_SECONDS) -> int:
        return self._running().wait(deadline)

    def close(self) -> None:
        """Ends QEMU if it runs and removes the sockets."""
        self.kill()
        for path in self._sockets():
            path.unlink(missing_ok=True)

    # ---- from outside

    def pause(self) -> None:
        self.qmp.execute("stop")

    def resume(self) -> None:
        self.qmp.execute("cont")

    def reset(self) -> None:
        """The reset button."""
        self.qmp.execute("system_reset")

    def wait_restarted(self, deadline: float = BOOT_SECONDS) -> "Guest":
        """After a reset or reboot: until the guest is ready again."""
        self.qmp.wait_event("RESET", deadline)
        self.control.close()
        return self.wait_ready(deadline)

    @property
    def status(self) -> str:
        """QEMU's run state: running, paused, guest-panicked, postmigrate ..."""
        return self.qmp.execute("query-status")["status"]

    def channel_open(self, name: str) -> bool:
        """Whether a process in the guest holds the channel open."""
        return self._open_chardevs()[_chardev_id(name)]

    # ---- from inside

    def ctl(self, command: str, deadline: float = procs.PATIENCE_SECONDS) -> str:
        """Runs a shell command in the guest that must succeed; its output."""
        return self.control.check(command, deadline)

    def signal_service(self, service: str, signal_name: str) -> None:
        """A signal (STOP, CONT, KILL, HUP ...) to a service of the payload."""
        self.ctl(f"service signal {service} {signal_name}")

    def panic(self) -> None:
        """QEMU reports it (event GUEST_PANICKED) and pauses the guest, as libvirt's QEMU does.

        Other endings: qmp.execute("set-action", panic="none") or "shutdown"; a panic nobody sees:
        ctl("rmmod pvpanic-pci") before; a guest that reboots then: ctl("sysctl kernel.panic=-1").
        """
        self.control.send("echo c > /proc/sysrq-trigger")

    def reboot(self) -> None:
        """An abrupt reboot from inside."""
        self.control.send("echo b > /proc/sysrq-trigger")

    def poweroff(self) -> None:
        self.control.send("poweroff -f")

    # ---- internals

    def _running(self) -> procs.Process:
        if self._process is None:
            raise RuntimeError(f"guest {self.name} was not started")
        return self._process

    def _launch(self, incoming: tuple[str, ...]) -> None:
        if self._process and self._process.running:
            raise RuntimeError(f"guest {self.name} runs already")
        self._disconnect()
        self.console.unlink(missing_ok=True)
        self._process = procs.Process([QEMU, *self._arguments(), *incoming], self._qemu_log)
        procs.wait_until(self._monitor_connected, f"QEMU of {self.name} opens its monitor")

    def _arguments(self) -> list[str]:
        model = self.model
        arguments = model.machine.arguments(model.kernel, model.image)
        arguments += ["-name", self.name, "-serial", f"file:{self.console}"]
        for identity, path in (("agent", self.monitor), ("test", self._own_monitor)):
            arguments += [
                *("-chardev", _listening(f"monitor-{identity}", path)),
                *("-mon", f"chardev=monitor-{identity},mode=control"),
            ]
        for name, path in self._ports():
            chardev = _chardev_id(name)
            arguments += [
                *("-chardev", _listening(chardev, path)),
                *("-device", f"virtserialport,bus=serial0.0,chardev={chardev},name={name}"),
            ]
        return arguments

    def _ports(self) -> list[tuple[str, Path]]:
        """The control port last: when the guest sees it, it sees all."""
        ports = [(name, self.channel(name)) for name in self.model.machine.channels]
        return [*ports, (CONTROL_PORT, self._control_path)]

    def _sockets(self) -> list[Path]:
        ports = [path for _, path in self._ports()]
        return [*ports, self.monitor, self._own_monitor, self._migration_path]

    def _monitor_connected(self) -> bool:
        self._running().require_running()
        try:
            self._qmp = Qmp(self._own_monitor)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def _runs_commands(self) -> bool:
        self._running().require_running()
        try:
            return self.control.run("true", deadline=5).status == 0
        except TimeoutError:
            return False

    def _channels_open(self) -> bool:
        chardevs = self._open_chardevs()
        return all(chardevs[_chardev_id(name)] for name in self.model.machine.channels)

    def _open_chardevs(self) -> dict[str, bool]:
        chardevs: list[dict[str, Any]] = self.qmp.execute("query-chardev")
        return {chardev["label"]: chardev["frontend-open"] for chardev in chardevs}

    def _migrate(self, uri: str) -> None:
        self.qmp.execute("migrate-set-parameters", max_bandwidth=1 << 33)
        self.qmp.execute("migrate", uri=uri)
        procs.wait_until(self._migrated, f"guest {self.name} migrated")

    def _migrated(self) -> bool:
        state = self.qmp.execute("query-migrate")
        if state["status"] == "failed":
            raise RuntimeError(f"migration of {self.name}: {state.get('error-desc', 'failed')}")
        return state["status"] == "completed"

    def _disconnect(self) -> None:
        self.control.close()
        if self._qmp:
            self._qmp.close()


def snapshot(model: Model) -> Path:
    """A saved guest of this model that was ready, from the cache or made now."""
    identity = [*model.machine.arguments(model.kernel, model.image), *model.machine.channels]
    key = hashlib.sha256("\0".join([*identity, _qemu_version()]).encode()).hexdigest()[:24]
    path = cache.entry("snapshot", key, lambda aside: _make_snapshot(model, aside))
    cache.keep_newest("snapshot", SNAPSHOTS_KEPT)
    return path


def _make_snapshot(model: Model, path: Path) -> None:
    with procs.temporary_dir() as folder, Guest("template", model, folder, folder) as guest:
        guest.boot().wait_ready()
        guest.save(path)


@functools.cache
def _qemu_version() -> str:
    version = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True)
    return version.stdout.splitlines()[0]


def _chardev_id(channel: str) -> str:
    return "port-" + re.sub(r"[^A-Za-z0-9-]", "-", channel)


def _listening(identity: str, path: Path) -> str:
    return f"socket,id={identity},path={path},server=on,wait=off"
