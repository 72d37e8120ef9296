"""Installs the packages of packages.txt without letting any of their services start."""
import os
import subprocess
from pathlib import Path

LIST = Path(__file__).resolve().parents[2] / "openstack" / "packages.txt"
POLICY = Path("/usr/sbin/policy-rc.d")


def wanted() -> list[str]:
    return [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]


def missing() -> list[str]:
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *wanted()],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {
        line.split()[0] for line in query.stdout.splitlines() if line.split()[1:] == ["ii"]
    }
    return [name for name in wanted() if name not in installed]


def install() -> None:
    """Needs root and Debian 12's archive. Does nothing when all is there."""
    names = missing()
    if not names:
        return
    # invoke-rc.d asks this program before it starts anything; 101 forbids it.
    forbidden = not POLICY.exists()
    if forbidden:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=600"]
        subprocess.run([*apt, "update"], env=environment, check=True)
        subprocess.run(
            [*apt, "install", "-y", "--no-install-recommends", *names], env=environment, check=True
        )
    finally:
        if forbidden:
            POLICY.unlink()
