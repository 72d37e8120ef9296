#!/usr/bin/python3
"""The comparison with what Debian has: it runs to its end, and the ratios are what the documentation claims."""

import json
import os
from pathlib import Path
import subprocess
import tempfile
import unittest

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parents[1]
MESSAGE = "message of 200 bytes to a peer, median of the best round"
FREEZE = "a member that freezes is known after, median"
ALIVE = "is it alive? asked and answered, one emulated machine, median"


class Compare(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        environment = {"VITALWIRE_BUILD": str(ROOT / "build" / "release"), **os.environ}
        with tempfile.TemporaryDirectory(prefix="vw-compare-") as folder:
            file = Path(folder) / "figures"
            cls.ran = subprocess.run([BENCH / "run", "compare", "--smoke", "--json", file], env=environment,
                                     capture_output=True, text=True, check=False)
            cls.figures = json.loads(file.read_text()) if file.exists() else {}

    def test_every_figure_is_there(self) -> None:
        self.assertEqual(self.ran.returncode, 0, self.ran.stdout + self.ran.stderr)
        self.assertEqual(set(self.figures[MESSAGE]), {"Vitalwire", "RabbitMQ", "corosync cpg"})
        self.assertEqual(set(self.figures[FREEZE]), {"Vitalwire", "RabbitMQ", "corosync cpg", "qemu-ga, libvirt"})
        self.assertEqual(set(self.figures[ALIVE]), {"Vitalwire", "qemu-ga, libvirt"})

    def test_a_message_costs_what_two_programs_more_on_its_way_cost(self) -> None:
        """RabbitMQ's members have a network of their own to it; ours pass an agent, a controller and an agent."""
        own = self.figures[MESSAGE]["Vitalwire"]
        self.assertLess(own, 8 * self.figures[MESSAGE]["RabbitMQ"])
        self.assertLess(own, 8 * self.figures[MESSAGE]["corosync cpg"])

    def test_a_freeze_is_known_in_less_time_than_by_what_there_is(self) -> None:
        own = self.figures[FREEZE]["Vitalwire"]
        self.assertLess(own, 0.9 * self.figures[FREEZE]["RabbitMQ"])
        self.assertLess(own, self.figures[FREEZE]["qemu-ga, libvirt"])
        self.assertEqual(self.figures[FREEZE]["corosync cpg"], "not noticed")

    def test_asking_costs_no_more_than_a_ping_through_libvirt(self) -> None:
        self.assertLess(self.figures[ALIVE]["Vitalwire"], 2 * self.figures[ALIVE]["qemu-ga, libvirt"])


if __name__ == "__main__":
    unittest.main()
