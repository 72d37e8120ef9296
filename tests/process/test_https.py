#!/usr/bin/python3
"""HTTP over TLS: who may speak to a controller how, a certificate that is renewed meanwhile, the metrics of an agent."""

import json
from pathlib import Path
import socket
import ssl
import subprocess
import sys
import unittest
import urllib.request

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed import certificates
from cloudbed.cloud import free_ports
from suite import BUILD, Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import http_json, temporary_dir, wait_until


class Https(unittest.TestCase):
    def setUp(self) -> None:
        self.dir = self.enterContext(temporary_dir())
        self.files = self.dir / "certificates"
        certificates.issue(self.files)
        self.port = free_ports(1)
        (self.dir / "token").write_text("secret\n")
        (self.dir / "token").chmod(0o600)
        inspector = self.enterContext(Inspector())
        self.controller = Controller(
            self.dir / "controller",
            inspector,
            http__listen=f"unix:{self.dir}/controller/http.sock 127.0.0.1:{self.port}",
            http__certificate=self.files / "server.pem",
            http__key=self.files / "server.key",
            http__reader_token_file=self.dir / "token",
        )
        self.addCleanup(lambda: self.controller.close())

    def get(self, path: str) -> bytes:
        context = ssl.create_default_context(cafile=str(self.files / "authority.pem"))
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", headers={"Authorization": "Bearer secret"})
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.read()

    def serial(self) -> int:
        """Of the certificate that is shown now."""
        context = ssl.create_default_context(cafile=str(self.files / "authority.pem"))
        with socket.create_connection(("127.0.0.1", self.port)) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                certificate = connection.getpeercert()
        assert certificate is not None
        return int(certificate["serialNumber"], 16)

    def test_answers_over_tls(self) -> None:
        self.assertEqual(json.loads(self.get("/v1/status"))["problems"], [])
        self.assertIn(b"vitalwire_controller_", self.get("/metrics"))
        self.assertIn(b"<html", self.get("/"))

    def test_the_command_line_speaks_it(self) -> None:
        argv = [BUILD / "cli" / "vitalwire", "--controller", f"https://127.0.0.1:{self.port}",
                "--ca-file", self.files / "authority.pem", "--token-file", self.dir / "token", "status"]
        done = subprocess.run(argv, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_unix_socket_stays_as_it_is(self) -> None:
        self.assertEqual(http_json(self.controller.http, "/v1/status")["problems"], [])

    def test_who_speaks_no_tls_gets_nothing_and_disturbs_nobody(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as plain:
            plain.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
            while answer := plain.recv(4096):
                self.assertNotIn(b"HTTP/1.1 200", answer)
        self.get("/v1/status")

    def test_a_renewed_certificate_is_shown_without_a_restart(self) -> None:
        before = self.serial()
        certificates.issue(self.files)
        wait_until(lambda: self.serial() != before, "the new certificate is shown")

    def test_half_a_renewal_changes_nothing(self) -> None:
        before = self.serial()
        (self.files / "server.pem").write_text("no certificate\n")
        self.assertEqual(self.serial(), before)

    def test_a_key_that_does_not_belong_to_the_certificate_is_refused_at_the_start(self) -> None:
        config = self.dir / "bad.conf"
        config.write_text(f"[http]\ncertificate = {self.files}/server.pem\nkey = {self.files}/client.key\n")
        argv = [BUILD / "controller" / "vitalwire-controller", "--check-config", "--config", config]
        done = subprocess.run(argv, capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"{self.files}/client.key", done.stdout + done.stderr)


class AgentMetrics(unittest.TestCase):
    def test_an_agents_metrics_are_served_over_tls(self) -> None:
        home = self.enterContext(temporary_dir())
        files = home / "certificates"
        certificates.issue(files)
        port = free_ports(1)
        controller = Controller(home / "controller", self.enterContext(Inspector()))
        self.addCleanup(controller.close)
        agent = Agent(home / "agent", "compute-1", [controller], metrics__listen=f"127.0.0.1:{port}",
                      metrics__certificate=files / "server.pem", metrics__key=files / "server.key")
        self.addCleanup(agent.close)
        context = ssl.create_default_context(cafile=str(files / "authority.pem"))
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/metrics", context=context) as answer:
            self.assertIn(b"vitalwire_agent_round_trip_seconds_bucket", answer.read())
        with self.assertRaises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")


if __name__ == "__main__":
    unittest.main()
