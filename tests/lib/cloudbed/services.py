"""A process of the cloud: it outlives the program that started it, and is found again by name."""
import contextlib
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Callable, Mapping, Sequence

from vmbed.procs import tail, wait_until

# Every process of a cloud, and every process it starts in turn, carries this in its environment.
MARK = "VITALWIRE_CLOUD_DIR"

LOOPBACK = "127.0.0.1"
NICENESS = 5
# A cloud starts in a minute and a half alone on two cores; other work on them makes it much longer.
START_SECONDS = 300.0
STOP_SECONDS = 10.0


def port_is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def http_answers(url: str) -> bool:
    """True once the URL gives any answer but a server error (401 is an answer)."""
    try:
        urllib.request.urlopen(url, timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


class Service:
    """Runs at low priority in a process group of its own; its output goes to log/NAME.log."""

    niceness = NICENESS

    def __init__(
        self,
        home: Path,
        name: str,
        argv: Sequence[object],
        env: Mapping[str, str] | None = None,
        ready: Callable[[], object] | None = None,
    ) -> None:
        self.home = home
        self.name = name
        self.log = home / "log" / f"{name}.log"
        self._argv = [str(word) for word in argv]
        self._env = dict(env or {})
        self._ready = ready
        self._pid_file = home / "run" / f"{name}.pid"

    @property
    def pid(self) -> int | None:
        """The process id while the service runs, else None."""
        try:
            pid, started = self._pid_file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        with contextlib.suppress(ChildProcessError):
            os.waitpid(int(pid), os.WNOHANG)  # it may be ours, and have ended
        return int(pid) if _start_time(int(pid)) == started else None

    def start(self) -> "Service":
        """Does nothing if it runs already."""
        if self.pid:
            return self
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        redirections = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, self.log, append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        nice = _nice(self.niceness)
        pid = os.posix_spawn(
            nice[0],
            [*nice, *self._argv],
            _environment(self.home, self._env),
            file_actions=redirections,
            setsid=True,
        )
        self._pid_file.write_text(f"{pid} {_start_time(pid)}")
        return self

    def wait_ready(self) -> "Service":
        if self._ready:
            wait_until(self._ready_or_dead, f"{self.name} is ready (see {self.log})", START_SECONDS)
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Asks the group to end, and kills what has not after STOP_SECONDS."""
        pid = self.pid
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
            with contextlib.suppress(TimeoutError):
                wait_until(lambda: not self.pid, f"{self.name} ends", STOP_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            wait_until(lambda: not self.pid, f"{self.name} is killed", STOP_SECONDS)
        self._pid_file.unlink(missing_ok=True)

    def restart(self) -> None:
        self.stop()
        self.start().wait_ready()

    def _ready_or_dead(self) -> object:
        if not self.pid:
            raise RuntimeError(f"{self.name} ended while starting:\n{tail(self.log)}")
        return self._ready()


def run(
    home: Path, argv: Sequence[object], check: bool = True, env: Mapping[str, str] | None = None
) -> bool:
    """Runs a command to its end, its output in log/setup.log; with `check` a failure raises it."""
    words = [str(word) for word in argv]
    done = subprocess.run(
        [*_nice(NICENESS), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=_environment(home, env or {}),
    )
    with open(home / "log" / "setup.log", "a") as log:
        log.write(f"$ {' '.join(words)}\n{done.stdout}\n")
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)}: status {done.returncode}\n{done.stdout[-3000:]}")
    return done.returncode == 0


def once(home: Path, name: str, step: Callable[[], object]) -> None:
    """A step of the first start; a mark remembers it for the next."""
    mark = home / "run" / f"{name}.done"
    if not mark.exists():
        step()
        mark.touch()


def _nice(niceness: int) -> list[str]:
    return ["/usr/bin/nice", "-n", str(niceness)]


def _environment(home: Path, env: Mapping[str, str]) -> dict[str, str]:
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", MARK: str(home), **env}


def _start_time(pid: int) -> str | None:
    """With the process id it names one process, also when its id is used again; None if it ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _is_marked(pid: int, home: Path) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={home}".encode() in environment.split(b"\0")


def kill_marked(home: Path) -> None:
    """Kills what detached itself from the service that started it; returns when nothing is left."""
    wait_until(lambda: not _kill_once(home), "every process of the cloud is gone", STOP_SECONDS)


def _kill_once(home: Path) -> list[int]:
    processes = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    marked = [pid for pid in processes if pid != os.getpid() and _is_marked(pid, home)]
    for pid in marked:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return marked
