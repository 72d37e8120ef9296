"""A tiny guest image: busybox, the virtio modules, a payload, and an agent that runs commands.

The guest is described by a Payload; build() returns the image, made once for each content.
"""

from dataclasses import dataclass, field, replace
import hashlib
from pathlib import Path
import re
import shlex
import stat
import subprocess
import tempfile
from typing import Mapping

from vmbed import cache
from vmbed.kernel import DISK_MODULE, MODULES, NETWORK_MODULES, POWER_BUTTON_MODULES, Kernel

CONTROL_PORT = "org.vitalwire.test.ctl"
BUSYBOX = Path("/bin/busybox")
IMAGES_KEPT = 20

# A guest path to what lies there: text or bytes, or a file or folder of this machine.
Files = Mapping[str, str | bytes | Path]


@dataclass(frozen=True)
class Service:
    """A program that init starts; respawn starts it again one second after it ended.

    The guest's command `service start|stop|signal NAME [SIGNAL]` handles it later.
    """

    name: str
    argv: tuple[str, ...]
    respawn: bool = True


@dataclass(frozen=True)
class Payload:
    """What the guest holds besides busybox.

    files         an ELF file is stripped and brings its shared libraries; text that begins with #! is executable
    services      started in this order, after the ports are there
    init_lines    shell lines that init runs before the services
    port_names    False leaves /dev/virtio-ports empty, as in a guest without udev
    """

    files: Files = field(default_factory=dict)
    services: tuple[Service, ...] = ()
    init_lines: tuple[str, ...] = ()
    port_names: bool = True


def echo_payload(port: str, port_names: bool = True) -> Payload:
    """A guest that answers each line on the port with `ECHO line`; it greets with `READY`."""
    echo = _ECHO.replace("@PORT@", port)
    return Payload(
        files={"/bin/echo-lines": echo},
        services=(Service("echo", ("/bin/echo-lines",)),),
        port_names=port_names,
    )


def obeying_power_button(payload: Payload, kernel: Kernel) -> Payload:
    """The same guest, which powers off when the power button is pressed (ACPI)."""
    power_off = {"/etc/acpi/PWRF/00000080": "#!/bin/sh\npoweroff -f\n"}
    loading = _loading(payload, kernel, *POWER_BUTTON_MODULES)
    return replace(
        loading,
        files={**loading.files, **power_off},
        init_lines=(*loading.init_lines, "acpid -l /dev/null -p /run/acpid.pid"),
    )


def with_disk(payload: Payload, kernel: Kernel) -> Payload:
    """The same guest, which finds the disk /dev/vda of its machine."""
    return _loading(payload, kernel, DISK_MODULE)


def with_file_system(payload: Payload, kernel: Kernel, folder: str) -> Payload:
    """The same guest, which makes a file system on the disk of its machine and mounts it there."""
    loading = _loading(payload, kernel, DISK_MODULE)
    make = ("mke2fs /dev/vda > /dev/null", f"mkdir -p {folder}", f"mount -t ext2 /dev/vda {folder}")
    return replace(loading, init_lines=(*loading.init_lines, *make))


def with_network(payload: Payload, kernel: Kernel, address: str) -> Payload:
    """The same guest, whose interface eth0 has that address and sends nothing by itself."""
    loading = _loading(payload, kernel, *NETWORK_MODULES)
    quiet = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"
    lines = (f"{quiet} || true", *loading.init_lines, f"ifconfig eth0 {address} up")
    return replace(loading, init_lines=lines)


def _loading(payload: Payload, kernel: Kernel, *modules: str) -> Payload:
    paths = {f"/modules/{name}.ko": kernel.module(name) for name in modules}
    lines = (*payload.init_lines, *(f"insmod {path}" for path in paths))
    return replace(payload, files={**payload.files, **paths}, init_lines=lines)


def build(payload: Payload, kernel: Kernel) -> Path:
    """The image (uncompressed: an emulated CPU unpacks slowly)."""
    archive = _Archive()
    archive.add_tree(_base_files(payload, kernel))
    archive.add_tree(payload.files)
    image = archive.finish()
    name = hashlib.sha256(image).hexdigest()[:24] + ".cpio"
    path = cache.entry("initramfs", name, lambda aside: aside.write_bytes(image))
    cache.keep_newest("initramfs", IMAGES_KEPT)
    return path


