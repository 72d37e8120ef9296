#!/usr/bin/python3
"""vitalwire-doctor beside a real controller and agent: it finds nothing wrong, and then what the test has broken."""

import json
import os
from pathlib import Path
import re
import socket
import subprocess
import sys
from typing import Any, Callable
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
sys.path.insert(0, str(ROOT / "cli"))

from suite import BUILD, Agent, Controller
from vmbed.inspector import Inspector
from vitalwire_doctor import node
from vmbed.procs import ProcessTestCase, wait_until


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Doctor(ProcessTestCase):
    def setUp(self) -> None:
        self.pki = self.dir / "pki"
        self.certs("--controller", "localhost,127.0.0.1", "--agent", "compute-1")
        self.port = free_port()
        inspector = self.enterContext(Inspector())
        self.controller = Controller(self.dir / "controller", inspector, bus={
            "bus__listen": f"tls://127.0.0.1:{self.port}", **self.tls("controllers/localhost")})
        self.addCleanup(self.controller.close)
        self.agent = Agent(self.dir / "compute-1", "compute-1", self.controller, bus={
            "bus__controller": f"tls://127.0.0.1:{self.port}", **self.tls("agents/compute-1")})
        self.addCleanup(self.agent.close)
        wait_until(lambda: self.agent.status()["healthy"], "the agent is connected")
        self.write_configuration("agents/compute-1")

    def certs(self, *arguments: str) -> None:
        subprocess.run([ROOT / "cli" / "vitalwire-certs", "--directory", self.pki, *arguments], check=True,
                       stdout=subprocess.DEVNULL)

    def tls(self, name: str) -> dict[str, str | Path]:
        return {"bus__ca": self.pki / "ca.pem", "bus__certificate": self.pki / f"{name}.pem",
                "bus__key": self.pki / f"{name}.key"}

    def write_configuration(self, certificate: str, port: int | None = None) -> None:
        """What the agent runs with, as a file."""
        tls = "".join(f"{key.removeprefix('bus__')} = {value}\n" for key, value in self.tls(certificate).items())
        (self.dir / "agent.conf").write_text(
            f"[agent]\nhost = compute-1\nstate = {self.dir}/compute-1/agent.db\nlisten = unix:{self.agent.http}\n"
            f"[source directory]\npath = {self.agent.channels}\n"
            f"[bus]\ncontroller = tls://127.0.0.1:{port or self.port}\n{tls}")

    def examine(self, *options: str) -> tuple[int, list[dict[str, str]]]:
        done = subprocess.run(
            [ROOT / "cli" / "vitalwire-doctor", "--agent-config", self.dir / "agent.conf", "--controller-config",
             "/nonexistent", "--programs", BUILD, "--json", *options], capture_output=True, text=True, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        # No test can make services of systemd on this machine.
        findings = [each for each in json.loads(done.stdout)["findings"] if each["check"] != "service"]
        return done.returncode, findings

    def failed(self) -> list[str]:
        return [f"{each['check']}: {each['detail']}" for each in self.examine()[1] if each["result"] == "failed"]

    def test_finds_nothing_wrong_where_all_is_well(self) -> None:
        findings = self.examine()[1]
        self.assertEqual([each for each in findings if each["result"] == "failed"], [])
        self.assertLessEqual({"configuration", "files", "certificate", "disk", "status", "connection"},
                             {each["check"] for each in findings})

    def test_finds_a_mistake_in_the_configuration(self) -> None:
        with (self.dir / "agent.conf").open("a") as file:
            file.write("controler = x\n")
        self.assertRegex("\n".join(self.failed()), "configuration: .*controler")

    def test_finds_a_controller_that_does_not_listen(self) -> None:
        self.write_configuration("agents/compute-1", free_port())
        self.assertRegex("\n".join(self.failed()), "connection: tls://127.0.0.1:[0-9]+: .*Connection refused")

    def test_finds_a_certificate_of_another_host(self) -> None:
        self.certs("--agent", "compute-2")
        self.write_configuration("agents/compute-2")
        self.assertRegex("\n".join(self.failed()), "certificate: .*is for compute-2, this host is compute-1")

    def test_finds_a_key_that_everybody_may_read(self) -> None:
        (self.pki / "agents" / "compute-1.key").chmod(0o644)
        self.assertRegex("\n".join(self.failed()), "files: .*everybody may read it")

    def test_finds_a_daemon_that_does_not_answer(self) -> None:
        self.agent.close()
        self.assertRegex("\n".join(self.failed()), "status: unix:")

    def test_names_a_remedy_for_every_failure(self) -> None:
        self.write_configuration("agents/nobody", free_port())
        failures = [each for each in self.examine()[1] if each["result"] == "failed"]
        self.assertTrue(failures)
        for each in failures:
            self.assertTrue(each["remedy"], each)

    def metrics_at(self, port: int) -> None:
        with (self.dir / "agent.conf").open("a") as file:
            file.write(f"[metrics]\nlisten = 127.0.0.1:{port}\n")

    def test_finds_a_port_that_another_program_has(self) -> None:
        self.agent.close()
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.metrics_at(other.getsockname()[1])
            self.assertRegex("\n".join(self.failed()), r"ports: \[metrics\] 127.0.0.1:[0-9]+: another program listens there")

    def test_finds_a_port_that_the_running_daemon_does_not_serve(self) -> None:
        self.metrics_at(free_port())
        self.assertRegex("\n".join(self.failed()), r"ports: \[metrics\] 127.0.0.1:[0-9]+: nobody listens")

    def test_finds_a_problem_of_the_daemon_and_its_page(self) -> None:
        self.controller.close()
        wait_until(lambda: self.agent.problems(), "the agent has no controller")
        found = {each["detail"]: each for each in self.examine()[1]}
        problem = next(each for detail, each in found.items() if detail.startswith("no controller is connected"))
        self.assertEqual((problem["check"], problem["result"]), ("connection", "failed"))
        self.assertEqual(Path(problem["remedy"]).read_text().splitlines()[0], "# no controller is connected")

    def test_says_that_nothing_is_configured(self) -> None:
        done = subprocess.run([ROOT / "cli" / "vitalwire-doctor", "--agent-config", "/none", "--controller-config", "/none"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("neither a controller nor an agent", done.stderr)


class Certificates(ProcessTestCase):
    """What is found about a certificate of an agent or a controller."""

    def setUp(self) -> None:
        for authority in ("ours", "theirs"):
            subprocess.run([ROOT / "cli" / "vitalwire-certs", "--directory", self.dir / authority, "--agent", "compute-1",
                            "--controller", f"{socket.gethostname()},192.0.2.1", "--controller", "elsewhere"],
                           check=True, stdout=subprocess.DEVNULL)

    def findings(self, program: str, certificate: Path, authority: Path) -> list[node.Finding]:
        config = self.dir / "daemon.conf"
        host = "host = compute-1\n" if program == "agent" else ""
        config.write_text(f"[{program}]\n{host}[bus]\nca = {authority}\ncertificate = {certificate}\n")
        return list(node.check_certificates(node.Daemon(program, config, "", "", "")))

    def results(self, *arguments: Any) -> list[str]:
        return [each.result for each in self.findings(*arguments)]

    def test_an_authority_for_each_side_is_no_mistake(self) -> None:
        found = self.findings("agent", self.dir / "ours/agents/compute-1.pem", self.dir / "theirs/ca.pem")
        self.assertEqual([each.result for each in found], ["ok"])
        self.assertIn("the other side's ca has to be another", found[0].detail)

    def test_a_chain_may_be_in_the_file(self) -> None:
        def openssl(*arguments: str | Path) -> None:
            subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.dir)

        (self.dir / "ca").write_text("basicConstraints=critical,CA:TRUE\n")
        (self.dir / "leaf").write_text("subjectAltName=DNS:compute-1\n")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=root")
        for name, signer, extensions in (("middle", "root", "ca"), ("end", "middle", "leaf")):
            openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", "csr", "-subj", f"/CN={name}")
            openssl("x509", "-req", "-in", "csr", "-CA", f"{signer}.pem", "-CAkey", f"{signer}.key", "-set_serial", "7",
                    "-days", "90", "-extfile", extensions, "-out", f"{name}.pem")
        chain = self.dir / "chain.pem"
        chain.write_text((self.dir / "end.pem").read_text() + (self.dir / "middle.pem").read_text())
        found = self.findings("agent", chain, self.dir / "root.pem")
        self.assertEqual([(each.result, "not in" in each.detail) for each in found], [("ok", False)])

    def test_one_that_is_over_is_told_once_with_its_end(self) -> None:
        key, fresh, path = (self.dir / name for name in ("key.pem", "fresh.pem", "old.pem"))
        for command in (("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", fresh, "-subj", "/CN=old",
                         "-addext", "subjectAltName=DNS:compute-1"),
                        # It ends as it begins.
                        ("x509", "-in", fresh, "-signkey", key, "-days", "0", "-out", path)):
            subprocess.run(["openssl", *command], check=True, capture_output=True)
        over = ["openssl", "x509", "-in", path, "-noout", "-checkend", "0"]
        wait_until(lambda: subprocess.run(over, check=False, capture_output=True).returncode == 1, "it is over")
        found = self.findings("agent", path, path)
        self.assertEqual([(each.result, each.remedy) for each in found], [("failed", "renew it")], found)

    def test_a_controllers_names_this_host(self) -> None:
        ours = self.dir / "ours"
        self.assertEqual(self.results("controller", ours / f"controllers/{socket.gethostname().lower()}.pem", ours / "ca.pem"), ["ok"])
        self.assertEqual(self.results("controller", ours / "controllers/elsewhere.pem", ours / "ca.pem"), ["ok", "warning"])


class OfController(ProcessTestCase):
    """On a controller: what it answers, and what its receivers do."""

    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())

    def start_controller(self, wrap: Callable[[list[str | Path]], list[str | Path]] = list, **more: str | Path) -> None:
        self.controller = Controller(self.dir / "controller", self.inspector, wrap=wrap, **more)
        self.addCleanup(self.controller.close)
        # As an operator has it, in a file.
        printed = subprocess.run([*self.controller.argv, "--print-config"], check=True, capture_output=True, text=True).stdout
        (self.dir / "controller.conf").write_text(printed)

    def examine(self, *options: str, agent_config: str | Path = "/nonexistent") -> list[dict[str, str]]:
        done = subprocess.run(
            [ROOT / "cli" / "vitalwire-doctor", "--agent-config", agent_config, "--controller-config", self.dir / "controller.conf",
             "--programs", BUILD, "--json", *options], capture_output=True, text=True, check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return [each for each in json.loads(done.stdout)["findings"] if each["check"] != "service"]

    def found(self, check: str, *options: str) -> dict[str, dict[str, str]]:
        return {each["detail"]: each for each in self.examine(*options) if each["check"] == check}

    def test_sends_a_test_event_through_each_sink(self) -> None:
        self.start_controller(**{"sink__away__type": "webhook", "sink__away__url": f"http://127.0.0.1:{free_port()}/",
                                 "sink__log__type": "log"})
        found = self.found("test event", "--test-event")
        results = {detail.split(" ")[0]: each["result"] for detail, each in found.items()}
        self.assertEqual(results, {"away": "failed", "inspector": "ok", "log": "ok"})
        self.assertRegex(next(detail for detail in found if detail.startswith("away")), "not acknowledged in .* s, .*refused")
        statuses = [event["details"]["status"] for event in self.inspector.events() if event["details"]["kind"] == "test_event"]
        self.assertEqual(statuses[:1], ["down"])
        wait_until(lambda: "up" in [event["details"]["status"] for event in self.inspector.events()], "it has ended")

    def test_a_test_event_that_no_policy_sends_is_a_warning(self) -> None:
        self.start_controller(**{"policy__guests__kinds": "heartbeat_lost", "policy__guests__sinks": "inspector"})
        found = self.found("test event", "--test-event")
        self.assertEqual([each["result"] for each in found.values()], ["warning"])
        self.assertIn("suppressed", next(iter(found)))

    def test_without_the_option_nothing_is_sent(self) -> None:
        self.start_controller()
        self.assertEqual(self.found("test event"), {})
        self.assertEqual(self.inspector.events(), [])

    def test_asks_over_the_socket_where_tcp_needs_a_token(self) -> None:
        secret = self.dir / "token"
        secret.write_text("a-reader's-secret\n")
        secret.chmod(0o400)
        port = free_port()
        listen = f"127.0.0.1:{port} unix:{self.dir}/controller/http.sock"
        self.start_controller(http__listen=listen, http__reader_token_file=secret)
        self.assertEqual([each["result"] for each in self.found("status").values()], ["ok"])

    def test_an_answer_that_is_rejected_is_not_taken_for_a_good_one(self) -> None:
        secret = self.dir / "token"
        secret.write_text("a-reader's-secret\n")
        secret.chmod(0o400)
        port = free_port()
        self.start_controller(http__listen=f"unix:{self.dir}/controller/http.sock 127.0.0.1:{port}", http__reader_token_file=secret)
        text = (self.dir / "controller.conf").read_text()
        (self.dir / "controller.conf").write_text(re.sub(r"(?m)^listen = unix:.*http\.sock.*$", f"listen = 127.0.0.1:{port}", text))
        found = self.found("status")
        self.assertRegex(next(iter(found)), "answers 401")
        self.assertEqual([each["result"] for each in found.values()], ["failed"])

    def test_finds_clocks_that_differ(self) -> None:
        library = self.dir / "ahead.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("clock_ahead.c")], check=True)
        port = free_port()
        self.start_controller(lambda argv: ["env", f"LD_PRELOAD={library}", *argv],
                              http__listen=f"unix:{self.dir}/controller/http.sock 127.0.0.1:{port}")
        agent = Agent(self.dir / "compute-1", "compute-1", self.controller)
        self.addCleanup(agent.close)
        wait_until(lambda: "clock_ahead_ms" in agent.status()["links"][0], "the controller has accepted the agent")
        printed = subprocess.run([*agent.argv, "--print-config"], check=True, capture_output=True, text=True).stdout
        (self.dir / "agent.conf").write_text(printed)
        with (self.dir / "controller.conf").open("a") as file:
            file.write(f"\n[peers]\nurl = http://127.0.0.1:{port}\n")
        differ = [each for each in self.examine(agent_config=self.dir / "agent.conf")
                  if each["check"] == "clock" and each["result"] == "failed"]
        self.assertEqual([each["daemon"] for each in differ], ["controller", "agent"])
        for each in differ:
            self.assertRegex(each["detail"], "(89|90|91) s ahead of this host's")
            self.assertTrue(each["remedy"])


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    unittest.main()
