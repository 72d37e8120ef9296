#!/usr/bin/python3
"""The systemd units: least rights, and started again for as long as it takes."""

from pathlib import Path
import re
import subprocess
import tempfile
import unittest

UNITS = Path(__file__).resolve().parents[2] / "systemd"
# What `systemd-analyze security` may say at most, from 0 (safe) to 10.
EXPOSURE = {"vitalwire-controller": 1.5, "vitalwire-agent": 2.0, "vitalwired": 4.0}


def unit(name: str) -> str:
    text = (UNITS / f"{name}.service.in").read_text()
    return re.sub(r"@SBINDIR@/\S+", "/bin/true", text).replace("@SYSCONFDIR@", "/etc")


class Units(unittest.TestCase):
    def test_every_unit_is_known_here(self) -> None:
        self.assertEqual({path.name.removesuffix(".service.in") for path in UNITS.glob("*.in")}, set(EXPOSURE))

    def test_exposure(self) -> None:
        for name, most in EXPOSURE.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{name}.service"
                path.write_text(unit(name))
                report = subprocess.run(
                    ["systemd-analyze", "security", "--offline=true", "--no-pager", path],
                    capture_output=True, text=True, check=True,
                ).stdout  # fmt: skip
                found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)
                self.assertIsNotNone(found, report)
                self.assertLessEqual(float(found[1]), most, report)

    def test_systemd_understands_every_line(self) -> None:
        for name in EXPOSURE:
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{name}.service"
                path.write_text(unit(name))
                said = subprocess.run(
                    ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True
                ).stderr
                self.assertEqual([line for line in said.splitlines() if str(path) in line], [])

    def test_nobody_gives_up(self) -> None:
        for name in EXPOSURE:
            with self.subTest(name):
                text = unit(name)
                self.assertIn("StartLimitIntervalSec=0", text)
                self.assertIn("Restart=always", text)

    def test_users_of_units_are_made(self) -> None:
        for name in ("agent", "controller"):
            user = f"vitalwire-{name}"
            self.assertIn(f"User={user}\n", unit(user))
            self.assertIn(f"u {user} ", (UNITS / f"vitalwire-sysusers-{name}.conf").read_text())


if __name__ == "__main__":
    unittest.main()