def _base_files(payload: Payload, kernel: Kernel) -> dict[str, str | bytes | Path]:
    files: dict[str, str | bytes | Path] = {
        "/init": _init_script(payload),
        "/bin/port-device": _PORT_DEVICE,
        "/bin/name-ports": _NAME_PORTS,
        "/bin/service": _SERVICE,
        "/bin/supervise": _SUPERVISE,
        "/bin/control-agent": _CONTROL_AGENT.replace("@PORT@", CONTROL_PORT),
        "/etc/passwd": "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
    }
    for name in MODULES:
        files[f"/modules/{name}.ko"] = kernel.module(name)
    for service in payload.services:
        respawn = "yes" if service.respawn else "no"
        files[f"/etc/service/{service.name}"] = (
            f"respawn={respawn}\nrun() {{ exec {shlex.join(service.argv)}; }}\n"
        )
    return files


def _init_script(payload: Payload) -> str:
    lines = [_INIT_MOUNT]
    lines += [f"insmod /modules/{name}.ko" for name in MODULES]
    lines += ["wait_for_ports"]
    if payload.port_names:
        lines += ["uevent /bin/name-ports &", "name-ports"]
    lines += payload.init_lines
    lines += ["setsid control-agent &"]
    lines += [f"service start {service.name}" for service in payload.services]
    lines += ["while :; do sleep 3600; done"]
    return "\n".join(lines) + "\n"


