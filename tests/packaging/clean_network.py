"""A network of its own for clean nodes, which find each other by name; out of it leads only the archive of Debian."""

import contextlib
import ctypes
import os
from pathlib import Path
import shutil
import threading
from typing import Iterator
import urllib.error
import urllib.request

from clean_root import Node, own_mounts, run
from vmbed.serving import HttpAnswer, HttpRequest, HttpServing

CLONE_NEWNET = 0x40000000
GATEWAY = "10.20.0.1"
ARCHIVE_PORT = 3142


class Archive(HttpServing):
    """A proxy for apt; what several nodes want is fetched once."""

    def __init__(self) -> None:
        super().__init__(listen=(GATEWAY, ARCHIVE_PORT))
        self._kept: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def answer(self, request: HttpRequest) -> HttpAnswer:
        with self._lock:
            if request.path not in self._kept:
                try:
                    with urllib.request.urlopen(request.path, timeout=60) as body:
                        self._kept[request.path] = body.read()
                except urllib.error.HTTPError as error:
                    return HttpAnswer(error.code)
            return HttpAnswer(body=self._kept[request.path])


class Network:
    """A network namespace with a bridge. `names` are those of the nodes, and what else each is called."""

    def __init__(self, work: Path, names: dict[str, list[str]]) -> None:
        self.work, self.names = work, names
        own_mounts()
        self.namespace = Path("/run/netns") / f"vw-{os.getpid()}"
        self.namespace.parent.mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "netns", self.namespace.parent)
        run("ip", "netns", "add", self.namespace.name)
        for command in ("link add br0 type bridge", f"addr add {GATEWAY}/24 dev br0", "link set br0 up", "link set lo up"):
            run("ip", "-n", self.namespace.name, *command.split())

    def close(self) -> None:
        run("ip", "netns", "delete", self.namespace.name)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """For this thread; a socket that is made in it stays there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net") as own, open(self.namespace) as other:
            if libc.setns(other.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(own.fileno(), CLONE_NEWNET)

    def address(self, name: str) -> str:
        return f"10.20.0.{10 + list(self.names).index(name)}"

    def node(self, name: str, lower: list[Path]) -> "NetworkNode":
        """A node on top of these folders, the uppermost first."""
        return NetworkNode(self, name, self.mount(name, lower))

    def mount(self, name: str, lower: list[Path]) -> Path:
        folder = self.work / name
        root = folder / "root"
        for each in ("root", "upper", "overlay"):
            (folder / each).mkdir(parents=True)
        layers = f"lowerdir={':'.join(map(str, lower))},upperdir={folder}/upper,workdir={folder}/overlay"
        run("mount", "-t", "overlay", "overlay", "-o", layers, root)
        return root

    def hosts(self) -> str:
        lines = ["127.0.0.1 localhost", *(f"{self.address(name)} {' '.join([*more, name])}" for name, more in self.names.items())]
        return "\n".join([*lines, f"{GATEWAY} pager.example.net", ""])


class NetworkNode(Node):
    def __init__(self, network: Network, name: str, root: Path) -> None:
        self._set_up(root, network, name)
        super().__init__(root, ("nsenter", f"--net={network.namespace}"),
                         ("--network-bridge=br0", f"--machine={name}", "--resolv-conf=off"))
        self.run("/lib/systemd/systemd-networkd-wait-online", "--interface=host0", "--ipv4", "--timeout=60")

    @staticmethod
    def _set_up(root: Path, network: Network, name: str) -> None:
        (root / "etc/hostname").write_text(f"{name}\n")
        (root / "etc/hosts").write_text(network.hosts())
        (root / "etc/apt/apt.conf.d/proxy").write_text(f'Acquire::http::Proxy "http://{GATEWAY}:{ARCHIVE_PORT}";\n')
        (root / "etc/systemd/network/10-host0.network").write_text(
            f"[Match]\nName=host0\n[Network]\nAddress={network.address(name)}/24\nGateway={GATEWAY}\nLinkLocalAddressing=no\n")
        run("systemctl", "--root", root, "enable", "systemd-networkd")

    def close(self) -> None:
        super().close()
        run("umount", self.root)
        shutil.rmtree(self.root.parent, ignore_errors=True)
