"""The guests' kernel: Debian's cloud kernel, downloaded and unpacked; nothing is installed."""

from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import re
import shutil
import subprocess
import tarfile
import tempfile

from vmbed import cache

META_PACKAGE = "linux-image-cloud-amd64"

# Everything virtio is a module in Debian's kernels. insmod resolves nothing: this order matters.
MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_console",
    "pvpanic",
    "pvpanic-pci",
    "pvpanic-mmio",
)
# For a guest that obeys the power button (a soft reboot or stop by Nova); a payload loads them.
POWER_BUTTON_MODULES = ("evdev", "button")
# For a guest with a disk; a payload loads it.
DISK_MODULE = "virtio_blk"
# For a guest with a network interface; a payload loads them.
NETWORK_MODULES = ("failover", "net_failover", "virtio_net")
KEPT_MODULES = (*MODULES, *POWER_BUTTON_MODULES, DISK_MODULE, *NETWORK_MODULES)


@dataclass(frozen=True)
class Kernel:
    """folder holds vmlinuz and one NAME.ko for each of KEPT_MODULES."""

    folder: Path

    @property
    def image(self) -> Path:
        return self.folder / "vmlinuz"

    def module(self, name: str) -> Path:
        return self.folder / f"{name}.ko"


def obtain() -> Kernel:
    """The current cloud kernel, or the newest one in the cache if apt knows none (no network)."""
    package = _current_package()
    if package is None:
        return Kernel(_newest_cached())
    kept = hashlib.sha256(" ".join(KEPT_MODULES).encode()).hexdigest()[:8]
    name = f"{package}-{kept}"
    return Kernel(cache.entry("kernel", name, lambda path: _download(package, path)))


def _current_package() -> str | None:
    listing = subprocess.run(
        ["apt-cache", "depends", META_PACKAGE], capture_output=True, text=True, check=False
    )
    match = re.search(r"Depends: (linux-image-\S+)", listing.stdout)
    return match[1] if match else None


def _newest_cached() -> Path:
    kernels = sorted((cache.cache_dir() / "kernel").glob("linux-image-*"), key=os.path.getmtime)
    if not kernels:
        raise RuntimeError(
            f"apt knows no package {META_PACKAGE} and no kernel is cached: "
            "run 'apt-get update' with Debian's main archive in sources.list"
        )
    return kernels[-1]


def _download(package: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="vitalwire-kernel-") as folder:
        fetched = subprocess.run(
            ["apt-get", "-q", "download", package],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        archives = list(Path(folder).glob("*.deb"))
        if fetched.returncode or not archives:
            raise RuntimeError(f"apt-get download {package} failed:\n{fetched.stdout}")
        _unpack(archives[0], target)


def _unpack(archive: Path, target: Path) -> None:
    """Keeps the image and the modules a guest can load: 9 of the package's 90 MB."""
    wanted = {f"{name}.ko" for name in KEPT_MODULES}
    target.mkdir()
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE
    ) as unpacker, tarfile.open(fileobj=unpacker.stdout, mode="r|") as tree:
        for member in tree:
            name = Path(member.name).name
            if name.startswith("vmlinuz-"):
                name = "vmlinuz"
            elif name not in wanted:
                continue
            with open(target / name, "wb") as copy:
                shutil.copyfileobj(tree.extractfile(member), copy)
    missing = (wanted | {"vmlinuz"}) - {path.name for path in target.iterdir()}
    if missing:
        raise RuntimeError(f"{archive.name} lacks {', '.join(sorted(missing))}")
