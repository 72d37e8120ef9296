#!/usr/bin/python3
"""The packages on a clean Debian, and those of the guest in a root with rpm's tools: installed, upgraded, removed, purged.
Needs root and Debian's archive."""

import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from scripted_host import Host
from vmbed.procs import wait_until

MIRROR = os.environ.get("VITALWIRE_DEBIAN_MIRROR", "http://deb.debian.org/debian")
DAEMONS = {"vitalwire-controller": "vitalwire-controller", "vitalwire-agent": "vitalwire-agent",
           "vitalwire-guest": "vitalwired"}
INSTALLED = [*DAEMONS, "vitalwire-cli", "libvitalwire1", "libvitalwire-dev", "libservergroup2",
             "libguest-common-api3", "libguest-heartbeat-api3"]


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done


class Packages(unittest.TestCase):
    """One story, in order: each step needs the one before."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.fail("the clean root needs root")
        self.work = Path(tempfile.mkdtemp(prefix="vw-packages-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.root = self.work / "root"

    def test_life_of_the_packages(self) -> None:
        build = ["--build", os.environ["VITALWIRE_PACKAGES_FROM"]] if "VITALWIRE_PACKAGES_FROM" in os.environ else []
        first, second = self.work / "1", self.work / "2"
        run(ROOT / "packaging" / "build", "--output", first, *build)
        self.check_rpm_of_the_guest(first)
        again = build or ["--build", self.rebuilt()]
        run(ROOT / "packaging" / "build", "--output", second, "--revision", "2", "--no-rpm", *again)
        if not build:
            self.check_lintian(first)
        self.make_root()
        self.install(first)
        self.check_installed("0.1.0-1")
        self.change_configuration()
        self.install(second)
        self.check_installed("0.1.0-2")
        self.assertIn("# the operator's", self.inside_file("etc/vitalwire/vitalwire-agent.conf").read_text())
        self.install(first, "--allow-downgrades")
        self.check_installed("0.1.0-1")
        self.check_removed_and_purged()

    def rebuilt(self) -> Path:
        build = self.work / "build"
        run("cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DVITALWIRE_BUILD_TESTS=OFF")
        run("cmake", "--build", build)
        return build

    def check_lintian(self, packages: Path) -> None:
        command = ["lintian", "--allow-root", "--fail-on", "warning", "--suppress-tags", "initial-upload-closes-no-bugs"]
        run(*command, *sorted(packages.glob("*.deb")))

    def check_rpm_of_the_guest(self, packages: Path) -> None:
        """Nothing is in the root but a shell: what the package needs is named by it."""
        root, package = self.work / "rpm-root", next(packages.glob("vitalwire-guest-*.rpm"))
        needed = {line.split("(")[0].strip() for line in run("rpm", "-qp", "--requires", package).stdout.splitlines()}
        self.assertLessEqual(needed, {"/bin/sh", "config", "rpmlib"})
        (root / "bin").mkdir(parents=True)
        shutil.copy2("/bin/busybox", root / "bin" / "sh")
        shutil.copy2("/bin/busybox", root / "bin" / "busybox")
        rpm = ("rpm", "--root", root, "--nodeps", "--force-debian")
        run(*rpm, "-i", package)
        self.assertEqual(run("rpm", "--root", root, "-q", "vitalwire-guest").stdout.split("-")[:2], ["vitalwire", "guest"])
        self.check_registers(root)
        configuration = root / "etc/vitalwire/vitalwired.conf"
        configuration.write_text("[heartbeat]\nname = the operator's\n")
        run(*rpm, "-U", "--replacepkgs", package)
        self.assertIn("the operator's", configuration.read_text())
        run(*rpm, "-e", "vitalwire-guest")
        self.assertFalse((root / "usr/sbin/vitalwired").exists())
        self.assertIn("the operator's", (configuration.with_suffix(".conf.rpmsave")).read_text())

    def check_registers(self, root: Path) -> None:
        (root / "run").mkdir(exist_ok=True)
        daemon = subprocess.Popen(["chroot", root, "/usr/sbin/vitalwired", "--channel", "unix:/run/channel"])
        try:
            wait_until((root / "run/channel").exists, "vitalwired listens")
            host = Host(root / "run/channel")
            host.register()
            self.assertTrue(host.challenge()["healthy"])
            host.disconnect()
        finally:
            daemon.terminate()
        self.assertEqual(daemon.wait(timeout=30), 0)

    def make_root(self) -> None:
        run("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,adduser", "bookworm", self.root, MIRROR)
        policy = self.inside_file("usr/sbin/policy-rc.d")
        policy.write_text("#!/bin/sh\necho started $* >>/policy-asked\nexit 101\n")
        policy.chmod(0o755)

    def inside_file(self, path: str) -> Path:
        return self.root / path

    def inside(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("systemd-nspawn", "--quiet", "--register=no", "--resolv-conf=replace-host", "-D", self.root,
                   "--setenv=DEBIAN_FRONTEND=noninteractive", *command, check=check)

    def install(self, packages: Path, *options: str) -> None:
        target = self.inside_file("packages")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name in INSTALLED:
            shutil.copy2(next(packages.glob(f"{name}_*.deb")), target)
        names = [f"/packages/{path.name}" for path in sorted(target.iterdir())]
        self.inside("apt-get", "-q", "install", "-y", "--no-install-recommends", *options, *names)

    def check_installed(self, version: str) -> None:
        for package, unit in DAEMONS.items():
            self.assertEqual(self.inside("dpkg-query", "-W", "-f", "${Version}", package).stdout, version)
            self.assertEqual(self.inside("systemctl", "is-enabled", unit).stdout.strip(), "enabled")
            self.inside("systemd-analyze", "verify", f"/lib/systemd/system/{unit}.service")
        asked = self.inside_file("policy-asked")
        self.assertNotIn(" start", asked.read_text() if asked.exists() else "", "no service is started")
        self.assertRegex(self.inside("vitalwire", "--version").stdout, "^vitalwire 0.1.0")
        self.inside("vitalwire-certs", "--directory", "/tmp/pki", "--agent", "compute-1")
        for program in ("vitalwire-controller", "vitalwire-agent", "vitalwired"):
            self.assertIn("0.1.0", self.inside(program, "--version").stdout)

    def change_configuration(self) -> None:
        with self.inside_file("etc/vitalwire/vitalwire-agent.conf").open("a") as file:
            file.write("# the operator's\n")

    def check_removed_and_purged(self) -> None:
        state = self.inside_file("var/lib/vitalwire/agent/agent.db")
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text("faults")
        self.inside("apt-get", "-q", "remove", "-y", *INSTALLED)
        self.assertTrue(self.inside_file("etc/vitalwire/vitalwire-agent.conf").exists())
        self.assertTrue(state.exists())
        self.inside("apt-get", "-q", "purge", "-y", *INSTALLED)
        left = [path for path in ("etc/vitalwire", "var/lib/vitalwire", "usr/sbin/vitalwired", "usr/bin/vitalwire")
                if self.inside_file(path).exists()]
        self.assertEqual(left, [])


if __name__ == "__main__":
    unittest.main()
