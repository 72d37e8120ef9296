#!/usr/bin/python3
"""vitalwire-certs: what it makes is what openssl and the daemons accept."""

import os
from pathlib import Path
import re
import socket
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from suite import Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, wait_until

CERTS = ROOT / "cli" / "vitalwire-certs"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Certificates(ProcessTestCase):
    def setUp(self) -> None:
        self.pki = self.dir / "pki"

    def certs(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run([CERTS, "--directory", self.pki, *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout + done.stderr

    def openssl(self, *arguments: str | Path) -> str:
        return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout

    def test_one_command_makes_all_of_them(self) -> None:
        self.certs("--controller", "Controller-1.example.net,192.0.2.1", "--agent", "compute-1", "--operator", "alice")
        for name, purpose in (("controllers/controller-1.example.net", "sslserver"), ("agents/compute-1", "sslclient"),
                              ("operators/alice", "sslclient")):
            self.openssl("verify", "-CAfile", self.pki / "ca.pem", "-purpose", purpose, self.pki / f"{name}.pem")
            self.assertEqual((self.pki / f"{name}.key").stat().st_mode & 0o777, 0o600)

    def test_names_are_subject_alternative_names(self) -> None:
        self.certs("--controller", "controller-1,192.0.2.1", "--agent", "compute-1.example.net", "--operator", "alice")
        listed = self.certs("--list")
        self.assertRegex(listed, r"controllers/controller-1\.pem  until .*Z  DNS:controller-1, IP Address:192\.0\.2\.1\n")
        self.assertRegex(listed, r"agents/compute-1\.example\.net\.pem  .*  DNS:compute-1\.example\.net\n")
        self.assertRegex(listed, r"operators/alice\.pem  .*  URI:urn:vitalwire:operator:alice\n")
        self.assertNotIn("DNS:alice", listed, "an operator is no host")

    def test_what_is_valid_for_long_stays(self) -> None:
        self.assertIn("made", self.certs("--agent", "a"))
        self.assert_kept("--agent", "a")
        self.assertIn("made", self.certs("--agent", "a", "--renew"))

    def assert_kept(self, *arguments: str) -> None:
        self.assertRegex(self.certs(*arguments), r"\Akept .*\n\Z")

    def test_what_is_not_as_it_is_wanted_is_made_again(self) -> None:
        self.certs("--controller", "c0,127.0.0.1,fe80::1", "--agent", "a", "--operator", "eva")
        self.assert_kept("--controller", "c0,fe80:0::1,127.0.0.1")
        self.assert_kept("--operator", "eva")
        self.assertIn("its names were DNS:c0, ", self.certs("--controller", "c0,127.0.0.2"))
        self.assertIn("IP Address:127.0.0.2", self.certs("--list"))
        (self.pki / "agents" / "a.key").unlink()
        self.assertIn("its key was lost", self.certs("--agent", "a"))
        (self.pki / "agents" / "a.key").write_bytes((self.pki / "operators" / "eva.key").read_bytes())
        self.assertIn("it was of another key", self.certs("--agent", "a"))
        (self.pki / "agents" / "a.pem").write_text("no certificate")
        self.assertIn("agents/a.pem  not readable", self.certs("--list", status=1))
        self.assertIn("operators/eva.pem  until", self.certs("--list", status=1), "and those after it")
        self.assertIn("the file was no certificate", self.certs("--agent", "a"))
        for name in ("ca.key", "ca.pem"):
            (self.pki / name).unlink()
        self.assertIn("another authority had signed it", self.certs("--agent", "a"))

    def test_what_is_missing_of_the_authority_is_named(self) -> None:
        self.certs("--agent", "a")
        key = (self.pki / "ca.key").read_bytes()
        (self.pki / "ca.key").unlink()
        self.assertIn("ca.key: missing", self.certs("--agent", "a", status=1))
        (self.pki / "ca.key").write_bytes((self.pki / "agents" / "a.key").read_bytes())
        self.assertIn("not the key of ca.pem", self.certs("--agent", "a", status=1))
        (self.pki / "ca.key").write_bytes(key)
        (self.pki / "ca.pem").unlink()
        self.assertIn("ca.pem: missing", self.certs("--agent", "a", status=1))

    def test_what_ends_soon_is_renewed_with_its_key(self) -> None:
        self.certs("--agent", "a", "--days", "29")
        key = (self.pki / "agents" / "a.key").read_text()
        self.assertIn("made", self.certs("--agent", "a"))
        self.assertEqual((self.pki / "agents" / "a.key").read_text(), key)
        self.assert_kept("--agent", "a")

    def test_mistakes_are_named(self) -> None:
        for arguments, message in ((["--agent", "a b"], "expected a name of letters"), (["--agent"], "expected a value"),
                                   (["--agent", "../x"], "expected a name"), (["--days", "0", "--agent", "a"], "days"),
                                   (["--agent", "a,b"], "expected one name"), ([], "expected at least one"),
                                   (["--frobnicate"], "unknown argument")):
            self.assertIn(message, self.certs(*arguments, status=2))
        self.assertFalse(self.pki.exists(), "a wrong command line makes nothing")

    def test_the_daemons_use_them(self) -> None:
        self.certs("--controller", "localhost,127.0.0.1", "--agent", "compute-1", "--agent", "compute-2")
        inspector = self.enterContext(Inspector())
        port = free_port()
        controller = Controller(self.dir / "controller", inspector, bus={
            "bus__listen": f"tls://127.0.0.1:{port}", **self.tls("controllers/localhost")})
        self.addCleanup(controller.close)
        own = self.start_agent(controller, "compute-1", "agents/compute-1", port)
        wait_until(lambda: own.status()["links"][0]["up"], "the agent is connected with its certificate")
        other = self.start_agent(controller, "compute-3", "agents/compute-2", port)
        wait_until(lambda: re.search("compute-2|compute-3|cert", other.status()["links"][0]["last_error"]),
                   "a certificate of another host is rejected")
        self.assertFalse(other.status()["links"][0]["up"])

    def tls(self, name: str) -> dict[str, str | Path]:
        return {"bus__ca": self.pki / "ca.pem", "bus__certificate": self.pki / f"{name}.pem",
                "bus__key": self.pki / f"{name}.key"}

    def start_agent(self, controller: Controller, host: str, certificate: str, port: int) -> Agent:
        agent = Agent(self.dir / host, host, controller, bus={
            "bus__controller": f"tls://127.0.0.1:{port}", **self.tls(certificate)})
        self.addCleanup(agent.close)
        return agent


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    unittest.main()
