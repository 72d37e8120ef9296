"""The daemons as they are configured here, what they answer, and what a check finds."""

from dataclasses import dataclass
import http.client
import json
from pathlib import Path
import re
import socket
import ssl
import subprocess
from typing import Any, Iterator

PATIENCE_SECONDS = 5
LARGEST_ANSWER = 64 << 20
GOOD, WARNING, BAD = "ok", "warning", "failed"
SOURCES = Path(__file__).resolve().parents[2] / "docs" / "runbook"
RUNBOOK = SOURCES if SOURCES.is_dir() else Path("/usr/share/doc/vitalwire/runbook")


@dataclass(frozen=True)
class Finding:
    daemon: str
    check: str
    result: str
    detail: str
    remedy: str = ""


Findings = Iterator[Finding]


@dataclass(frozen=True)
class Daemon:
    """One of the two daemons of a host, as it is configured here."""

    name: str
    config: Path
    program: str
    default_http: str
    default_state: str

    def read(self) -> list[tuple[str, str, str]]:
        """Section, key, value of each line."""
        section, out = "", []
        for line in self.config.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            line = re.sub(r"\s#.*$", "", line).strip()
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1].strip()
            elif "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                out.append((section, key.strip(), value.strip()))
        return out

    def values(self, section: str, key: str) -> list[str]:
        return [word for s, k, value in self.read() if (s, k) == (section, key) for word in value.split()]

    def value(self, section: str, key: str, default: str = "") -> str:
        return next(iter(self.values(section, key)), default)

    def http_listens(self) -> list[str]:
        return self.values("http" if self.name == "controller" else "agent", "listen") or self.default_http.split()

    def over_broker(self) -> bool:
        return any(url.startswith("amqp") for url in self.values("bus", "controller" if self.name == "agent" else "listen"))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "").strip()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(self._path)


class Rejected(Exception):
    """It answers, and does not do what it is asked for."""


NO_ANSWER = (OSError, ValueError, KeyError, http.client.HTTPException, Rejected)


def request(address: str, page: str, method: str = "GET", body: str = "") -> http.client.HTTPResponse:
    host, _, port = address.removeprefix("https:").rpartition(":")
    host = host.strip("[]").replace("0.0.0.0", "127.0.0.1")
    if address.startswith("unix:"):
        connection: http.client.HTTPConnection = UnixConnection(address.removeprefix("unix:"))
    elif address.startswith("https:"):
        # This machine's own daemon; what its certificate says is examined by itself.
        connection = http.client.HTTPSConnection(host, int(port), timeout=PATIENCE_SECONDS,
                                                 context=ssl._create_unverified_context())
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_SECONDS)
    connection.request(method, page, body or None)
    return connection.getresponse()


def ask(daemon: Daemon, page: str, method: str = "GET", body: str = "", accepted: tuple[int, ...] = (200, 201)) -> str:
    response = request(http_address(daemon), page, method, body)
    text = response.read(LARGEST_ANSWER).decode(errors="replace")
    if response.status not in accepted:
        raise Rejected(f"answers {response.status} {first_line(text)}")
    return text


def get(daemon: Daemon, page: str, accepted: tuple[int, ...] = (200,)) -> Any:
    return json.loads(ask(daemon, page, accepted=accepted))


def http_address(daemon: Daemon) -> str:
    """A UNIX socket when there is one: it needs no token."""
    addresses = daemon.http_listens()
    chosen = next((address for address in addresses if address.startswith("unix:")), addresses[0])
    section = "http" if daemon.name == "controller" else "agent"
    tls = not chosen.startswith("unix:") and daemon.value(section, "certificate", "")
    return f"https:{chosen}" if tls else chosen
