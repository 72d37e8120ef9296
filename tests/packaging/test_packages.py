#!/usr/bin/python3
"""The packages on a clean Debian in which systemd runs: installed, upgraded, rolled back, removed, purged; the .rpm packages
by rpm in the same root, and those of the guest in a root with rpm's tools alone. Needs root and Debian's archive.

VITALWIRE_PACKAGES_FROM    a finished build to package, instead of two fresh ones
VITALWIRE_CLEAN_ROOT, VITALWIRE_DEBIAN_MIRROR    see clean_root.py
"""

import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from clean_network import Archive, Network
from clean_root import make_root, run
from guest_readme import Walk
from scripted_host import Host
from vmbed.procs import wait_until

DAEMONS = {"vitalwire-controller": "vitalwire-controller", "vitalwire-agent": "vitalwire-agent",
           "vitalwire-guest": "vitalwired"}
INSTALLED = [*DAEMONS, "vitalwire-cli", "libvitalwire1", "libvitalwire-dev", "libservergroup2",
             "libguest-common-api3", "libguest-heartbeat-api3"]
RPMS = [*DAEMONS, "vitalwire-cli", "libvitalwire1", "libvitalwire-devel"]
SERVICES = ("vitalwire-controller", "vitalwire-agent")  # what runs on a node that is both
CHANNELS = "/srv/channels"
GUEST = "bench"


