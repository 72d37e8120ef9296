#!/usr/bin/python3
"""Vitalwire beside what a user would otherwise use and Debian has: RabbitMQ alone, corosync's process groups on loopback,
the QEMU guest agent's ping through libvirt. Prints a table; `-` where a program is not installed, or has no such thing.

Nothing fails because a machine is slow. Needs root: corosync and libvirt run in namespaces of their own.
"""

import argparse
import contextlib
from dataclasses import dataclass
import json
import os
from pathlib import Path
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lib"), str(Path(__file__).resolve().parent)]

from guest_agent import CHANNEL, program
from message_broker import INSTALLED, PASSWORD, Broker
from suite import vitalwired_payload
from vmbed import initramfs, kernel
from vmbed.guest import Machine, Model
from vmbed.initramfs import Payload, Service
from vmbed.libvirtbed import Domain, Host
from vmbed.procs import temporary_dir, wait_until
import detection
import group
from whole import BENCH, Size as GuestSize

MEMBER = Path(__file__).with_name("corosync_member.py")
VITALWIRE, RABBITMQ, COROSYNC, GUEST_AGENT = "Vitalwire", "RabbitMQ", "corosync cpg", "qemu-ga, libvirt"
COLUMNS = (VITALWIRE, RABBITMQ, COROSYNC, GUEST_AGENT)
NEVER = "not noticed"


@dataclass(frozen=True)
class Size:
    messages: int = 1000
    rounds: int = 5  # of messages; the best counts, because what else runs makes each of them larger
    guests: int = 200
    frozen: int = 60  # guests
    freezes: int = 5  # of each of the others
    pings: int = 300
    patience: float = 20.0  # what has not been noticed by then is not noticed


SMOKE = Size(messages=50, rounds=4, guests=10, frozen=3, freezes=1, pings=10, patience=3.0)

Row = dict[str, float | str]


@dataclass(frozen=True)
class Figure:
    name: str
    unit: str
    values: Row

    def cells(self) -> list[str]:
        shown = []
        for column in COLUMNS:
            value = self.values.get(column, "-")
            own = self.values.get(VITALWIRE)
            number = isinstance(value, float)
            ratio = f" ({value / own:.2f})" if number and isinstance(own, float) and column != VITALWIRE else ""
            shown.append(f"{value:.2f} {self.unit}{ratio}" if number else str(value))
        return [self.name, *shown]


def best(measure: Callable[[], list[int]], size: Size) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    median, p99 = min(measure() for _ in range(size.rounds))
    return median / 1e6, p99 / 1e6


def figures_of(command: list[str | Path]) -> list[int]:
    return [int(word) for word in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


# ---- Vitalwire

def own_messages(folder: Path, size: Size) -> tuple[float, float]:
    with group.Bed(folder, 10, 2, 2) as bed:
        return best(lambda: bed.ask(f"latency {size.messages}"), size)


def own_detection(folder: Path, size: Size) -> list[float]:
    folder.mkdir()
    return detection.measure(folder, GuestSize(guests=size.guests, silenced=size.frozen))


# ---- RabbitMQ alone

# A member of a group as RabbitMQ has it: it holds a queue of its own, and its connection has the shortest heartbeat
# that the broker takes, one second.
CLIENT = """
import amqp, time
connection = amqp.Connection("127.0.0.1:{port}", "{user}", "{password}", heartbeat=1)
connection.connect()
connection.channel().queue_declare("vitalwire.controller.member", exclusive=True)
print("joined", flush=True)
while True:
    connection.heartbeat_tick()
    time.sleep(0.2)
"""


def broker_messages(broker: Broker, size: Size) -> tuple[float, float]:
    command = [BENCH / "bench_rabbitmq", str(broker.port), "bench", PASSWORD, str(size.messages)]
    return best(lambda: figures_of(command), size)


def broker_detection(broker: Broker, size: Size) -> float | str:
    import amqp  # the package python3-amqp

    def once() -> float:
        code = CLIENT.format(port=broker.port, user="bench", password=PASSWORD)
        member = subprocess.Popen(["/usr/bin/python3", "-c", code], stdout=subprocess.PIPE, text=True)
        try:
            assert member.stdout is not None
            member.stdout.readline()
            observer = amqp.Connection(f"127.0.0.1:{broker.port}", "bench", PASSWORD, heartbeat=0)
            observer.connect()
            time.sleep(1.5)  # heartbeats flow
            frozen = time.monotonic()
            member.send_signal(signal.SIGSTOP)
            with contextlib.suppress(amqp.NotFound):
                while True:
                    exclusive_queue_is_there(observer)
                    time.sleep(0.01)
            observer.close()
            return (time.monotonic() - frozen) * 1000
        finally:
            member.kill()
            member.wait()

    return median_of(once, size.freezes)


def exclusive_queue_is_there(observer: object) -> None:
    """Throws NotFound when it is gone with its owner."""
    import amqp

    with contextlib.suppress(amqp.ResourceLocked):
        observer.channel().queue_declare("vitalwire.controller.member", passive=True)


# ---- corosync

COROSYNC_CONF = """
totem {
    version: 2
    cluster_name: bench
    transport: udpu
}
system {
    sched_rr: no
}
logging {
    to_stderr: yes
    to_syslog: no
}
nodelist {
    node {
        ring0_addr: 127.0.0.1
        name: bench
        nodeid: 1
    }
}
"""
# $1: the configuration; then the command. The sockets of corosync are the network namespace's.
IN_A_NAMESPACE = """
set -e
ip link set lo up
mount -t tmpfs none /var/lib/corosync
mount -t tmpfs none /dev/shm
corosync -f -c "$1" >"$1.log" 2>&1 &
shift
exec "$@"
"""


def with_corosync(folder: Path, *command: str | Path) -> list[str | Path]:
    conf = folder / "corosync.conf"
    conf.write_text(COROSYNC_CONF)
    return ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", IN_A_NAMESPACE,
            "corosync", conf, *command]