class _Archive:
    """A cpio archive in the kernel's format ("newc"); the same input gives the same bytes."""

    def __init__(self) -> None:
        self._records: list[bytes] = []
        self._paths: set[str] = set()
        for folder in ("/dev", "/proc", "/sys", "/run", "/tmp"):
            self._add_folder(folder)
        self._add_busybox()

    def add_tree(self, files: Files) -> None:
        for path, source in sorted(files.items()):
            if isinstance(source, Path):
                self._add_from_host(path, source)
            else:
                self._add_content(path, source)

    def finish(self) -> bytes:
        self._record("TRAILER!!!", 0, b"")
        return b"".join(self._records)

    def _add_content(self, path: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        mode = 0o755 if data.startswith(b"#!") else 0o644
        self._add_file(path, mode, data)

    def _add_from_host(self, path: str, source: Path) -> None:
        if source.is_dir():
            for child in sorted(source.iterdir()):
                self._add_from_host(f"{path}/{child.name}", child)
            return
        data = source.read_bytes()
        mode = stat.S_IMODE(source.stat().st_mode)
        if not data.startswith(b"\x7fELF"):
            return self._add_file(path, mode, data)
        self._add_file(path, mode, _stripped(source))
        for library in _shared_libraries(source):
            self._add_file(str(library), 0o755, _stripped(library))

    def _add_busybox(self) -> None:
        if _shared_libraries(BUSYBOX):
            raise RuntimeError(f"{BUSYBOX} is not static: install busybox-static")
        self._add_from_host("/bin/busybox", BUSYBOX)
        applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
        for applet in applets.stdout.split():
            if applet != "busybox":
                self._add(f"/bin/{applet}", stat.S_IFLNK | 0o777, b"busybox")

    def _add_folder(self, path: str) -> None:
        if path != "/" and path not in self._paths:
            self._add(path, stat.S_IFDIR | 0o755, b"")

    def _add_file(self, path: str, mode: int, data: bytes) -> None:
        if path not in self._paths:
            self._add(path, stat.S_IFREG | mode, data)

    def _add(self, path: str, mode: int, data: bytes) -> None:
        self._add_folder(str(Path(path).parent))
        self._paths.add(path)
        self._record(path.lstrip("/"), mode, data)

    def _record(self, name: str, mode: int, data: bytes) -> None:
        encoded = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (len(self._records) + 1, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0)
        header = b"070701" + b"".join(b"%08x" % value for value in (*fields, len(encoded), 0))
        self._records.append(_padded(header + encoded) + _padded(data))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _stripped(program: Path) -> bytes:
    """Without debug information: the guest's memory holds the image twice while it unpacks it."""
    with tempfile.TemporaryDirectory(prefix="vw-") as folder:
        aside = Path(folder) / "program"
        subprocess.run(["strip", "--strip-debug", "-o", aside, program], check=True)
        return aside.read_bytes()


def _shared_libraries(program: Path) -> list[Path]:
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    missing = re.findall(r"(\S+) => not found", listing.stdout)
    if missing:
        raise RuntimeError(f"{program} needs {', '.join(missing)}, not found on this machine")
    return sorted({Path(path) for path in re.findall(r"(/\S+) \(0x", listing.stdout)})


_INIT_MOUNT = """\
#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /run/service

# Ports are announced in the order of their numbers and the control port has the last one.
# A guest without it starts its services all the same.
wait_for_ports() {
    tries=100
    until port-device %s >/dev/null || [ $tries = 0 ]; do
        usleep 20000
        tries=$((tries - 1))
    done
}
""" % CONTROL_PORT

_PORT_DEVICE = """\
#!/bin/sh
# port-device NAME: prints the device of the virtio port with that name.
for port in /sys/class/virtio-ports/*; do
    if [ -r "$port/name" ] && [ "$(cat "$port/name")" = "$1" ]; then
        echo "/dev/${port##*/}"
        exit 0
    fi
done
exit 1
"""

_NAME_PORTS = """\
#!/bin/sh
# Makes /dev/virtio-ports/NAME for every port there is, as udev does; runs at every kernel event.
mkdir -p /dev/virtio-ports
for link in /dev/virtio-ports/*; do
    [ -e "$link" ] || rm -f "$link"
done
for port in /sys/class/virtio-ports/*; do
    name=$(cat "$port/name" 2>/dev/null)
    [ -z "$name" ] || ln -sf "../${port##*/}" "/dev/virtio-ports/$name"
done
"""

_SERVICE = """\
#!/bin/sh
# service start|stop|signal NAME [SIGNAL]
name=$2
mark=/run/service/$name
case $1 in
start)
    rm -f "$mark.stopped"
    setsid supervise "$name" </dev/null >/dev/console 2>&1 &
    ;;
stop)
    touch "$mark.stopped"
    kill -CONT "$(cat "$mark.pid")" 2>/dev/null
    kill -TERM "$(cat "$mark.pid")" 2>/dev/null
    while [ -e "$mark.pid" ]; do usleep 50000; done
    ;;
signal)
    kill "-$3" "$(cat "$mark.pid")"
    ;;
*)
    echo "service: start, stop or signal" >&2
    exit 2
    ;;
esac
"""

_SUPERVISE = """\
#!/bin/sh
# supervise NAME: runs the service, and runs it again if it is to respawn.
. "/etc/service/$1"
mark=/run/service/$1
while :; do
    run &
    echo $! >"$mark.pid"
    wait $!
    echo "service $1 ended with status $?"
    rm -f "$mark.pid"
    [ $respawn = yes ] || exit
    [ -e "$mark.stopped" ] && exit
    sleep 1
    [ -e "$mark.stopped" ] && exit
done
"""

# The port stays open: read returns 0 while no host is connected, and works again when one is.
_CONTROL_AGENT = """\
#!/bin/sh
# Runs each line `ID COMMAND` from the host; answers `ID STATUS OUTPUT`, the output in base64.
until port=$(port-device @PORT@); do sleep 1; done
exec 3<>"$port"
while :; do
    while read -r id command <&3; do
        [ -n "$command" ] || continue
        sh -c "$command" </dev/null >/tmp/control.output 2>&1
        status=$?
        echo "$id $status $(head -c 65536 /tmp/control.output | base64 -w 0)" >&3
    done
    usleep 100000
done
"""

_ECHO = """\
#!/bin/sh
until port=$(port-device @PORT@); do usleep 100000; done
exec 3<>"$port"
echo READY >&3
while :; do
    while read -r line <&3; do
        [ -z "$line" ] || echo "ECHO $line" >&3
    done
    usleep 100000
done
"""
