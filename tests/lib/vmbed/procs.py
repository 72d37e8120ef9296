"""Processes for tests: temporary directories, daemons with readiness, waiting, HTTP.

Everything started here dies with the test process, even if that is killed.
"""

import contextlib
import http.client
import json
import os
from pathlib import Path
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Iterator, Mapping, Sequence, TypeVar
import unittest

T = TypeVar("T")

# Emulated guests on a loaded machine are slow; a test that waits this long has failed.
PATIENCE_SECONDS = 60.0
MOST_PAUSE_SECONDS = 1.0
REPORTED_LOG_LINES = 80


def wait_until(
    condition: Callable[[], T], what: str, deadline: float = PATIENCE_SECONDS, pause: float = 0.02
) -> T:
    """Polls until the condition holds and returns its value; TimeoutError names `what`.

    What is costly to ask (Nova's API) is asked less often, so that the asked gets on with its work.
    """
    end = time.monotonic() + deadline
    while True:
        asked = time.monotonic()
        value = condition()
        if value:
            return value
        answered = time.monotonic()
        if answered > end:
            raise TimeoutError(f"not within {deadline:g} s: {what} (last: {value!r})")
        time.sleep(max(pause, min(4 * (answered - asked), MOST_PAUSE_SECONDS)) if pause else 0)


def wait_equal(actual: Callable[[], T], expected: T, what: str) -> None:
    """As `wait_until`; TimeoutError says what it was instead."""
    found = actual()

    def is_equal() -> bool:
        nonlocal found
        found = actual()
        return found == expected

    try:
        wait_until(is_equal, what)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; it was {found!r}") from None


@contextlib.contextmanager
def temporary_dir() -> Iterator[Path]:
    """A short path (a UNIX socket's is limited to 107 bytes) that other users may enter."""
    path = Path(tempfile.mkdtemp(prefix="vw-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago; a daemon that offers port 0 is better."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tail(path: Path, lines: int = REPORTED_LOG_LINES) -> str:
    if not path.exists():
        return ""
    text = path.read_text(errors="backslashreplace")
    return "\n".join(text.splitlines()[-lines:])


class Process:
    """A program in a process group of its own, with its output in a log file."""

    def __init__(
        self, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        self.name = Path(argv[0]).name
        with open(log, "ab") as output:
            # setpriv becomes the program: same process id. The signal is bound to the thread that
            # starts the program: start none from a thread that ends before it.
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, deadline: float = PATIENCE_SECONDS) -> int:
        """The exit status, or minus the signal's number; TimeoutError if it still runs."""
        wait_until(lambda: not self.running, f"{self.name} ends", deadline)
        return self._popen.returncode

    def stop(self, deadline: float = PATIENCE_SECONDS) -> int:
        """Asks it to end (SIGTERM) and returns how it did."""
        self.signal(signal.SIGTERM)
        return self.wait(deadline)

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def require_running(self) -> None:
        if not self.running:
            raise RuntimeError(
                f"{self.name} ended with status {self._popen.returncode}:\n{tail(self.log)}"
            )


class Daemon(Process):
    """A process that tells the service manager (here: us) when it is ready, by sd_notify."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.notifications: list[str] = []
        address = log.with_suffix(".notify")
        address.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(address))
        super().__init__(argv, log, {**(env or {}), "NOTIFY_SOCKET": str(address)})

    def wait_ready(self, deadline: float = PATIENCE_SECONDS) -> "Daemon":
        return self.wait_notified("READY=1", deadline)

    def wait_notified(self, line: str, deadline: float = PATIENCE_SECONDS) -> "Daemon":
        """Waits until that line was notified; RuntimeError with the log if the daemon ended."""

        def notified() -> bool:
            self._receive(0.1)
            if line not in self.notifications:
                self.require_running()
            return line in self.notifications

        wait_until(notified, f"{self.name} notifies {line}", deadline, pause=0)
        return self

    def kill(self) -> None:
        super().kill()
        self._notify.close()

    def _receive(self, timeout: float) -> None:
        while select.select([self._notify], [], [], timeout)[0]:
            self.notifications += self._notify.recv(4096).decode().splitlines()
            timeout = 0


class ProcessTestCase(unittest.TestCase):
    """A test with directories of its own (self.dir; for the class, cls.class_dir).

    After a failure every *.log in them is printed: the last lines of each.
    """

    dir: Path
    class_dir: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.class_dir = cls.enterClassContext(temporary_dir())

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        result = result or self.defaultTestResult()
        bad_before = len(result.failures) + len(result.errors)
        with temporary_dir() as self.dir:
            super().run(result)
            if len(result.failures) + len(result.errors) > bad_before:
                self._print_logs()
        return result

    def start(self, process: Process) -> Any:
        """Has it killed at the end of the test."""
        self.addCleanup(process.kill)
        return process

    def _print_logs(self) -> None:
        for folder in (self.dir, self.class_dir):
            for log in sorted(folder.rglob("*.log")):
                print(f"--- {self.id()}: {log.name}\n{tail(log)}", file=sys.stderr)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def http_request(
    address: str | Path,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    timeout: float = 10.0,
) -> tuple[int, bytes]:
    """Status and body. The address is host:port, or the path of a UNIX socket."""
    if "/" in str(address):
        connection: http.client.HTTPConnection = _UnixConnection(str(address), timeout)
    else:
        connection = http.client.HTTPConnection(str(address), timeout=timeout)
    with contextlib.closing(connection):
        # A server that refuses a body may answer and close before all of it is sent.
        with contextlib.suppress(BrokenPipeError):
            connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()


def http_json(address: str | Path, path: str, timeout: float = 10.0) -> Any:
    """The parsed body of a GET that must answer 200."""
    status, body = http_request(address, path, timeout=timeout)
    if status != 200:
        raise RuntimeError(f"GET {path} at {address}: {status} {body[:200]!r}")
    return json.loads(body)


def http_metrics(address: str | Path) -> dict[str, float]:
    """The Prometheus metrics at /metrics: `name{labels}` to value."""
    status, body = http_request(address, "/metrics")
    if status != 200:
        raise RuntimeError(f"GET /metrics at {address}: {status}")
    samples = re.findall(r"^([^#\s][^\s{]*(?:\{.*\})?)\s+(\S+)", body.decode(), re.MULTILINE)
    return {name: float(value) for name, value in samples}
