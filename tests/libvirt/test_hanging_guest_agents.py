#!/usr/bin/python3
"""Two hundred machines of one libvirt host whose guest agents hang, beside others that live. Real libvirtd and QEMU; needs
root, 12 GB of free memory for all of them (they take half), and makes fewer where there is less."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import sys
import time
from typing import Callable
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from bare_machine import compiled, domain_xml
from guest_agent import CHANNEL, program
from libvirt_guests import SOURCE, GuestAgentTestCase
from raw_guest import RawGuest, heartbeat
from suite import Agent
from vmbed.guest import BOOT_SECONDS
from vmbed.libvirtbed import Host
from vmbed.procs import http_json, wait_until

WANTED, EACH_MIB = 200, 30
CALLS = 8  # the agent's default, of the 20 that libvirtd serves at a time
OTHER_THREADS = 4 + 4  # of the agent: its own, and those that follow libvirt
CALL_SECONDS = 5
INTERVAL, DETECT_MULTIPLIER = 2, 2  # of questions to one guest agent


def how_many() -> int:
    """As many as half of the memory holds that is not in use."""
    available = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
    return min(WANTED, int(available.split()[1]) // 1024 // 2 // EACH_MIB)


class HangingMachines:
    """Each answers the first question to its guest agent, and nothing more (hanging_guest.c)."""

    def __init__(self, host: Host, count: int) -> None:
        kernel = compiled(ROOT / "tests" / "libvirt" / "hanging_guest.c", host)
        channel = f"<channel type='unix'><target type='virtio' name='{CHANNEL}'/></channel>"
        self.guests = {f"hung-{number}": f"00000000-0000-4000-8000-{number:012}" for number in range(count)}
        machines = [domain_xml(name, identity, kernel, channel) for name, identity in self.guests.items()]
        with ThreadPoolExecutor(4) as starters:
            list(starters.map(host.create, machines))


@unittest.skipUnless(program(), "needs the package qemu-guest-agent")
class HangingGuestAgents(GuestAgentTestCase):
    """Beside them: a guest with a heartbeat of its own, and one whose guest agent answers."""

    def setUp(self) -> None:
        super().setUp()
        self.machines = HangingMachines(self.host, how_many())
        print(f"{len(self.machines.guests)} machines whose guest agents hang", file=sys.stderr)
        self.start_domain()
        folder = self.dir / self.host.name
        self.agent = Agent(
            folder,
            self.host.name,
            self.controller,
            {**SOURCE, "source__directory__path": folder / "channels"},
            self.host.command,
            heartbeat__guest_agent="all",
            heartbeat__guest_agent_interval=f"{INTERVAL} s",
            heartbeat__guest_agent_detect_multiplier=str(DETECT_MULTIPLIER),
        )
        self.addCleanup(self.agent.close)
        self.native = RawGuest(self.agent.channels, "native")
        self.addCleanup(self.native.close)
        self.native.say(heartbeat("init", invocation_id=7, revision=1, name="native", detection_time_ms=900))
        self.native.wait("init_ack")
        self.agent.wait_state(self.guest_id, "registered", BOOT_SECONDS)

    def hung(self, what: str) -> int:
        """How many of them have at least one of these."""
        known = http_json(self.agent.http, "/v1/guests")["guests"]
        return sum(1 for entry in known if entry["guest"] in self.machines.guests.values() and entry.get(what, 0))

    def answers(self) -> int:
        return self.agent.guest(self.guest_id)["responses"]

    def look_around(self) -> None:
        """At others, while these hang."""
        threads = len(list(Path("/proc", str(self.agent.daemon.pid), "task").iterdir()))
        self.most_threads = max(self.most_threads, threads)
        begun = time.monotonic()
        self.assertIn("running", self.domain.state)
        self.assertLess(time.monotonic() - begun, CALL_SECONDS, "libvirt serves others")
        self.assertEqual(self.agent.guest("native")["misses"], 0)

    def look_around_until(self, condition: Callable[[], bool], what: str, deadline: float) -> None:
        def found() -> bool:
            self.look_around()
            return condition()

        wait_until(found, what, deadline, pause=0.5)

    def test_keep_a_bounded_number_of_threads_and_delay_neither_beats_nor_faults_of_others(self) -> None:
        self.most_threads = 0
        count = len(self.machines.guests)
        round_seconds = count * CALL_SECONDS / CALLS
        wait_until(lambda: self.hung("responses") == count, "each has answered once", BOOT_SECONDS)
        self.look_around_until(lambda: self.hung("misses") == count, "each was silent once", 3 * round_seconds + 60)
        self.assertGreaterEqual(self.most_threads, CALLS, "as many calls are under way as may be")

        begun, answers, challenges = time.monotonic(), self.answers(), self.native.challenges
        self.look_around_until(lambda: self.answers() >= answers + 10, "the one that answers is asked", 60)
        passed = time.monotonic() - begun
        self.assertLess(passed, 2 * 10 * INTERVAL, "as often as if it were alone")
        self.assertGreater(self.native.challenges - challenges, 0.9 * passed / 0.3 - 1)

        self.look_around_until(lambda: len(self.guest_events()) == count, "all are lost", 6 * round_seconds + 60)
        self.signal("STOP")
        begun = time.monotonic()
        self.assertEqual(self.wait_down("heartbeat_lost")["detail"], "guest_agent")
        least = DETECT_MULTIPLIER * CALL_SECONDS
        self.assertLess(time.monotonic() - begun, least + (DETECT_MULTIPLIER + 1) * INTERVAL + 2 * CALL_SECONDS)
        self.signal("CONT")
        self.wait_up("heartbeat_lost")
        self.look_around()
        self.assertLessEqual(self.most_threads, CALLS + OTHER_THREADS)


if __name__ == "__main__":
    unittest.main()
