"""Kills a process at a system call that the test names: strace lets it come that far and no further."""

import contextlib
from pathlib import Path

from vmbed.procs import Process, tail, wait_until

READS = "read,readv,recvfrom,recvmsg"
SENDS = "sendto,sendmsg,write,writev"
# The store's: it writes what changed, then has it put on the disk.
WRITES = "pwrite64"
SYNCS = "fdatasync"

# Of what may not happen before the kill: long enough for another thread, short enough that no peer gives up on us.
HELD_MICROSECONDS = 150_000


class Ambush:
    """Lies in wait from now on. `calls`: the `nth` of these of any one thread is its last, and it is not carried out.

    `held`: calls that wait for a moment, so that what other threads do comes first.
    """

    def __init__(self, victim: Process, folder: Path, calls: str, nth: int = 1, held: str = "") -> None:
        self._victim = victim
        self._log = folder / f"ambush-{victim.pid}.log"
        argv: list[str | Path] = ["strace", "-f", "-p", str(victim.pid), "-o", self._log.with_suffix(".calls.log")]
        argv += ["-e", f"trace={calls}" + (f",{held}" if held else "")]
        argv += ["-e", f"inject={calls}:signal=SIGKILL:when={nth}"]
        if held:
            argv += ["-e", f"inject={held}:delay_enter={HELD_MICROSECONDS}"]
        self._strace = Process(argv, self._log)
        try:
            wait_until(self._attached, f"strace lies in wait for {victim.name}")
        except Exception:
            self.call_off()
            raise

    def _attached(self) -> bool:
        if self._strace.running or not self._victim.running:
            return "attached" in self._log.read_text()
        scope = Path("/proc/sys/kernel/yama/ptrace_scope")
        raise RuntimeError(
            f"strace cannot attach to {self._victim.name} (process {self._victim.pid}): {tail(self._log)}\n"
            f"It takes CAP_SYS_PTRACE, which root has unless a container drops it, or a ptrace_scope of 0 "
            f"(it is {scope.read_text().strip() if scope.exists() else 'not there'})."
        )

    @property
    def sprung(self) -> bool:
        """The victim is dead, though its parent may not know before strace has let it go."""
        stat = Path(f"/proc/{self._victim.pid}/stat")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return stat.read_text().rsplit(")", 1)[1].split()[0] in "ZX"
        return True

    def call_off(self) -> None:
        """What is still alive continues."""
        self._strace.kill()