class Packages(unittest.TestCase):
    """One story, in order: each step needs the one before."""

    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.fail("the clean root needs root")
        self.work = Path(tempfile.mkdtemp(prefix="vw-packages-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)

    def test_life_of_the_packages(self) -> None:
        first, second = self.build()
        self.make_node()
        self.install(first)
        self.check_installed("0.1.0-1")
        self.follow_guide()
        fault = self.put_to_work()
        self.change_configuration()
        self.upgrade(second, "0.1.0-2", fault)
        self.upgrade(first, "0.1.0-1", fault, "--allow-downgrades")
        self.check_removed_and_purged()
        self.check_rpms(first, second)

    def build(self) -> tuple[Path, Path]:
        """Two versions of all packages; the .deb of a fresh build are clean for lintian."""
        build = ["--build", os.environ["VITALWIRE_PACKAGES_FROM"]] if "VITALWIRE_PACKAGES_FROM" in os.environ else []
        first, second = self.work / "1", self.work / "2"
        run(ROOT / "packaging" / "build", "--output", first, *build)
        self.check_rpm_of_the_guest(first)
        run(ROOT / "packaging" / "build", "--output", second, "--revision", "2", *(build or ["--build", self.rebuilt()]))
        if not build:
            self.check_lintian(first)
        return first, second

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
        self.follow_readme(root, package.name)
        configuration = root / "etc/vitalwire/vitalwired.conf"
        configuration.write_text("[heartbeat]\nname = the operator's\n")
        run(*rpm, "-U", "--replacepkgs", package)
        self.assertIn("the operator's", configuration.read_text())
        run(*rpm, "-e", "vitalwire-guest")
        self.assertFalse((root / "usr/sbin/vitalwired").exists())
        self.assertIn("the operator's", (configuration.with_suffix(".conf.rpmsave")).read_text())

    def follow_readme(self, root: Path, package: str) -> None:
        walk = Walk(root)
        try:
            print(f"guest/README.md with {package}: {walk.follow():.1f} minutes", file=sys.stderr)
        finally:
            walk.close()

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

    def make_node(self) -> None:
        network = Network(self.work, {"node": []})
        self.addCleanup(network.close)
        with network.inside():
            archive = Archive()
        self.enterContext(archive)
        make_root(self.work / "base")
        self.node = network.node("node", [self.work / "base"])
        self.addCleanup(self.node.close)
        self.root = self.node.root

    def inside_file(self, path: str) -> Path:
        return self.root / path

    def install(self, packages: Path, *options: str) -> None:
        target = self.inside_file("packages")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name in INSTALLED:
            shutil.copy2(next(packages.glob(f"{name}_*.deb")), target)
        names = [f"/packages/{path.name}" for path in sorted(target.iterdir())]
        self.node.run("apt-get", "-q", "install", "-y", "--no-install-recommends", *options, *names)

    def follow_guide(self) -> None:
        """The VNF developer's, in this root but beside its systemd; the operator's configuration stays as it was."""
        configuration = self.inside_file("etc/vitalwire/vitalwired.conf")
        shipped = configuration.read_text()
        self.follow_readme(self.root, "vitalwire-guest.deb")
        configuration.write_text(shipped)

    def check_version(self, version: str) -> None:
        for package in DAEMONS:
            self.assertEqual(self.node.run("dpkg-query", "-W", "-f", "${Version}", package).stdout, version)

    def check_installed(self, version: str) -> None:
        self.check_version(version)
        for unit in DAEMONS.values():
            self.assertEqual(self.node.run("systemctl", "is-enabled", unit).stdout.strip(), "enabled")
            self.assertEqual(self.node.active(unit), "inactive", "enabled, and not started")
            self.node.run("systemd-analyze", "--man=no", "verify", f"/lib/systemd/system/{unit}.service")
        for user in SERVICES:
            self.assertIn("vitalwire", self.node.run("id", user).stdout)
        self.assertRegex(self.node.run("vitalwire", "--version").stdout, "^vitalwire 0.1.0")
        self.node.run("vitalwire-certs", "--directory", "/tmp/pki", "--agent", "compute-1")
        for program in ("vitalwire-controller", "vitalwire-agent", "vitalwired"):
            self.assertIn("0.1.0", self.node.run(program, "--version").stdout)
        self.assertTrue(self.inside_file("usr/share/doc/vitalwire/runbook/heartbeat_lost.md").exists())

    def put_to_work(self) -> str:
        """Both daemons on one node, with a guest that hangs: the id of its fault."""
        self.inside_file(CHANNELS[1:]).mkdir(parents=True, exist_ok=True)
        configuration = self.inside_file("etc/vitalwire/vitalwire-agent.conf")
        configuration.write_text(f"[agent]\nhost = node\n[source directory]\npath = {CHANNELS}\n")
        self.node.run("vitalwire-agent", "--config", "/etc/vitalwire/vitalwire-agent.conf", "--check-config")
        self.node.run("systemctl", "start", *SERVICES)
        self.node.run("systemd-run", "--unit=guest", "vitalwired", "--channel",
                      f"unix:{CHANNELS}/org.vitalwire.0.{GUEST}.sock", "--app-socket", "/run/guest.sock")
        wait_until(lambda: "registered" in self.node.run("vitalwire", "guests", check=False).stdout, "the guest is watched")
        self.node.run("systemctl", "kill", "--signal=STOP", "guest")
        wait_until(self.node.faults, "its fault is open")
        self.assertEqual(self.node.run("vitalwire", "coverage", check=False).returncode, 0)
        return self.node.faults()[0]

    def upgrade(self, packages: Path, version: str, fault: str, *options: str) -> None:
        """What runs is restarted, with the operator's configuration; the fault is the same one."""
        before = {unit: self.node.pid_of(unit) for unit in SERVICES}
        self.install(packages, "-o", "Dpkg::Options::=--force-confold", *options)
        self.check_version(version)
        for unit in SERVICES:
            self.await_running(unit)
            self.assertNotEqual(self.node.pid_of(unit), before[unit])
        self.assertIn("# the operator's", self.inside_file("etc/vitalwire/vitalwire-agent.conf").read_text())
        wait_until(lambda: self.node.faults() == [fault], "the fault is open")
        self.assertEqual(self.node.active("vitalwired"), "inactive", "what did not run does not start")

    def await_running(self, unit: str) -> None:
        try:
            wait_until(lambda: self.node.active(unit) == "active", f"{unit} runs")
        except TimeoutError as error:
            raise AssertionError(self.node.run("systemctl", "status", "--no-pager", "-n", "40", unit, check=False).stdout) from error

    def change_configuration(self) -> None:
        with self.inside_file("etc/vitalwire/vitalwire-agent.conf").open("a") as file:
            file.write("# the operator's\n")

    def check_removed_and_purged(self) -> None:
        self.node.run("systemctl", "stop", "guest")
        self.node.run("apt-get", "-q", "remove", "-y", *INSTALLED)
        for unit in SERVICES:
            self.assertEqual(self.node.active(unit), "inactive", "a removed service does not go on")
        self.assertTrue(self.inside_file("etc/vitalwire/vitalwire-agent.conf").exists())
        self.assertTrue(self.inside_file("var/lib/vitalwire/agent/agent.db").exists())
        self.node.run("dpkg", "--purge", *INSTALLED)
        self.assertEqual(self.left(), [])

    def left(self) -> list[str]:
        return [path for path in ("etc/vitalwire", "var/lib/vitalwire", "usr/sbin/vitalwired", "usr/bin/vitalwire",
                                  "lib/systemd/system/vitalwire-agent.service") if self.inside_file(path).exists()]

    # ---- rpm; the libraries are those that apt has installed, so rpm does not know of them

    def rpm(self, *arguments: str) -> str:
        return self.node.run("rpm", "--force-debian", "--nodeps", *arguments).stdout

    def rpm_files(self, packages: Path) -> list[str]:
        target = self.inside_file("packages")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name in RPMS:
            shutil.copy2(next(packages.glob(f"{name}-[0-9]*.rpm")), target)
        return [f"/packages/{path.name}" for path in sorted(target.iterdir())]

    def check_rpms(self, first: Path, second: Path) -> None:
        self.node.run("apt-get", "-q", "install", "-y", "--no-install-recommends", "rpm")
        self.rpm("--install", *self.rpm_files(first))
        self.node.run("systemctl", "daemon-reload")
        for unit in SERVICES:
            self.assertEqual(self.node.active(unit), "inactive", "not started")
        fault = self.put_to_work()
        self.change_configuration()
        for options, packages, release in ((["--upgrade"], second, "2"), (["--upgrade", "--oldpackage"], first, "1")):
            before = {unit: self.node.pid_of(unit) for unit in SERVICES}
            self.rpm(*options, *self.rpm_files(packages))
            installed = self.node.run("rpm", "--query", "--queryformat", "%{release}", "vitalwire-agent").stdout
            self.assertEqual(installed, release)
            for unit in SERVICES:
                wait_until(lambda: self.node.active(unit) == "active", f"{unit} runs")  # noqa: B023
                self.assertNotEqual(self.node.pid_of(unit), before[unit])
            self.assertIn("# the operator's", self.inside_file("etc/vitalwire/vitalwire-agent.conf").read_text())
            wait_until(lambda: self.node.faults() == [fault], "the fault is open")
        self.node.run("systemctl", "stop", "guest")
        self.rpm("--erase", *RPMS)
        for unit in SERVICES:
            self.assertNotEqual(self.node.active(unit), "active")
        self.assertFalse(self.inside_file("usr/bin/vitalwire").exists())
        self.assertTrue(self.inside_file("etc/vitalwire/vitalwire-agent.conf.rpmsave").exists(), "the operator's is kept")


if __name__ == "__main__":
    unittest.main()
