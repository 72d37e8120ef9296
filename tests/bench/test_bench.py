#!/usr/bin/python3
"""The benchmarks run to their end and print a plausible figure for every claim. How large it is is no test's business."""

import os
from pathlib import Path
import re
import subprocess
import unittest

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parents[1]
CLAIMS = [
    "vitalwired: private memory",
    "agent: memory with 20 guests (RSS)",
    "agent: CPU of a challenge and its answer",
    "agent: share of a core with 20 guests",
    "silent guest to inspector, p99 of 5",
    "stopped guest to inspector, p50 of 5",
    "stopped guest to inspector, p99.9 of 5",
    "guests that stop for 550 ms: missed",
    "real guest, daemon stopped: max of 1",
    "real guest, QEMU frozen: max of 1",
    "real guest, kernel hangs: max of 1",
    "silent host to inspector, p50 of 2",
    "silent host to inspector, p99 of 2",
    "machine's event to inspector, p99 of 8",
    "50 guests: missed or late answers",
    "50 guests: CPU of a challenge and its answer",
    "50 guests: CPU of the agent's core",
    "forwarding 200 B, 10 guests, one core",
    "guest to guest by the controller, median",
    "beside a guest that floods with 200 B, p99",
    "beside a guest that floods with 3050 B, p99",
    "rare broadcast to a group of 10 on one host, p50",
    "AMQP: silent guest to inspector, median",
    "AMQP: guest to guest by the controller, median",
    "TCP: longest silence, lead killed 1 times",
    "TCP: longest silence, lead hangs 1 times",
    "AMQP: longest silence, lead killed 1 times",
    "AMQP: longest silence, lead hangs 1 times",
    "20 agents: all back and known",
    "20 agents: slowest answer",
    "20 agents: controller's RSS",
    "20 agents in groups: all back and known",
    "20 agents in groups: all peers told",
    "20 agents in groups: slowest answer",
    "20 agents in groups: controller's RSS",
    "10 agents, AMQP: all back and known",
    "10 agents, AMQP: slowest answer",
    "10 agents, AMQP: controller's RSS",
    "inventory of 1200 servers: start-up",
    "inventory of 1200 servers: RSS",
    "inventory: longest absence of the loop",
]
PURE = ["frame_lines", "read_json", "decode_response", "encode_challenge", "session_turn", "beat"]


class Bench(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        environment = {"VITALWIRE_BUILD": str(ROOT / "build" / "release"), **os.environ}
        cls.ran = subprocess.run([BENCH / "run", "--smoke"], env=environment, capture_output=True, text=True, check=False)

    def test_they_run_to_their_end(self) -> None:
        self.assertEqual(self.ran.returncode, 0, self.ran.stdout + self.ran.stderr)

    def test_every_claim_has_a_figure(self) -> None:
        for claim in CLAIMS:
            found = re.search(rf"^{re.escape(claim)} +(\d+\.\d+) ", self.ran.stdout, re.MULTILINE)
            self.assertIsNotNone(found, f"no figure of {claim!r} in:\n{self.ran.stdout}")
            if "missed" not in claim:
                self.assertGreater(float(found.group(1)), 0, claim)

    def test_every_pure_part_has_a_ratio(self) -> None:
        for part in PURE:
            found = re.search(rf"^{part} +\d+ +\w+ +\d+ +(\d+\.\d+)$", self.ran.stdout, re.MULTILINE)
            self.assertIsNotNone(found, f"no ratio of {part} in:\n{self.ran.stdout}")
            self.assertGreater(float(found.group(1)), 0, part)


if __name__ == "__main__":
    unittest.main()
