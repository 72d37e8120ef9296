"""An agent with honest guests, its controller with all its ports, and what is measured of them while others attack."""

from dataclasses import dataclass
from pathlib import Path
import subprocess
import sys
import time

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from suite import BUILD, Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import free_port, http_metrics, http_request, wait_until

HONEST = "guest-"  # what the names of bench_guests begin with


class HonestGuests:
    """Guests in one process: tests/bench/guests.cpp."""

    def __init__(self, channels: Path, count: int, interval_ms: int) -> None:
        argv = ["setpriv", "--pdeathsig", "KILL", BUILD / "tests" / "bench" / "bench_guests", channels, str(count), str(interval_ms)]
        self._popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._line()

    def close(self) -> None:
        self._popen.kill()
        self._popen.communicate()

    def beats(self) -> int:
        self._popen.stdin.write("count\n")
        return int(self._line()[1])

    def silence(self, number: int) -> tuple[str, float]:
        """The name of that guest, and when (CLOCK_MONOTONIC) the first challenge was left without an answer."""
        self._popen.stdin.write(f"silence {number}\n")
        _, name, nanoseconds = self._line()
        return name, int(nanoseconds) / 1e9

    def _line(self) -> list[str]:
        words = self._popen.stdout.readline().split()
        if not words:
            raise RuntimeError(f"bench_guests ended with status {self._popen.wait()}")
        return words


@dataclass(frozen=True)
class Usage:
    """Of a process, now."""

    memory: float  # MiB
    descriptors: int
    written: float  # MiB on its disk since its start
    log_lines: int

    @staticmethod
    def of(one: Agent | Controller) -> "Usage":
        process = Path("/proc", str(one.daemon.pid))
        pages = int((process / "statm").read_text().split()[1])
        io = dict(line.split(": ") for line in (process / "io").read_text().splitlines())
        lines = one.daemon.log.read_bytes().count(b"\n")
        return Usage(pages / 256, len(list((process / "fd").iterdir())), int(io["write_bytes"]) / (1 << 20), lines)


class Bed:
    def __init__(self, folder: Path, guests: int, interval_ms: int) -> None:
        self.interval = interval_ms / 1000
        self.inspector = Inspector()
        self.ports = {name: free_port() for name in ("bus", "http", "tacker")}
        self.controller = Controller(
            folder / "controller",
            self.inspector,
            bus={"bus__listen": f"tcp://127.0.0.1:{self.ports['bus']} unix://{folder}/bus.sock"},
            http__listen=f"127.0.0.1:{self.ports['http']}",
            sink__vnfm__type="tacker",
            sink__vnfm__listen=f"127.0.0.1:{self.ports['tacker']}",
            sink__vnfm__allow="127.0.0.1",
        )
        self.agent = Agent(folder / "agent", "compute-1", self.controller, bus={"bus__controller": f"unix://{folder}/bus.sock"})
        self.guests = HonestGuests(self.agent.channels, guests, interval_ms)
        self.next_to_silence = guests
        self._silenced: set[str] = set()
        wait_until(lambda: self.guests.beats() >= 3 * guests, "all guests answer")

    def close(self) -> None:
        self.guests.close()
        self.agent.close()
        self.controller.close()
        self.inspector.down()

    def usage(self) -> list[Usage]:
        return [Usage.of(self.agent), Usage.of(self.controller)]

    def latency(self) -> float:
        """Seconds from the challenge that a guest leaves without an answer until the inspector is notified."""
        self.next_to_silence -= 1
        name, asked = self.guests.silence(self.next_to_silence)
        self._silenced.add(name)

        def notified() -> float:
            requests = self.inspector.requests
            return next((request.time for request in requests if request.accepted and name.encode() in request.body), 0.0)

        return wait_until(notified, f"the inspector is notified of {name}", pause=0.005) - asked

    def false_faults(self) -> list[str]:
        """Honest guests that the inspector was notified of though they answered."""
        named = {event["details"].get("instance_id", "") for event in self.inspector.events()}
        return sorted(name for name in named if name.startswith(HONEST) and name not in self._silenced)

    def answers_in(self) -> float:
        """Seconds that /healthz of the controller takes from an address that does not attack."""
        begin = time.monotonic()
        http_request(f"127.0.0.1:{self.ports['http']}", "/healthz", timeout=10)
        return time.monotonic() - begin

    def longest_turns(self) -> list[float]:
        """Seconds of the longest turn of each loop, agent and controller, in the last one to two minutes."""
        agent = self.agent.metric("vitalwire_agent_loop_longest_turn_seconds")
        return [agent, http_metrics(f"127.0.0.1:{self.ports['http']}")["vitalwire_controller_loop_longest_turn_seconds"]]

    def require_running(self) -> None:
        self.agent.daemon.require_running()
        self.controller.daemon.require_running()
