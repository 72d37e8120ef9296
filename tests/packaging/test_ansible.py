#!/usr/bin/python3
"""The Ansible role on clean Debian roots: two controllers and a compute node, from packages and certificates to configurations
that are good; a second run changes nothing. Needs root and Debian's archive.

VITALWIRE_PACKAGES_FROM    a finished build to package, instead of a fresh one
VITALWIRE_DEBIAN_MIRROR    where debootstrap gets the root
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

from clean_root import own_mounts

MIRROR = os.environ.get("VITALWIRE_DEBIAN_MIRROR", "http://deb.debian.org/debian")
HOSTS = {"controller-1": "controller", "controller-2": "controller", "compute-1": "agent"}
CLOUDS = """clouds:
  site:
    auth: {auth_url: "http://127.0.0.1:9/v3", username: vitalwire, password: secret, project_name: service}
"""


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, **environment}, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done.stdout.strip()


class Role(unittest.TestCase):
    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.fail("clean roots need root")
        self.work = Path(tempfile.mkdtemp(prefix="vw-ansible-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        build = ["--build", os.environ["VITALWIRE_PACKAGES_FROM"]] if "VITALWIRE_PACKAGES_FROM" in os.environ else []
        run(ROOT / "packaging" / "build", "--no-rpm", "--output", self.work / "packages", *build)
        self.make_roots()
        self.inventory = self.work / "inventory"
        self.inventory.write_text(self.inventory_text())

    def make_roots(self) -> None:
        own_mounts()
        clean = self.work / "clean"
        run("debootstrap", "--variant=minbase", "--include=python3,python3-apt,systemd", "bookworm", clean, MIRROR)
        for host, role in HOSTS.items():
            root = self.work / host
            run("cp", "-a", "--reflink=auto", clean, root)
            run("mount", "--bind", "/proc", root / "proc")
            self.addCleanup(run, "umount", root / "proc")
            if role == "controller":
                (root / "etc/openstack").mkdir()
                (root / "etc/openstack/clouds.yaml").write_text(CLOUDS)

    def inventory_text(self) -> str:
        def members(role: str) -> list[str]:
            return [f"{host} ansible_host={self.work / host}" for host, own in HOSTS.items() if own == role]

        return "\n".join(["[vitalwire_controllers]", *members("controller"), "[vitalwire_agents]", *members("agent"), "[all:vars]",
                          "ansible_connection=community.general.chroot", "ansible_become=false",
                          "ansible_python_interpreter=/usr/bin/python3", f"vitalwire_packages={self.work / 'packages'}",
                          f"vitalwire_pki={self.work / 'pki'}", ""])

    def play(self) -> str:
        return run("ansible-playbook", "-i", self.inventory, ROOT / "packaging" / "ansible" / "site.yml", ANSIBLE_NOCOWS="1",
                   ANSIBLE_HOME=str(self.work / "ansible"))

    def test_nodes_are_set_up_and_a_second_run_changes_nothing(self) -> None:
        named = [word for host, role in HOSTS.items() for word in (f"--{role}", host)]
        run(ROOT / "cli" / "vitalwire-certs", "--directory", self.work / "pki", *named)
        self.play()
        for host, role in HOSTS.items():
            self.assertIn("good", run("chroot", self.work / host, f"vitalwire-{role}", "--check-config"))
            wanted = self.work / host / "etc/systemd/system/multi-user.target.wants" / f"vitalwire-{role}.service"
            self.assertTrue(wanted.is_symlink(), f"{host} starts it at boot")
        agent = (self.work / "compute-1/etc/vitalwire/vitalwire-agent.conf").read_text()
        for controller in ("controller-1", "controller-2"):
            self.assertIn(f"controller = tls://{controller}:8992", agent)
        self.assertEqual(self.play().count("changed=0 "), len(HOSTS))


if __name__ == "__main__":
    unittest.main()
