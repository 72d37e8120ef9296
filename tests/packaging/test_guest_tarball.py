#!/usr/bin/python3
"""The tarball for guests of any distribution: what is in it, and what its installer makes of roots with different inits."""

import importlib.machinery
import importlib.util
import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))
MAX_PROGRAM = 2 << 20  # bytes


def load_packer():
    loader = importlib.machinery.SourceFileLoader("guest_tarball", str(ROOT / "packaging" / "guest" / "tarball"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("guest_tarball", loader))
    loader.exec_module(module)
    return module


def static_guest() -> bool:
    cache = (BUILD / "CMakeCache.txt").read_text()
    return "VITALWIRE_STATIC_GUEST:BOOL=ON" in cache and not re.search(r"^VITALWIRE_SANITIZE:STRING=.", cache, re.MULTILINE)


@unittest.skipUnless(static_guest(), "the guest's programs are not static in this build")
class GuestTarball(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.work = Path(tempfile.mkdtemp(prefix="vw-tarball-"))
        cls.addClassCleanup(shutil.rmtree, cls.work)
        cls.tarball, cls.program, cls.cloud_init, cls.ignition = load_packer().write_all(BUILD, cls.work)
        with tarfile.open(cls.tarball) as archive:
            archive.extractall(cls.work)
        cls.folder = cls.work / cls.tarball.name.removesuffix(".tar.gz")

    def root(self, *existing: str) -> Path:
        root = Path(tempfile.mkdtemp(dir=self.work))
        for path in existing:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("#!/bin/sh\n")
            (root / path).chmod(0o755)
        return root

    def install(self, root: Path, *options: str) -> str:
        done = subprocess.run([self.folder / "install", "--root", root, *options], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_its_programs_are_small_and_need_no_library(self) -> None:
        for name in ("vitalwired", "vitalwire-app", "vitalwire-group"):
            program = self.folder / name
            self.assertLess(program.stat().st_size, MAX_PROGRAM, name)
            print(f"{name}: {program.stat().st_size >> 10} KiB", file=sys.stderr)
            self.assertIn("statically linked", subprocess.run(["ldd", program], capture_output=True, text=True).stdout)
            done = subprocess.run([program, "--version"], capture_output=True, text=True, env={})
            self.assertRegex(done.stdout, rf"^{name} \d+\.\d+\.\d+$")

    def test_a_second_one_of_the_same_build_is_the_same(self) -> None:
        again = self.work / "again"
        again.mkdir()
        tarball, *_ = load_packer().write_all(BUILD, again)
        self.assertEqual(tarball.read_bytes(), self.tarball.read_bytes())

    def test_systemd_is_found_and_the_unit_enabled(self) -> None:
        root = self.root("usr/lib/systemd/systemd")
        self.assertIn("installed for systemd", self.install(root))
        unit = root / "etc/systemd/system/multi-user.target.wants/vitalwired.service"
        self.assertIn("ExecStart=/usr/sbin/vitalwired --config /etc/vitalwire/vitalwired.conf", unit.read_text())

    def test_openrc_is_found_and_the_service_in_its_default_runlevel(self) -> None:
        root = self.root("sbin/openrc-run")
        self.assertIn("installed for openrc", self.install(root))
        self.assertTrue((root / "etc/runlevels/default/vitalwired").is_symlink())
        self.assertTrue((root / "etc/init.d/vitalwired").read_text().startswith("#!/sbin/openrc-run"))

    def test_without_either_a_plain_script_starts_it_by_sysvinit_or_busybox(self) -> None:
        root = self.root("etc/rc2.d/README", "etc/rc0.d/README")
        self.assertIn("installed for plain", self.install(root))
        self.assertTrue((root / "etc/rc2.d/S20vitalwired").read_text().startswith("#!/bin/sh"))
        self.assertTrue((root / "etc/rc0.d/K80vitalwired").exists())
        busybox = self.root("etc/init.d/rcS")
        self.install(busybox)
        self.assertTrue((busybox / "etc/init.d/S20vitalwired").read_text().startswith("#!/bin/sh"))

    def test_a_configuration_that_is_there_stays(self) -> None:
        root = self.root()
        self.install(root)
        (root / "etc/vitalwire/vitalwired.conf").write_text("[heartbeat]\nname = mine\n")
        self.assertIn("kept: ", self.install(root))
        self.assertIn("mine", (root / "etc/vitalwire/vitalwired.conf").read_text())

    def test_the_initramfs_hook_is_installed_when_it_is_asked_for(self) -> None:
        root = self.root()
        self.install(root)
        self.assertFalse((root / "etc/initramfs-tools").exists())
        self.install(root, "--initramfs")
        names = {str(path.relative_to(root)) for path in (root / "etc/initramfs-tools").rglob("vitalwired")}
        self.assertEqual(names, {"etc/initramfs-tools/hooks/vitalwired", "etc/initramfs-tools/scripts/init-top/vitalwired",
                                 "etc/initramfs-tools/scripts/init-bottom/vitalwired"})

    def test_a_wrong_option_installs_nothing(self) -> None:
        root = self.root()
        for options in (["--init", "upstart"], ["--rot", root], ["--init"]):
            done = subprocess.run([self.folder / "install", "--root", root, *options], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn("usage: ", done.stderr)
            self.assertEqual(list(root.iterdir()), [])

    def test_the_snippets_name_this_tarball_and_this_program(self) -> None:
        sha256 = subprocess.run(["sha256sum", self.tarball], capture_output=True, text=True, check=True).stdout.split()[0]
        self.assertIn(f'"{sha256}  {self.tarball.name}"', self.cloud_init.read_text())
        files = {file["path"]: file["contents"] for file in json.loads(self.ignition.read_text())["storage"]["files"]}
        sha512 = subprocess.run(["sha512sum", self.program], capture_output=True, text=True, check=True).stdout.split()[0]
        self.assertEqual(files["/opt/bin/vitalwired"]["verification"]["hash"], f"sha512-{sha512}")


if __name__ == "__main__":
    sys.exit(unittest.main())