def corosync_messages(folder: Path, size: Size) -> tuple[float, float]:
    command = with_corosync(folder, "/usr/bin/python3", MEMBER, "latency", str(size.messages))
    return best(lambda: figures_of(command), size)


def corosync_detection(folder: Path, size: Size) -> float | str:
    """From a member's stop until another has its leave; corosync's ring knows nothing of it."""
    script = """
/usr/bin/python3 "$0" member >"$1/pid" &
while ! [ -s "$1/pid" ]; do sleep 0.05; done
/usr/bin/python3 "$0" watch "$(cat "$1/pid")" >"$1/watch" &
while ! grep -q watching "$1/watch" 2>/dev/null; do sleep 0.05; done
kill -STOP "$(cat "$1/pid")"
begin=$(date +%s%N)
until grep -q left "$1/watch"; do
    now=$(date +%s%N)
    if [ $(((now - begin) / 1000000)) -gt "$2" ]; then echo never; exit; fi
    sleep 0.01
done
echo $((($(date +%s%N) - begin) / 1000000))
"""
    command = with_corosync(folder, "bash", "-c", script, MEMBER, folder, str(int(size.patience * 1000)))
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
    return NEVER if said == "never" else float(said)


# ---- the QEMU guest agent, and vitalwired in the same machine

def both() -> Payload:
    payload = vitalwired_payload("bench")
    argv = ("/usr/sbin/qemu-ga", "-m", "virtio-serial", "-p", f"/dev/virtio-ports/{CHANNEL}", "-t", "/run")
    files = {**payload.files, argv[0]: Path(program() or ""), "/etc/vitalwire/vitalwired.conf": ""}
    return Payload(files, (*payload.services, Service("qemu-ga", argv)), payload.init_lines)


@contextlib.contextmanager
def domain_with_both(folder: Path) -> Iterator[Domain]:
    with Host(folder) as host:
        found = kernel.obtain()
        model = Model(found, initramfs.build(both(), found), Machine(channels=("org.vitalwire.0", CHANNEL)))
        domain = Domain(host, "bench", model)
        domain.create().wait_ready()
        try:
            yield domain
        finally:
            domain.forget_control()


class Virsh:
    """One virsh that is asked again and again: its start is not measured."""

    PING = """qemu-agent-command bench '{"execute":"guest-ping"}' --timeout 1\n"""

    def __init__(self, host: Host) -> None:
        argv = host.command(["virsh", "--connect", "qemu:///system"])
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def ping(self) -> bool:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(self.PING)
        self._process.stdin.flush()
        for line in self._process.stdout:
            if '"return"' in line:
                return True
            if line.startswith("error:") or "error:" in line:
                return False
        raise RuntimeError("virsh has ended")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def agent_pings(virsh: Virsh, size: Size) -> list[float]:
    taken = []
    for _ in range(size.pings):
        began = time.perf_counter()
        if not virsh.ping():
            raise RuntimeError("the guest agent does not answer")
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)


