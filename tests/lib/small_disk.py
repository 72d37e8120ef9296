"""A disk that can be filled: a small file system of its own, which is gone with the last process that uses it."""

import contextlib
from pathlib import Path

from vmbed.procs import Process, wait_until

# In a mount namespace that no process is in any more nothing is left to be unmounted.
_MOUNT = 'mount -t tmpfs -o size=2m disk "$1" && exec sleep infinity'


class SmallDisk:
    """At `folder`, for what runs through `wrap`; needs root."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT, "sh", folder]
        self._holder = Process(argv, folder.with_suffix(".log"))
        self.folder = folder
        self._inside = Path(f"/proc/{self._holder.pid}/root{folder}")
        wait_until(self._mounted, f"a file system at {folder}")

    def _mounted(self) -> bool:
        self._holder.require_running()
        return f" {self.folder} " in Path(f"/proc/{self._holder.pid}/mountinfo").read_text()

    def wrap(self, argv: list[str | Path]) -> list[str | Path]:
        return ["nsenter", "--mount", f"--target={self._holder.pid}", "--", *argv]

    def fill(self) -> None:
        """To the last byte."""
        with contextlib.suppress(OSError), open(self._inside / "filler", "ab", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass

    def empty(self) -> None:
        """Of what `fill` has put there."""
        (self._inside / "filler").unlink(missing_ok=True)

    def close(self) -> None:
        self._holder.kill()
