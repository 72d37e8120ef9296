#!/usr/bin/python3
"""The configuration of agent and controller: what is checked, shown and reloaded, and what some of its keys do."""

import contextlib
import http.client
import json
import os
from pathlib import Path
import signal
import socket
import sqlite3
import subprocess
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from suite import BUILD
from vmbed.procs import Daemon, ProcessTestCase, free_port, http_json, http_metrics, wait_until

CONTROLLER = BUILD / "controller" / "vitalwire-controller"
AGENT = BUILD / "host" / "vitalwire-agent"


class ConfigurationTestCase(ProcessTestCase):
    def setUp(self) -> None:
        self.file = self.dir / "x.conf"

    def run_with(self, program: Path, text: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        self.file.write_text(text)
        return subprocess.run([program, "--config", self.file, *arguments], capture_output=True, text=True, timeout=60,
                              check=False)

    def secret(self, name: str, mode: int) -> Path:
        path = self.dir / name
        path.write_text("a-secret\n")
        path.chmod(mode)
        return path

    def controller(self, text: str = "") -> str:
        return (f"[controller]\nstate = {self.dir}/c.db\n[bus]\nlisten = unix://{self.dir}/bus\n"
                f"[http]\nlisten = unix:{self.dir}/http\n{text}")

    def agent(self, text: str = "") -> str:
        return f"[agent]\nstate = {self.dir}/a.db\nlisten = unix:{self.dir}/agent.sock\n{text}"


class Check(ConfigurationTestCase):
    def assert_found(self, program: Path, text: str, line: int, message: str) -> None:
        with self.subTest(message):
            done = self.run_with(program, text, "--check-config")
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            self.assertIn(f"{self.file}:{line}: {message}", done.stderr)

    def test_what_is_right_passes(self) -> None:
        for program, text in ((CONTROLLER, self.controller()), (AGENT, self.agent())):
            done = self.run_with(program, text, "--check-config")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(path.name for path in self.dir.iterdir()), ["x.conf"], "nothing is made")

    def test_folders_of_sockets_and_of_the_state(self) -> None:
        none = f"{self.dir}/none"
        missing = f"{none}: expected a folder: No such file or directory"
        self.assert_found(CONTROLLER, f"[http]\nlisten = unix:{none}/http\n", 2, f"[http] listen: {missing}")
        self.assert_found(CONTROLLER, f"[bus]\nlisten = unix://{self.dir}/bus\nlisten = unix://{none}/bus\n", 3,
                          f"[bus] listen: {missing}")
        self.assert_found(CONTROLLER, f"[controller]\nstate = {none}/c.db\n", 2, f"[controller] state: {missing}")
        self.assert_found(AGENT, f"[agent]\nlisten = unix:{none}/agent.sock\n", 2, f"[agent] listen: {missing}")
        self.assert_found(AGENT, f"[agent]\nstate = {none}/a.db\n", 2, f"[agent] state: {missing}")
        self.assert_found(AGENT, f"[agent]\nstate = {self.dir}\n", 2, f"[agent] state: {self.dir}: expected no folder")

    def test_secrets_that_are_missing_or_that_others_may_read(self) -> None:
        sink = "[sink s]\ntype = webhook\nurl = http://h:1/\nsecret_file = "
        self.assert_found(CONTROLLER, self.controller(f"{sink}{self.dir}/none\n"), 10,
                          "[sink s] secret_file: expected a readable file with the secret in its first line, "
                          f"{self.dir}/none: cannot read")
        path = self.secret("open", 0o640)
        self.assert_found(CONTROLLER, self.controller(f"{sink}{path}\n"), 10,
                          f"[sink s] secret_file: {path}: holds a secret, expected mode 0400 or 0600, found 0640")
        done = self.run_with(CONTROLLER, self.controller(f"{sink}{self.secret('closed', 0o400)}\n"), "--check-config")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_addresses_that_cannot_be_connected_to(self) -> None:
        self.assert_found(AGENT, self.agent("[bus]\ncontroller = tcp://127.0.0.1:0\n"), 5,
                          "[bus] controller: expected a port from 1 to 65535")
        self.assert_found(AGENT, self.agent("[bus]\ncontroller = tcp://127.0.0.1:65536\n"), 5,
                          "[bus] controller: expected host:port")
        self.assert_found(AGENT, self.agent("[bus]\ncontroller = amqp://127.0.0.1:0/\n"), 5, "[bus] controller: expected amqp://")
        self.assert_found(CONTROLLER, self.controller("[peers]\nurl = http://a:1\nurl = http://:8990\n"), 9,
                          "[peers] url: expected a host after //")

    def test_a_state_of_a_later_release(self) -> None:
        for program, text, name in ((CONTROLLER, self.controller(), "c.db"), (AGENT, self.agent(), "a.db")):
            with contextlib.closing(sqlite3.connect(self.dir / name)) as state:
                state.execute("CREATE TABLE entry (section TEXT)")
                state.execute("PRAGMA user_version = 99")
                state.commit()
            self.assert_found(program, text, 2, f"[{'controller' if name == 'c.db' else 'agent'}] state: {self.dir}/{name}: "
                                                "written by a later release (schema version 99")

    def test_addresses_that_another_program_listens_on(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as path:
            path.bind(f"{self.dir}/taken")
            path.listen()
            address = f"127.0.0.1:{tcp.getsockname()[1]}"
            by = f"is in use by {Path('/proc/self/comm').read_text().strip()} (process {os.getpid()})"
            bus = f"[controller]\nstate = {self.dir}/c.db\n[http]\nlisten = unix:{self.dir}/http\n[bus]\n"
            self.assert_found(CONTROLLER, f"{bus}listen = tcp://{address}\n", 6, f"[bus] listen: {address}: {by}")
            self.assert_found(CONTROLLER, f"{bus}listen = unix://{self.dir}/taken\n", 6, f"[bus] listen: {self.dir}/taken: {by}")
            self.assert_found(AGENT, self.agent(f"[metrics]\nlisten = {address}\n"), 5, f"[metrics] listen: {address}: {by}")

    def test_addresses_of_the_daemon_that_runs_are_right(self) -> None:
        text = self.controller(f"listen = 127.0.0.1:{free_port()}\n")
        self.file.write_text(text)
        daemon = subprocess.Popen([CONTROLLER, "--config", self.file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: (self.dir / "http").exists(), "the daemon listens")
            done = self.run_with(CONTROLLER, text, "--check-config")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        finally:
            daemon.terminate()
            daemon.wait(30)

    def test_mistakes_of_the_inventory_by_its_own_lines(self) -> None:
        inventory = self.dir / "inventory.conf"
        inventory.write_text("[guest a]\ntypo = 1\n[guest b]\ntypo = 2\n")
        done = self.run_with(CONTROLLER, self.controller(f"[inventory]\nfile = {inventory}\n"), "--check-config")
        self.assertEqual(done.returncode, 2)
        for line in (2, 4):
            self.assertIn(f"{inventory}:{line}: ", done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "another user's rights")
    def test_the_rights_in_force_count(self) -> None:
        self.dir.chmod(0o755)
        closed = self.dir / "closed"
        closed.mkdir(mode=0o755)
        self.file.write_text(f"[controller]\nstate = {closed}/c.db\n")
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", CONTROLLER, "--config", self.file,
                               "--check-config"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn(f"{self.file}:2: [controller] state: {closed}: cannot write there (uid 65534)", done.stderr)


class Print(ConfigurationTestCase):
    def test_the_values_in_force_and_where_each_is_from(self) -> None:
        done = self.run_with(AGENT, self.agent("[heartbeat]\ndetection_time = 600 ms\n"), "--set", "agent.host=compute-7",
                             "--print-config")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        values = {tuple(part.strip() for part in line.split("#")) for line in done.stdout.splitlines()}
        for expected in (("host = compute-7", "--set"), (f"state = {self.dir}/a.db", f"{self.file}:2"),
                         ("detection_time = 600 ms", f"{self.file}:5"), ("report_interval = 30 s", "default"),
                         ("path = /run/vitalwire/channels", "default"), ("", "password_file is not set")):
            self.assertIn(expected, values, done.stdout)

    def test_what_is_printed_is_a_configuration_with_the_same_values(self) -> None:
        text = self.controller("[sink s]\ntype = webhook\nurl = http://h:1/\n[policy p]\nsinks = s\n")
        for program, given in ((CONTROLLER, text), (AGENT, self.agent())):
            first = self.run_with(program, given, "--print-config").stdout
            again = self.run_with(program, first, "--print-config").stdout
            values = [[line.split("  #")[0].rstrip() for line in each.splitlines()] for each in (first, again)]
            self.assertEqual(values[0], values[1])
            self.assertGreater(len(values[0]), 20)

    def test_secrets_are_masked(self) -> None:
        sink = "[sink s]\ntype = webhook\nurl = http://h:1/\nheader = X-Key: top-secret\nsecret_file = "
        done = self.run_with(CONTROLLER, self.controller(f"{sink}{self.secret('key', 0o600)}\n"), "--print-config")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("header = X-Key: (masked)", done.stdout)
        self.assertIn(f"secret_file = {self.dir}/key", done.stdout)
        self.assertNotIn("top-secret", done.stdout)
        self.assertNotIn("a-secret", done.stdout)

    def test_mistakes_are_reported_instead(self) -> None:
        done = self.run_with(AGENT, "[agent]\nlog_level = loud\n", "--print-config")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn(f"{self.file}:2: [agent] log_level", done.stderr)


class Running(ConfigurationTestCase):
    """Both daemons, with the file self.file."""

    def setUp(self) -> None:
        super().setUp()
        self.log = self.dir / "daemon.log"

    def run_daemon(self, program: Path, text: str) -> Daemon:
        self.file.write_text(text)
        daemon = Daemon([program, "--config", self.file], self.log)
        self.addCleanup(daemon.kill)
        return daemon.wait_ready()

    def vitalwire(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([BUILD / "cli" / "vitalwire", *arguments], capture_output=True, text=True, timeout=60, check=False)


class Reload(Running):
    def test_the_agent_tells_what_is_in_force_and_what_needs_a_restart(self) -> None:
        self.run_daemon(AGENT, self.agent())
        self.file.write_text(self.agent("log_level = debug\n[bus]\nreport_interval = 1 min\n[heartbeat]\nenabled = no\n"))
        done = self.vitalwire("--agent", self.dir / "agent.sock", "reload")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines(), [
            "applied: [agent] log_level: info -> debug",
            "applied: [heartbeat] enabled: yes -> no",
            "needs a restart: [bus] report_interval: 30 s -> 1 min",
        ])  # fmt: skip
        again = self.vitalwire("--agent", self.dir / "agent.sock", "reload").stdout
        self.assertEqual(again, "needs a restart: [bus] report_interval: 30 s -> 1 min\n")

    def test_the_controller_does_so_too(self) -> None:
        self.run_daemon(CONTROLLER, self.controller())
        self.file.write_text(self.controller().replace("[bus]", "log_level = error\n[bus]") + "[sink s]\ntype = log\n")
        done = self.vitalwire("--controller", f"unix:{self.dir}/http", "reload", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.assertIn("[controller] log_level: info -> error", answer["applied"])
        self.assertIn("[sink s] type: not set -> log", answer["applied"])

    def test_a_file_with_mistakes_changes_nothing(self) -> None:
        for program, good, where in ((AGENT, self.agent(), ("--agent", self.dir / "agent.sock")),
                                     (CONTROLLER, self.controller(), ("--controller", f"unix:{self.dir}/http"))):
            daemon = self.run_daemon(program, good)
            self.file.write_text(f"{good}[heartbeat]\ntypo = 1\n[nothing]\n")
            done = self.vitalwire(*where, "reload")
            self.assertEqual(done.returncode, 1)
            self.assertIn("the configuration has mistakes, nothing was changed", done.stderr)
            self.assertIn(f"{self.file}:", done.stderr)
            self.file.write_text(good)
            self.assertEqual(self.vitalwire(*where, "reload").stdout, "read again, no value of the file has changed\n")
            daemon.kill()

    def test_the_signal_logs_the_same(self) -> None:
        daemon = self.run_daemon(AGENT, self.agent())
        self.file.write_text(self.agent("[heartbeat]\nenabled = no\n[limits]\nqueue = 128K\n[bus]\ncontroller = none\n"))
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "configuration reloaded applied=2 needs_restart=1" in self.log.read_text(), "it is logged")
        self.assertIn("[limits] queue: 64K -> 128K", self.log.read_text().replace("64 K", "64K"))


class Metrics(Running):
    def start(self, more: str = "") -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.run_daemon(AGENT, self.agent(f"[metrics]\nlisten = {address}\n{more}"))
        return address

    def get(self, address: str, path: str, token: str = "", method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection(address, timeout=60)
        self.addCleanup(connection.close)
        connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def test_prometheus_reads_the_metrics_and_nothing_else(self) -> None:
        address = self.start()
        status, text = self.get(address, "/metrics")
        self.assertEqual(status, 200)
        self.assertIn("vitalwire_agent_channels_up 0", text)
        self.assertEqual(self.get(address, "/healthz")[0], 200)
        for path in ("/v1/status", "/v1/guests", "/v1/faults", "/readyz", "/"):
            self.assertEqual(self.get(address, path)[0], 404, path)
        self.assertEqual(self.get(address, "/v1/reload", method="POST")[0], 404)
        self.assertEqual(self.get(address, "/metrics", method="POST")[0], 405)

    def test_with_a_token_only_who_has_it_reads_them(self) -> None:
        address = self.start(f"token_file = {self.secret('token', 0o400)}\n")
        self.assertEqual(self.get(address, "/metrics")[0], 401)
        self.assertEqual(self.get(address, "/metrics", "another")[0], 401)
        self.assertEqual(self.get(address, "/metrics", "a-secret")[0], 200)
        self.assertEqual(self.get(address, "/healthz")[0], 200)


class UnreadableRows(Running):
    """A row of the state that is damaged, or written by a later release."""

    def damage(self, state: Path, table: str) -> None:
        with contextlib.closing(sqlite3.connect(state)) as file:
            file.execute("INSERT INTO entry (section, key, value) VALUES (?, 'x', '{damaged')", (table,))
            file.commit()

    def kept(self, state: Path) -> list[tuple[str, str]]:
        with contextlib.closing(sqlite3.connect(state)) as file:
            return list(file.execute("SELECT key, value FROM entry WHERE section = 'unreadable'"))

    def check(self, program: Path, text: str, state: Path, http: Path, metric: str) -> None:
        self.run_daemon(program, text).stop()
        self.damage(state, "faults")
        for start in ("the first", "the next"):
            with self.subTest(program=program.name, start=start):
                daemon = self.run_daemon(program, text)
                problems = [problem["what"] for problem in http_json(http, "/v1/status")["problems"]]
                self.assertIn("rows of the state cannot be read", problems)
                self.assertEqual(http_metrics(http)[metric], 1)
                daemon.stop()
                self.assertEqual(self.kept(state), [("faults/x", "{damaged")])

    def test_the_agent_keeps_it_and_says_so_at_every_start(self) -> None:
        self.check(AGENT, self.agent(), self.dir / "a.db", self.dir / "agent.sock", "vitalwire_agent_state_rows_unreadable_total")

    def test_the_controller_does_so_too(self) -> None:
        self.check(CONTROLLER, self.controller(), self.dir / "c.db", self.dir / "http",
                   "vitalwire_controller_state_rows_unreadable")


class StateOfALaterRelease(Running):
    def check(self, program: Path, text: str, state: Path) -> None:
        self.run_daemon(program, text).stop()
        with contextlib.closing(sqlite3.connect(state)) as file:
            file.execute("PRAGMA user_version = 99")
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = state.read_bytes()
        done = self.run_with(program, text)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"{state}: written by a later release (schema version 99, this one reads up to 1)", done.stderr)
        self.assertEqual(state.read_bytes(), before)
        self.assertEqual(sorted(path.name for path in self.dir.glob("*unreadable*")), [])

    def test_the_agent_says_so_and_leaves_it_alone(self) -> None:
        self.check(AGENT, self.agent(), self.dir / "a.db")

    def test_the_controller_does_so_too(self) -> None:
        self.check(CONTROLLER, self.controller(), self.dir / "c.db")


if __name__ == "__main__":
    unittest.main()