def agent_detection(domain: Domain, virsh: Virsh, size: Size) -> float:
    """Somebody asks every second, and waits a second for the answer."""
    def once() -> float:
        wait_until(virsh.ping, "the guest agent answers")
        time.sleep(0.5)
        frozen = time.monotonic()
        domain.ctl("service signal qemu-ga STOP")
        while True:
            asked = time.monotonic()
            if not virsh.ping():
                taken = (time.monotonic() - frozen) * 1000
                break
            time.sleep(max(0.0, asked + 1 - time.monotonic()))
        domain.ctl("service signal qemu-ga CONT")
        return taken

    return median_of(once, size.freezes)


# ---- the table

def median_of(measure: Callable[[], float], times: int) -> float:
    taken = sorted(measure() for _ in range(times))
    return taken[len(taken) // 2]


def measure(folder: Path, size: Size) -> list[Figure]:
    median, p99, detected, asked = Row(), Row(), Row(), Row()
    median[VITALWIRE], p99[VITALWIRE] = own_messages(folder / "messages", size)
    frozen = own_detection(folder / "detection", size)
    detected[VITALWIRE] = detection.quantile(frozen, 0.5)
    if INSTALLED:
        with Broker(folder / "broker", {"bench": (".*", ".*", ".*")}) as broker:
            median[RABBITMQ], p99[RABBITMQ] = broker_messages(broker, size)
            detected[RABBITMQ] = broker_detection(broker, size)
    if shutil.which("corosync"):
        (folder / "corosync").mkdir()
        median[COROSYNC], p99[COROSYNC] = corosync_messages(folder / "corosync", size)
        detected[COROSYNC] = corosync_detection(folder / "corosync", size)
    if program() and shutil.which("libvirtd"):
        with domain_with_both(folder / "libvirt") as domain, own_agent(folder, domain) as round_trips:
            asked[VITALWIRE] = round_trips(size.pings)
            virsh = Virsh(domain.host)
            pings = agent_pings(virsh, size)
            asked[GUEST_AGENT] = pings[len(pings) // 2]
            detected[GUEST_AGENT] = agent_detection(domain, virsh, size)
            virsh.close()
    return [Figure("message of 200 bytes to a peer, median of the best round", "ms", median),
            Figure("the same, 99th percentile", "ms", p99),
            Figure("a member that freezes is known after, median", "ms", detected),
            Figure("is it alive? asked and answered, one emulated machine, median", "ms", asked)]


@contextlib.contextmanager
def own_agent(folder: Path, domain: Domain) -> Iterator[Callable[[int], float]]:
    """Watches the machine with vitalwired; what is yielded takes the median of so many round trips."""
    from libvirt_guests import SOURCE
    from suite import Agent, Controller
    from whole import Address

    controller = Controller(folder / "controller", Address("127.0.0.1:1"))
    agent = Agent(folder / "agent", domain.host.name, controller, SOURCE, domain.host.command)
    agent.wait_state(domain.uuid, "registered", 120)

    def round_trips(count: int) -> float:
        taken: list[float] = []
        answered = -1
        while len(taken) < min(count, 40):
            guest = agent.guest(domain.uuid)
            if guest["responses"] != answered:
                answered = guest["responses"]
                taken.append(guest["last_round_trip_us"] / 1000)
            time.sleep(0.05)
        return sorted(taken)[len(taken) // 2]

    try:
        yield round_trips
    finally:
        agent.close()
        controller.close()


def table(figures: list[Figure]) -> str:
    rows = [["", *COLUMNS], *(figure.cells() for figure in figures)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def machine() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    load = "/".join(f"{each:.1f}" for each in os.getloadavg())
    return (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} x {found[1] if found else platform.machine()}, "
            f"Linux {platform.release()}, load {load}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small and short: shows that it runs, measures nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures, for programs")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("compare: needs root")
    where = machine()
    with temporary_dir() as folder:
        figures = measure(folder, SMOKE if options.smoke else Size())
    print("In brackets: the ratio to Vitalwire.\n")
    print(table(figures))
    print(f"\n{where}")
    if options.json:
        options.json.write_text(json.dumps({figure.name: figure.values for figure in figures}))


if __name__ == "__main__":
    main()
