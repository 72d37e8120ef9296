"""A clean Debian, and a node in which it runs: systemd is its process 1. Needs root, and Debian's archive.

VITALWIRE_CLEAN_ROOT       what debootstrap has made before, to be copied
VITALWIRE_DEBIAN_MIRROR    where debootstrap gets it otherwise
"""

import contextlib
import ctypes
import json
import os
from pathlib import Path
import subprocess

from vmbed.procs import wait_until

MIRROR = os.environ.get("VITALWIRE_DEBIAN_MIRROR", "http://deb.debian.org/debian")
INCLUDED = "systemd,systemd-sysv,adduser,dbus"
BOOT_SECONDS = 120
CLONE_NEWNS = 0x00020000


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done


def own_mounts() -> None:
    """What this process mounts from here on is its own, and ends with it and its children however they end."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    run("mount", "--make-rprivate", "/")


class Node:
    """A root in which systemd runs as process 1; it ends with `close`."""

    def __init__(self, root: Path, enter: tuple[str | Path, ...] = (), network: tuple[str, ...] = ("--resolv-conf=replace-host",)) -> None:
        """`enter` is the command that runs systemd-nspawn somewhere else, `network` what that is told of it."""
        self.root = root
        command = [*enter, "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", *network, "-D", root, "--boot"]
        with (root.parent / "console.log").open("w") as log:
            self._nspawn = subprocess.Popen(["setpriv", "--pdeathsig=TERM", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        wait_until(self._booted, "systemd has booted", BOOT_SECONDS)

    def _leader(self) -> str:
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        return children.read_text().split()[0]

    def _booted(self) -> bool:
        if self._nspawn.poll() is not None:
            raise AssertionError(f"no boot:\n{(self.root.parent / 'console.log').read_text()}")
        with contextlib.suppress(IndexError, OSError):
            return self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")
        return False

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return run("nsenter", f"--target={self._leader()}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd",
                   "env", "-i", path, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *command, check=check)

    def close(self) -> None:
        with contextlib.suppress(AssertionError, IndexError, OSError):
            self.run("systemctl", "poweroff", "--force", "--force", check=False)
        try:
            self._nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()

    # ---- services

    def active(self, unit: str) -> str:
        return self.run("systemctl", "is-active", unit, check=False).stdout.strip()

    def pid_of(self, unit: str) -> str:
        return self.run("systemctl", "show", "-P", "MainPID", unit).stdout.strip()

    def faults(self) -> list[str]:
        """Ids of the open ones, as the operator's command has them."""
        done = self.run("vitalwire", "faults", "-o", "json", check=False)
        with contextlib.suppress(json.JSONDecodeError):
            return [fault["id"] for fault in json.loads(done.stdout)["faults"]]
        return []


def make_root(root: Path) -> None:
    if ready := os.environ.get("VITALWIRE_CLEAN_ROOT"):
        run("cp", "-a", "--reflink=auto", ready, root)
        return
    run("debootstrap", "--variant=minbase", f"--include={INCLUDED}", "bookworm", root, MIRROR)
