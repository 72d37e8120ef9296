#!/usr/bin/python3
"""guest/README.md in a clean root with busybox and the tarball, and where each of its commands is carried out."""

import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from guest_readme import PAGE, Walk, commands
from test_guest_tarball import BUILD, load_packer, static_guest

INSTALL = "tar xzf vitalwire-guest-*.tar.gz && vitalwire-guest-*/install"
# What a root with busybox does not have, and the test that carries it out.
ELSEWHERE = {
    "cmake -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVITALWIRE_BUILD_HOST=OFF && cmake --build build": "packaging/test_guest_build.py",
    "cmake --install build --prefix /usr --component guest": "packaging/test_guest_build.py",
    "cmake --install build --prefix /usr --component guest-lib": "packaging/test_guest_build.py",
    "cmake --install build --prefix /usr --component guest-dev": "packaging/test_guest_build.py",
    "cc heartbeat.c $(pkg-config --cflags --libs vitalwire) -o heartbeat": "process/test_libvitalwire.py",
    "vitalwire-lab --guests 2 --own mine": "process/test_lab.py",
    "vitalwired --channel unix:CHANNEL --app-socket /tmp/guest.sock": "process/test_lab.py",
    "journalctl -u vitalwired": "packaging/test_packages.py",
    "systemctl status vitalwired": "packaging/test_packages.py",
}


@unittest.skipUnless(static_guest(), "the guest's programs are not static in this build")
class GuestReadme(unittest.TestCase):
    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.fail("a clean root needs root")
        self.work = Path(tempfile.mkdtemp(prefix="vw-readme-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)

    def busybox_root(self) -> Path:
        root = self.work / "root"
        (root / "bin").mkdir(parents=True)
        shutil.copy2("/bin/busybox", root / "bin/busybox")
        applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in applets:
            (root / "bin" / applet).exists() or (root / "bin" / applet).symlink_to("busybox")
        return root

    def test_it_is_followed_to_the_letter_in_a_root_with_busybox(self) -> None:
        self.assertIn(INSTALL, PAGE.read_text())
        root = self.busybox_root()
        tarball, *_ = load_packer().write_all(BUILD, root)
        walk = Walk(root)
        self.addCleanup(walk.close)
        installed = walk.run(INSTALL)
        self.assertEqual(installed.returncode, 0, installed.stderr)
        self.assertIn("installed for plain", installed.stdout)
        print(f"guest/README.md with {tarball.name}: {walk.follow():.1f} minutes", file=sys.stderr)
        left = [command for command in commands() if command not in walk.followed and command not in ELSEWHERE]
        self.assertEqual(left, [], "each command of the page is carried out by a test")

    def test_what_is_carried_out_elsewhere_is_on_the_page_and_in_a_test(self) -> None:
        for command, test in ELSEWHERE.items():
            self.assertIn(command, commands())
            self.assertTrue((ROOT / "tests" / test).exists(), test)


if __name__ == "__main__":
    unittest.main()
