"""A network function of the tests: guests with vitalwired that write to their console what their group tells them."""
import contextlib
import re
import signal
from pathlib import Path
from typing import Iterator

from suite import BUILD
from vmbed.initramfs import Payload, Service

from .cloud import Cloud
from .compute import ComputeNode

# The host's agent judges emulated guests on a machine that does much else.
INTERVAL_SECONDS = 2.0
# As they follow from the interval: an answer may take two of them.
DEADLINE_SECONDS = 2 * INTERVAL_SECONDS
DETECTION_SECONDS = INTERVAL_SECONDS + DEADLINE_SECONDS
CONSOLES = "/var/lib/libvirt/instances/{server}/console.log"

# "HEARD broadcast SENDER TEXT", "HEARD notification PEER STATE ..."; obeys the operator's "say TEXT" and "hang".
_PEERS = """#!/bin/sh
tab=$(printf '\\t')
while true; do
    vitalwire-group listen | while IFS=$tab read -r kind who what; do
        echo "HEARD $kind $who $what" > /dev/console
        case "$who $what" in
        "operator say "*) vitalwire-group send -t 30 "${what#say }" ;;
        "operator hang") killall -STOP vitalwired ;;
        "operator vote "*) echo "${what#vote }" > /run/vote ;;
        "operator status") vitalwire-group status | sed 's/^/STATUS /' > /dev/console ;;
        esac
    done
    sleep 1
done
"""


def payload(heartbeat: str = f"interval = {INTERVAL_SECONDS:g} s") -> Payload:
    """`heartbeat`: that section of its configuration; empty: everything by default."""
    programs = {
        "/usr/sbin/vitalwired": "vitalwired",
        "/usr/bin/vitalwire-group": "vitalwire-group",
        "/lib/libvitalwire.so.1": "lib/libvitalwire.so.1",
    }
    return Payload(
        files={
            **{path: BUILD / "guest" / name for path, name in programs.items()},
            "/etc/vitalwire/vitalwired.conf": f"[heartbeat]\n{heartbeat}\n",
            "/usr/bin/peers": _PEERS,
        },
        services=(
            Service("vitalwired", ("/usr/sbin/vitalwired",)),
            Service("peers", ("/usr/bin/peers",)),
        ),
    )


class Guest:
    """One of them: a server of the cloud, seen from its compute node."""

    def __init__(self, cloud: Cloud, server: str, node: ComputeNode | None = None) -> None:
        self.server = server
        self.node = node or cloud.node

    def heard(self, kind: str, who: str) -> list[str]:
        """What its console shows since the machine was last built; `who` says it, or it is about it."""
        return self._lines(f"HEARD {kind} {who} ")

    def lines(self, start: str) -> list[str]:
        """Of its console since the machine was last built, without the word that they begin with."""
        return self._lines(f"{start} ")

    def states(self) -> list[list[str]]:
        """What it was answered about its group: id, state, task, heartbeat, name."""
        return [line.split("\t") for line in self._lines("STATUS ")]

    def _lines(self, start: str) -> list[str]:
        console = self.node.path(CONSOLES.format(server=self.server))
        text = console.read_text(errors="replace") if console.exists() else ""
        return re.findall(rf"^{re.escape(start)}(.*?)\r?$", text, re.MULTILINE)

    def freeze(self) -> None:
        """Its machine stands still, as when the host's kernel or storage lets it hang: libvirt sees it running."""
        self._signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        self.freeze()
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Its QEMU ends at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        name = self.node.output(["virsh", "domname", self.server]).strip()
        pid = Path(self.node.path(f"/run/libvirt/qemu/{name}.pid")).read_text()
        self.node.run(["kill", f"-{number.name.removeprefix('SIG')}", pid.strip()])
