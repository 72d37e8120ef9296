#!/usr/bin/python3
"""vitalwire-app: health for scripts and programs as they are."""

import contextlib
import json
import os
from pathlib import Path
import pty
import signal
import socket
import subprocess
import sys
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from test_vitalwired import BUILD, VITALWIRED, VitalwiredTest
from vmbed.procs import wait_until

APP = BUILD / "guest" / "vitalwire-app"
GROUP = BUILD / "guest" / "vitalwire-group"


class VitalwireApp(VitalwiredTest):
    def setUp(self) -> None:
        self.environment = {**os.environ, "VITALWIRE_SOCKET": f"{self.dir}/apps"}

    def app(self, *arguments: object, **more: object) -> subprocess.CompletedProcess:
        argv = [APP, *map(str, arguments)]
        return subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=60, **more)

    def status(self) -> dict:
        return json.loads(self.app("status", "--json").stdout)


class WithDaemon(VitalwireApp):
    def setUp(self) -> None:
        super().setUp()
        self.start_guest()
        self.register()

    def test_a_report_stays_until_it_is_reported_again(self):
        self.assertEqual(self.app("report", "backup", "unhealthy", "no space").returncode, 0)
        self.await_reason("report backup: no space")
        self.assertEqual(self.app("status").returncode, 1)
        self.assertEqual(self.app("report", "backup", "healthy").returncode, 0)
        self.await_reason("")
        self.assertEqual(self.app("list").stdout, "report\tbackup\thealthy\t-\n")
        self.assertEqual(self.app("forget", "backup").returncode, 0)
        self.assertEqual(self.app("list").stdout, "")

    def test_a_report_that_is_not_renewed_turns_unhealthy(self):
        self.app("report", "backup", "healthy", "--every", "0.3")
        self.await_reason("report backup: was not renewed within 300 ms")

    def test_status_tells_why_and_who(self):
        status = self.app("status")
        self.assertEqual((status.returncode, status.stderr), (0, ""))
        self.assertIn("watches this guest", status.stdout)
        self.app("report", "backup", "unhealthy", "no space")
        told = self.status()
        self.assertEqual((told["registered"], told["healthy"], told["reason"]), (True, False, "report backup: no space"))
        self.assertEqual(told["items"], [{"kind": "report", "name": "backup", "state": "unhealthy",
                                          "reason": "no space", "uid": os.getuid()}])

    def test_many_items_are_listed(self):
        for name in range(70):
            self.app("report", f"job{name}", "healthy")
        self.assertEqual(len(self.app("list").stdout.splitlines()), 70)
        self.assertEqual(self.app("status").returncode, 0)

    def test_with_as_many_applications_as_may_be_one_can_look_and_report(self):
        self.configure("[applications]\nmax = 1\n")
        self.guest.signal(signal.SIGHUP)
        self.await_log("configuration reloaded")
        program = subprocess.Popen([APP, "run", "web", "--", "sleep", "100"], env=self.environment)
        self.addCleanup(program.wait)
        self.addCleanup(program.terminate)
        wait_until(lambda: "application\tweb" in self.app("list").stdout, "it is registered")
        self.assertEqual(self.app("status").returncode, 0)
        self.assertEqual(self.app("report", "backup", "unhealthy", "no space").returncode, 0)
        self.await_reason("report backup: no space")

    def test_status_without_a_host_says_so(self):
        self.host.disconnect()
        wait_until(lambda: self.app("status").returncode == 3, "nobody watches")
        self.assertIn("does not watch this guest: waiting for a host", self.app("status").stdout)

    def test_a_program_is_watched_while_it_runs_and_its_failure_is_the_verdict(self):
        program = subprocess.Popen([APP, "run", "web", "--", "sh", "-c", "read line; exit 3"], env=self.environment,
                                   stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: "application\tweb\thealthy\t-\n" in self.app("list").stdout, "it is registered")
        _, said = program.communicate(b"end\n", timeout=30)
        self.assertEqual((program.returncode, said), (3, b""))
        self.await_reason("application web: ended without deregistering: exit status 3")
        self.assertEqual(self.app("list").stdout, "application\tweb\tended\twithout deregistering: exit status 3\n")
        self.assertEqual(self.app("run", "web", "--", "true").returncode, 0)
        self.await_reason("")
        self.assertEqual(self.app("list").stdout, "")

    def test_the_verdict_of_a_program_needs_no_room_of_its_own(self):
        self.configure("[applications]\nmax = 1\n")
        self.guest.signal(signal.SIGHUP)
        self.await_log("configuration reloaded")
        self.assertEqual(self.app("run", "web", "--", "sh", "-c", "exit 3").returncode, 3)
        self.await_reason("application web: ended without deregistering: exit status 3")

    def test_the_verdict_outlasts_a_restart_of_the_daemon(self):
        program = subprocess.Popen([APP, "run", "web", "--", "sh", "-c", "read line; exit 3"], env=self.environment,
                                   stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: "application\tweb\thealthy\t-\n" in self.app("list").stdout, "it is registered")
        self.guest.kill()
        program.stdin.write(b"end\n")
        program.stdin.flush()
        self.start_guest()
        self.register()
        _, said = program.communicate(timeout=30)
        self.assertEqual((program.returncode, said), (3, b""))
        self.await_reason("application web: ended without deregistering: exit status 3")

    def test_a_verdict_that_a_daemon_which_hangs_does_not_read_is_told(self):
        for status, said in ((3, "the verdict 'exit status 3'"), (0, "the success of 'web'")):
            program = subprocess.Popen([APP, "run", "web", "--", "sh", "-c", f"read line; exit {status}"],
                                       env=self.environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            wait_until(lambda: "application\tweb\thealthy\t-\n" in self.app("list").stdout, "it is registered")
            self.guest.signal(signal.SIGSTOP)
            _, error = program.communicate("end\n", timeout=30)
            self.guest.signal(signal.SIGCONT)
            self.assertEqual((program.returncode, error),
                             (status, f"vitalwire-app: {said} was not delivered: vitalwired does not answer\n"))

    def test_a_success_outlasts_a_restart_of_the_daemon(self):
        program = subprocess.Popen([APP, "run", "web", "--", "sh", "-c", "read line"], env=self.environment,
                                   stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: "application\tweb\thealthy\t-\n" in self.app("list").stdout, "it is registered")
        self.guest.kill()
        program.stdin.write(b"end\n")
        program.stdin.flush()
        self.start_guest()
        self.register()
        _, said = program.communicate(timeout=30)
        self.assertEqual((program.returncode, said), (0, b""))
        self.assertEqual(self.app("list").stdout, "")

    def test_a_verdict_that_is_refused_is_told(self):
        first = subprocess.Popen([APP, "run", "web", "--", "sleep", "100"], env=self.environment)
        self.addCleanup(first.wait)
        self.addCleanup(first.terminate)
        wait_until(lambda: "application\tweb" in self.app("list").stdout, "it is registered")
        second = self.app("run", "web", "--", "sh", "-c", "exit 3")
        self.assertEqual(second.returncode, 3)
        self.assertIn("the verdict 'exit status 3' was not delivered: an application called 'web' is registered "
                      "already\n", second.stderr)

    def test_the_end_of_a_program_is_noticed_though_children_are_ignored(self):
        program = subprocess.Popen([APP, "run", "web", "--", "sh", "-c", "exit 3"], env=self.environment,
                                   preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual(program.wait(30), 3)
        self.await_reason("application web: ended without deregistering: exit status 3")

    def test_a_program_that_takes_too_long_is_ended(self):
        ended = self.app("run", "job", "--timeout", "0.5", "--", "sleep", "100")
        self.assertEqual(ended.returncode, 124)
        self.await_reason("application job: ended without deregistering: did not finish within 500 ms")

    def test_a_program_that_is_stopped_in_order_is_no_fault(self):
        program = subprocess.Popen([APP, "run", "web", "--", "sleep", "100"], env=self.environment)
        wait_until(lambda: "application\tweb" in self.app("list").stdout, "it is registered")
        program.send_signal(signal.SIGTERM)
        self.assertEqual(program.wait(30), 128 + signal.SIGTERM)
        self.assertEqual(self.app("list").stdout, "")
        self.await_reason("")

    def test_a_program_that_another_signal_ends_is_a_fault(self):
        self.assertEqual(self.app("run", "web", "--", "sh", "-c", "kill -TERM $$").returncode, 128 + signal.SIGTERM)
        self.await_reason("application web: ended without deregistering: killed by signal Terminated")

    def test_the_terminal_interrupts_the_program_once(self):
        (self.dir / "program").write_text("trap 'count=x$count; echo interrupted' INT\n"
                                          "trap 'echo told $count; exit 0' USR1\n"
                                          "echo ready\nwhile :; do sleep 0.1; done\n")
        terminal, inside = pty.openpty()
        self.addCleanup(os.close, terminal)
        program = subprocess.Popen(["setsid", "--ctty", APP, "run", "web", "--", "sh", self.dir / "program"],
                                   env=self.environment, stdin=inside, stdout=inside, stderr=inside)
        self.addCleanup(os.close, inside)
        self.shown = ""

        def await_shown(text: str) -> None:
            while text not in self.shown:
                self.shown += os.read(terminal, 1024).decode()

        await_shown("ready")
        os.write(terminal, b"\x03")
        await_shown("interrupted")
        program.send_signal(signal.SIGUSR1)
        await_shown("told")
        await_shown("told x\r\n")
        self.assertEqual(program.wait(30), 0)

    def test_a_program_that_does_not_exist(self):
        ended = self.app("run", "web", "--", "/no/such/program")
        self.assertEqual(ended.returncode, 127)
        self.assertIn("cannot start /no/such/program: No such file or directory", ended.stderr)

    def test_a_name_that_is_in_use_is_a_warning_and_told(self):
        first = subprocess.Popen([APP, "run", "web", "--", "sleep", "100"], env=self.environment)
        wait_until(lambda: "application\tweb" in self.app("list").stdout, "it is registered")
        second = self.app("run", "web", "--", "sleep", "1")
        self.assertEqual(second.returncode, 0)
        self.assertIn("'web' is not watched: an application called 'web' is registered already", second.stderr)
        self.await_log("an application is not watched")
        first.send_signal(signal.SIGTERM)
        first.wait(30)

    def run_asked(self, script: str) -> None:
        """A program that runs as "web" and is asked about actions with that script."""
        hook = self.dir / "on-action"
        hook.write_text(f'#!/bin/sh\necho "$*" >> {self.dir}/asked\n{script}\n')
        hook.chmod(0o755)
        self.log_of_program = self.dir / "web.log"
        with self.log_of_program.open("w") as log:
            self.program = subprocess.Popen([APP, "run", "web", "--on-action", hook, "--", "sleep", "1000"],
                                            env=self.environment, stderr=log)
        self.addCleanup(self.program.wait)
        self.addCleanup(self.program.terminate)
        wait_until(lambda: "application\tweb" in self.app("list").stdout, "it is registered")

    def answer_to(self, *question: object) -> tuple[str, str]:
        self.host.ask(*question)
        answer = self.host.receive("action_response")
        return answer["vote_result"], answer.get("reason", "")

    def test_a_program_rejects_an_action_by_its_command(self):
        self.run_asked('[ "$1 $2" = "revocable stop" ] && { echo "last member"; echo "more"; exit 1; }; exit 0')
        self.assertEqual(self.answer_to("stop"), ("reject", "application web: last member"))
        self.assertEqual(self.answer_to("pause"), ("accept", ""))
        self.assertEqual(self.answer_to("stop", False), ("complete", ""))
        self.assertEqual((self.dir / "asked").read_text(), "revocable stop\nrevocable pause\nirrevocable stop\n")
        self.assertEqual(self.log_of_program.read_text(), "")

    def test_a_command_that_fails_consents_and_it_is_told(self):
        self.run_asked("echo 'no licence'; exit 7")
        self.assertEqual(self.answer_to("stop"), ("accept", ""))
        wait_until(lambda: "exit status 7 (expected 0 or 1), which counts as consent: no licence"
                   in self.log_of_program.read_text(), "it is told")

    def test_a_command_that_hangs_delays_by_what_the_host_waits_and_no_question_of_health(self):
        self.run_asked("sleep 1000")
        started = time.monotonic()
        result, reason = self.answer_to("stop", True, "session-1", 3000)
        self.assertEqual((result, reason), ("timeout", "application web did not answer in time"))
        self.assertLess(time.monotonic() - started, 20)
        self.await_reason("")
        wait_until(lambda: "killed by signal Killed" in self.log_of_program.read_text(), "its command is ended")

    def test_a_command_that_stops_its_program_has_time_for_what_comes_after(self):
        script = f"kill $(cat {self.dir}/run); while [ ! -e {self.dir}/go ]; do sleep 0.1; done; echo done > {self.dir}/after"
        self.run_asked(f'[ "$1" = irrevocable ] && {{ {script}; }}; exit 0')
        (self.dir / "run").write_text(f"{self.program.pid}\n")
        self.host.ask("stop", False)
        wait_until(lambda: not self.watched_program(), "the program is stopped")
        self.await_reason("")
        self.assertIsNone(self.program.poll(), "the command still runs")
        (self.dir / "go").write_text("")
        self.assertEqual(self.host.receive("action_response")["vote_result"], "complete")
        self.assertEqual((self.dir / "after").read_text(), "done\n")
        self.program.wait(30)
        self.await_reason("")

    def watched_program(self) -> list[int]:
        """The process of what is run as "web" while it runs."""
        listed = subprocess.run(["ps", "--ppid", str(self.program.pid), "-o", "pid=,args="], capture_output=True, text=True)
        lines = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
        return [int(pid) for pid, command in lines if command == "sleep 1000"]

    def test_a_program_that_fails_meanwhile_is_a_fault_at_once_and_its_command_goes_on(self):
        self.run_asked(f"while [ ! -e {self.dir}/go ]; do sleep 0.1; done; exit 1")
        self.host.ask("stop")
        wait_until((self.dir / "asked").exists, "the command runs")
        os.kill(self.watched_program()[0], signal.SIGKILL)
        self.await_reason("application web: killed by signal Killed")
        (self.dir / "go").write_text("")
        self.assertEqual(self.host.receive("action_response")["vote_result"], "reject")
        self.program.wait(30)
        self.await_reason("application web: ended without deregistering: killed by signal Killed")

    def test_a_second_signal_ends_a_command_that_outlasts_its_program(self):
        self.run_asked(f"echo $$ > {self.dir}/pid; sleep 1000")
        self.host.ask("stop", False)
        wait_until(lambda: (self.dir / "pid").exists() and (self.dir / "pid").read_text(), "the command runs")
        process = Path("/proc", (self.dir / "pid").read_text().strip())
        self.program.terminate()
        wait_until(lambda: not self.watched_program(), "the program is stopped")
        self.assertTrue(process.exists())
        self.program.terminate()
        self.assertEqual(self.host.receive("action_response")["vote_result"], "complete")
        wait_until(lambda: not process.exists(), "the command is ended")

    def test_what_a_command_writes_to_standard_error_is_the_reason_where_it_says_nothing_else(self):
        self.run_asked("echo 'no licence' >&2; exit 1")
        self.assertEqual(self.answer_to("stop"), ("reject", "application web: no licence"))
        wait_until(lambda: "no licence\n" in self.log_of_program.read_text(), "it is in the program's log as well")

    def test_what_cannot_be_written_is_a_failure(self):
        for program, *arguments in ((APP, "status"), (APP, "list"), (APP, "list", "--json"), (APP, "--help"),
                                    (APP, "--version"), (GROUP, "--help"), (GROUP, "--version"), (VITALWIRED, "--help"),
                                    (VITALWIRED, "--version"), (VITALWIRED, "--config", os.devnull, "--check-config")):
            self.app("report", "backup", "healthy")
            with open("/dev/full", "w") as full:
                ended = subprocess.run([program, *arguments], env=self.environment, stdout=full, stderr=subprocess.PIPE,
                                       text=True, timeout=60)
            self.assertEqual(ended.returncode, 1, arguments)
            self.assertEqual(ended.stderr, f"{program.name}: cannot write the output: No space left on device\n")

    def test_a_restart_of_the_daemon_ends_no_fault(self):
        self.app("report", "backup", "unhealthy", "no space")
        self.assertEqual(self.app("run", "web", "--", "false").returncode, 1)
        reason = "report backup: no space; application web: ended without deregistering: exit status 1"
        self.await_reason(reason)
        for kill in (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
            if kill != signal.SIGHUP:
                self.host.disconnect()
                self.guest.signal(kill)
                self.guest.wait()
                self.start_guest()
                self.register()
            else:
                self.guest.signal(kill)
                self.await_log("configuration reloaded")
            self.assertEqual(self.host.challenge()["reason"], reason)
        self.app("forget", "web")
        self.await_reason("report backup: no space")

    def test_a_daemon_that_stands_still_and_takes_no_connections_is_not_waited_for(self):
        waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(200)]
        for each in waiting:
            self.addCleanup(each.close)
            each.setblocking(False)
        self.guest.signal(signal.SIGSTOP)
        self.addCleanup(self.guest.signal, signal.SIGCONT)
        for each in waiting:
            with contextlib.suppress(BlockingIOError):
                each.connect(f"{self.dir}/apps")
        ended = self.app("status")
        self.assertEqual((ended.returncode, ended.stderr), (3, "vitalwire-app: vitalwired did not answer within 5 s\n"))

    def test_forget_what_is_not_there(self):
        ended = self.app("forget", "nothing")
        self.assertEqual((ended.returncode, ended.stderr), (1, "vitalwire-app: nothing is called 'nothing'\n"))


class WithoutDaemon(VitalwireApp):
    def test_the_program_runs_and_it_is_told_that_nobody_watches(self):
        started = time.monotonic()
        ended = self.app("run", "web", "--", "sh", "-c", "sleep 2; echo done")
        self.assertEqual((ended.returncode, ended.stdout), (0, "done\n"))
        self.assertIn("vitalwired is not there: 'web' is not watched until it is", ended.stderr)
        self.assertLess(time.monotonic() - started, 30)

    def test_a_verdict_that_nobody_takes_is_told(self):
        ended = self.app("run", "web", "--", "sh", "-c", "exit 3")
        self.assertEqual(ended.returncode, 3)
        self.assertIn("the verdict 'exit status 3' was not delivered: vitalwired is not there", ended.stderr)

    def test_a_success_that_nobody_takes_is_told(self):
        ended = self.app("run", "web", "--", "true")
        self.assertEqual((ended.returncode, ended.stderr),
                         (0, "vitalwire-app: the success of 'web' was not delivered: vitalwired is not there\n"))

    def test_what_needs_the_daemon_says_so(self):
        for verb in (["status"], ["list"], ["forget", "x"], ["report", "x", "healthy"]):
            ended = self.app(*verb)
            self.assertEqual(ended.returncode, 3 if verb == ["status"] else 1)
            self.assertIn(f"cannot connect to vitalwired on {self.dir}/apps", ended.stderr)

    def test_mistakes_in_the_arguments_are_named(self):
        for arguments, mistake in (([], "expected run, report"), (["dance"], "unknown command 'dance'"),
                                   (["run"], "expected NAME"), (["run", "a b", "--", "x"], "NAME: expected"),
                                   (["run", "web"], "expected COMMAND"), (["report", "x"], "expected healthy"),
                                   (["report", "x", "ill"], "expected healthy"), (["list", "x"], "unexpected argument"),
                                   (["list", "--every", "3"], "--every is for report"),
                                   (["status", "--on-action", "x"], "--on-action is for run"),
                                   (["run", "x", "--on-action", "", "--", "y"], "--on-action: expected a command"),
                                   (["run", "x", "-t", "soon", "--", "y"], "--timeout: expected seconds"),
                                   (["report", "x", "healthy", "--frob"], "an option is wrong")):
            ended = self.app(*arguments)
            self.assertEqual(ended.returncode, 2, arguments)
            self.assertIn(mistake, ended.stderr)


if __name__ == "__main__":
    unittest.main()
