"""The cache of kernels, initramfs images and snapshots: shared by parallel tests and later runs.

An entry is made aside and renamed, so whatever has its final name is complete.
"""

import contextlib
import fcntl
import os
from pathlib import Path
import shutil
import tempfile
import time
from typing import Callable, Iterator

IN_USE_SECONDS = 3600


def cache_dir() -> Path:
    """VITALWIRE_VM_CACHE, else vitalwire/vm below XDG_CACHE_HOME (default ~/.cache)."""
    explicit = os.environ.get("VITALWIRE_VM_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(explicit) if explicit else Path(base) / "vitalwire" / "vm"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def entry(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """The cached file or directory kind/name; make(path) creates it if it is not there.

    Two processes that want the same entry: one makes it, the other waits and uses it.
    """
    path = cache_dir() / kind / name
    path.parent.mkdir(exist_ok=True)
    with _locked(path.parent / f".{name}.lock"):
        if not path.exists():
            _make_aside(path, make)
    os.utime(path)
    return path


def keep_newest(kind: str, count: int) -> None:
    """Removes all but the most recently used entries of a kind; what was used lately stays."""
    folder = cache_dir() / kind
    if not folder.exists():
        return
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    entries.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in entries[count:]:
        if time.time() - path.stat().st_mtime > IN_USE_SECONDS:
            _remove(path)
            _remove(folder / f".{path.name}.lock")


def _make_aside(path: Path, make: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        aside = Path(folder) / path.name
        make(aside)
        aside.rename(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
