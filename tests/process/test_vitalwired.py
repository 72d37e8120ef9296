#!/usr/bin/python3
"""vitalwired as a process: configuration, signals, service manager, health, memory."""

import ctypes
import contextlib
import json
import os
from pathlib import Path
import re
import signal
import socket
import subprocess
import sys
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from scripted_host import Host
from vmbed.procs import Daemon, Process, ProcessTestCase, wait_until

BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))
VITALWIRED = BUILD / "guest" / "vitalwired"
STATIC = "statically linked" in subprocess.run(["ldd", VITALWIRED], capture_output=True, text=True).stdout
OPTIMISED = "CMAKE_BUILD_TYPE:STRING=Debug" not in (BUILD / "CMakeCache.txt").read_text()
MAX_PRIVATE_KB = 2048
MAX_IDLE_PERCENT = 0.02

# Each execve() but the first one waits for a file "load", as for a disk that stands still (seccomp with a listener).
SLOW_EXECVE = """
import ctypes, fcntl, os, pathlib, struct, sys, time
folder = pathlib.Path(sys.argv[1])
EXECVE = {"x86_64": 59, "aarch64": 221}[os.uname().machine]
SECCOMP = {"x86_64": 317, "aarch64": 277}[os.uname().machine]
ASK, ALLOW = 0x7fc00000, 0x7fff0000
code = b"".join(struct.pack("=HBBI", *line) for line in (
    (0x20, 0, 0, 0), (0x15, 0, 1, EXECVE), (0x06, 0, 0, ASK), (0x06, 0, 0, ALLOW)))
lines = ctypes.create_string_buffer(code)
program = struct.pack("@HP", len(code) // 8, ctypes.addressof(lines))
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
listener = libc.syscall(SECCOMP, 1, 8, program)
if listener < 0:
    sys.exit("no seccomp: " + os.strerror(ctypes.get_errno()))
if os.fork() > 0:
    os.execv(sys.argv[2], sys.argv[2:])
libc.prctl(1, 9, 0, 0, 0)
for number in range(1000):
    asked = fcntl.ioctl(listener, 0xc0502100, bytes(80))
    if number > 0:
        (folder / "loading").touch()
    while number > 0 and not (folder / "load").exists():
        time.sleep(0.01)
    fcntl.ioctl(listener, 0xc0182101, struct.pack("=QqiI", struct.unpack_from("=Q", asked)[0], 0, 0, 1))
"""


class VitalwiredTest(ProcessTestCase):
    """A running vitalwired and a host that has it registered."""

    wrap: tuple = ()  # a command that starts it

    def configure(self, text: str) -> None:
        (self.dir / "vitalwired.conf").write_text(text)

    def handling_signals(self) -> dict[str, str]:
        """For the environment of a program: makes it handle SIGPROF."""
        library = self.dir / "handles_signals.so"
        source = ROOT / "tests" / "process" / "handles_signals.c"
        subprocess.run(["cc", "-shared", "-fPIC", source, "-o", library], check=True)
        return {"LD_PRELOAD": str(library)}

    def interrupt(self, process: Process) -> None:
        """Interrupts what each thread of a program waits for."""
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            self.assertEqual(ctypes.CDLL(None).tgkill(process.pid, int(thread.name), signal.SIGPROF), 0)
            wait_until(lambda: "SigPnd:\t0000000000000000" in (thread / "status").read_text(), "it is handled")

    def start_guest(self, config: str = "") -> None:
        self.configure(config)
        argv = [*self.wrap, VITALWIRED, "--config", self.dir / "vitalwired.conf", "--channel", f"unix:{self.dir}/channel",
                "--name", "vm1", "--app-socket", self.dir / "apps"]
        self.guest = self.start(Daemon(argv, self.dir / "guest.log")).wait_ready()

    def register(self) -> Host:
        self.host = Host(self.dir / "channel")
        self.addCleanup(self.host.disconnect)
        self.host.register()
        return self.host

    def await_reason(self, reason: str) -> None:
        """Challenges until the answer says so; an empty reason is healthy."""

        def answered() -> bool:
            answer = self.host.challenge()
            self.last = answer.get("reason", "")
            self.assertEqual(answer["healthy"], not self.last)
            return self.last == reason

        try:
            wait_until(answered, f"the reason is {reason!r}", 30)
        except TimeoutError:
            self.fail(f"the reason is {self.last!r}, not {reason!r}")

    def log(self) -> str:
        return (self.dir / "guest.log").read_text()

    def await_log(self, text: str) -> None:
        wait_until(lambda: text in self.log(), f"the log says {text!r}")


class Health(VitalwiredTest):
    def test_a_check_that_hangs_does_not_make_the_guest_silent(self):
        self.start_guest("[check stuck]\ncommand = sleep 1000\ninterval = 100 ms\ntimeout = 200 ms\n")
        self.register()
        self.await_reason("check stuck: did not finish within 200 ms")

    def test_a_shell_that_cannot_be_loaded_does_not_make_the_guest_silent(self):
        self.wrap = (sys.executable, "-c", SLOW_EXECVE, self.dir)
        self.start_guest("[check disk]\ncommand = echo full; exit 1\ninterval = 100 ms\ntimeout = 1 min\n")
        self.register()
        wait_until((self.dir / "loading").exists, "the shell is being loaded")
        self.assertTrue(self.host.challenge()["healthy"])
        (self.dir / "load").touch()
        self.await_reason("check disk: full")

    def test_many_applications_leave_descriptors_for_the_checks(self):
        self.wrap = ("prlimit", "--nofile=160:160")
        self.start_guest("[applications]\nmax = 1024\nmax_per_user = 1024\n"
                         "[check files]\ncommand = echo x >> ran; cat ran\ninterval = 100 ms\n".replace("ran", f"{self.dir}/ran"))
        self.register()
        refused = None
        while refused is None:
            application = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.addCleanup(application.close)
            application.settimeout(20)
            application.connect(str(self.dir / "apps"))
            with contextlib.suppress(BrokenPipeError):  # it is turned away at once
                application.send(json.dumps({"version": 1, "type": "register", "name": f"a{application.fileno()}",
                                             "healthy": True, "interval_ms": 3600000, "timeout_ms": 1000}).encode())
            try:
                answer = json.loads(application.recv(8192))
            except ConnectionResetError:  # its request was not read; the answer is behind that
                answer = json.loads(application.recv(8192))
            if answer["type"] != "registered":
                refused = answer
        self.assertIn("LimitNOFILE=", refused["message"])
        runs = (self.dir / "ran").read_text().count("x")
        wait_until(lambda: (self.dir / "ran").read_text().count("x") > runs + 2, "the check runs")
        self.assertTrue(self.host.challenge()["healthy"])

    def test_its_limit_of_open_files_is_raised_and_that_of_its_commands_is_not(self):
        self.wrap = ("prlimit", "--nofile=256:4096")
        self.start_guest("[check files]\ncommand = ulimit -Sn; ulimit -Hn >&2; exit 1\n")
        self.register()
        self.await_reason("check files: 256")
        limits = Path(f"/proc/{self.guest.pid}/limits").read_text()
        self.assertRegex(limits, r"Max open files +4096 +4096")

    def test_an_application_that_does_nothing_else_cannot_fill_the_log(self):
        self.start_guest()
        self.register()
        application = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(application.close)
        application.connect(str(self.dir / "apps"))

        def send(kind: str, **fields: object) -> None:
            application.send(json.dumps({"version": 1, "type": kind, **fields}).encode())

        def register() -> None:
            send("register", name="db", interval_ms=3600000, timeout_ms=1000, healthy=True)
            application.recv(8192)

        for _ in range(100):
            register()
            send("deregister")
        register()
        for _ in range(100):
            send("report", healthy=False, reason="flood")
            send("report", healthy=True)
        send("report", healthy=False, reason="last")
        self.await_reason("application db: last")
        self.assertLess(self.log().count("\n"), 40)

    def test_a_stopped_guest_is_silent_and_answers_when_it_goes_on(self):
        self.start_guest()
        host = self.register()
        host.challenge()
        self.guest.signal(signal.SIGSTOP)
        host.send("challenge", session_id="session-1", heartbeat_challenge=7)
        self.assertEqual(host.receive_all(0.5), [])
        self.guest.signal(signal.SIGCONT)
        self.assertEqual(host.receive("challenge_response")["heartbeat_response"], 7)

    def test_a_pause_of_the_guest_is_not_held_against_its_checks(self):
        config = f"[check quick]\ncommand = sleep 0.3; date +%s.%N >> {self.dir}/ran\ninterval = 400 ms\ntimeout = 1 s\n"
        self.start_guest(config)
        self.register()
        wait_until((self.dir / "ran").exists, "the check ran")
        for _ in range(3):
            self.guest.signal(signal.SIGSTOP)
            self.assertEqual(self.host.receive_all(1.2), [])
            self.guest.signal(signal.SIGCONT)
            self.assertTrue(self.host.challenge()["healthy"])
        self.assertNotIn("unhealthy", self.log())


class Reload(VitalwiredTest):
    def reload(self, config: str) -> None:
        self.configure(config)
        self.guest.signal(signal.SIGHUP)

    def test_a_reload_takes_new_checks_and_keeps_the_session(self):
        self.start_guest()
        self.register()
        self.reload("[check disk]\ncommand = echo full; exit 1\ninterval = 100 ms\n")
        self.await_reason("check disk: full")
        self.reload("")
        self.await_reason("")
        self.guest.wait_notified("RELOADING=1")

    def test_a_reload_with_mistakes_names_all_and_changes_nothing(self):
        self.start_guest("[check disk]\ncommand = echo full; exit 1\ninterval = 100 ms\n")
        self.register()
        self.await_reason("check disk: full")
        self.reload("[heartbeat]\ninterval = 1\n[check disk]\n")
        self.await_log("the earlier one stays in force")
        self.assertIn("vitalwired.conf:2: [heartbeat] interval: expected a time", self.log())
        self.assertIn("vitalwired.conf:3: [check disk] command: is missing", self.log())
        self.await_reason("check disk: full")

    def test_a_new_interval_registers_again(self):
        self.start_guest()
        host = self.register()
        self.reload("[heartbeat]\ninterval = 300 ms\n")
        self.assertEqual(host.receive("init")["heartbeat_interval_ms"], 300)


class Second(VitalwiredTest):
    """Another vitalwired by hand, beside the service."""

    def test_a_second_daemon_leaves_the_state_to_the_first_and_takes_over_after_it(self):
        self.start_guest()
        argv = [VITALWIRED, "--config", self.dir / "vitalwired.conf", "--channel", f"unix:{self.dir}/channel2",
                "--app-socket", self.dir / "apps"]
        second = self.start(Daemon(argv, self.dir / "second.log")).wait_ready()
        subprocess.run([BUILD / "guest" / "vitalwire-app", "report", "backup", "unhealthy", "no space",
                        "--socket", self.dir / "apps"], check=True)
        self.host = Host(self.dir / "channel2")
        self.addCleanup(self.host.disconnect)
        self.host.register()
        self.assertEqual(self.host.challenge()["reason"],
                         "warning: vitalwired watches no applications: another vitalwired has the state file")
        state = self.dir / "apps.state"
        wait_until(lambda: state.exists() and "no space" in state.read_text(), "it is written")
        self.host.disconnect()
        second.stop()
        self.assertIn("no space", state.read_text())
        self.start(Daemon(argv, self.dir / "third.log")).wait_ready()
        self.guest.kill()
        self.host = Host(self.dir / "channel2")
        self.addCleanup(self.host.disconnect)
        self.host.register()
        wait_until(lambda: self.host.challenge().get("reason") == "report backup: no space", "it takes over")


class Start(VitalwiredTest):
    def run_guest(self, *arguments: str | Path) -> subprocess.CompletedProcess:
        return subprocess.run([VITALWIRED, *arguments], capture_output=True, text=True, timeout=30)

    def test_mistakes_in_the_configuration_are_all_named_and_end_it(self):
        self.configure("[heartbeat]\ninterval = 1\ncolour = red\n")
        ended = self.run_guest("--config", self.dir / "vitalwired.conf")
        self.assertEqual(ended.returncode, 2)
        self.assertRegex(ended.stderr, r"vitalwired.conf:2: \[heartbeat\] interval: expected")
        self.assertRegex(ended.stderr, r"vitalwired.conf:3: \[heartbeat\] colour: is no key")

    def test_a_wrong_option_is_named(self):
        for wrong in (["--interval", "5"], ["--nonsense"], ["stray"], ["--channel", "a b"], ["--name", ""]):
            with self.subTest(wrong=wrong):
                ended = self.run_guest("--config", os.devnull, *wrong)
                self.assertEqual(ended.returncode, 2)
                self.assertIn(wrong[0].lstrip("-"), ended.stderr)

    def test_the_shipped_configuration_has_no_mistakes(self):
        shipped = (ROOT / "guest" / "vitalwired.conf").read_text()
        self.start_guest(shipped)
        self.register()
        # As are its commented keys, switched on. Those without a value only show that there is one.
        keys = re.sub(r"^#(\[check \w+\]|\w+ = .+)$", r"\1", shipped, flags=re.MULTILINE)
        keys = re.sub(r"^(group|socket|notify_socket|name) = .*$", "", keys, flags=re.MULTILINE)
        self.configure(keys)
        self.guest.signal(signal.SIGHUP)
        self.await_log("configuration reloaded checks=5")

    def test_a_checked_configuration_is_printed_with_where_each_value_comes_from(self):
        self.configure("[heartbeat]\nname = db\n")
        path = self.dir / "vitalwired.conf"
        good = self.run_guest("--config", path, "--log-level", "debug", "--check-config")
        self.assertEqual((good.returncode, good.stderr), (0, ""))
        self.assertIn(f"name = db  # {path}:2\n", good.stdout)
        self.assertIn("level = debug  # command line\n", good.stdout)
        command = "test -w /var || { echo \"a \\ b\"; exit 1; } " + "&& true " * 50
        self.configure(f"[check disk]\ncommand = {command.strip()}\n")
        self.assertIn(f"command = {command.strip()}  # {path}:2\n", self.run_guest("--config", path, "--check-config").stdout)
        self.assertIn("socket = /run/vitalwire/guest.sock  # default\n", good.stdout)
        self.configure("[heartbeat]\ninterval = soon\n")
        bad = self.run_guest("--config", path, "--check-config")
        self.assertEqual((bad.returncode, bad.stdout), (2, ""))
        self.assertRegex(bad.stderr, r"vitalwired.conf:2: \[heartbeat\] interval: expected")

    def test_a_group_that_is_missing_is_named_and_the_machine_watched_all_the_same(self):
        config = "[applications]\ngroup = no-such-group\n"
        self.configure(config)
        checked = self.run_guest("--config", self.dir / "vitalwired.conf", "--check-config")
        self.assertEqual((checked.returncode, checked.stdout), (3, ""))
        self.assertRegex(checked.stderr, r"vitalwired.conf:2: \[applications\] group: there is no local group 'no-such-group'")
        self.start_guest(config)
        self.register()
        self.assertTrue(self.host.challenge()["healthy"])

    def test_help_and_version(self):
        self.assertIn("--app-socket", self.run_guest("--help").stdout)
        self.assertRegex(self.run_guest("--version").stdout, r"^vitalwired \d+\.\d+\.\d+\n$")

    def test_the_service_manager_is_told_what_it_waits_for(self):
        self.start_guest()
        self.guest.wait_notified(f"STATUS=waiting for a host on socket {self.dir}/channel, healthy")
        self.register()
        self.guest.wait_notified("STATUS=registered, healthy")

    def test_a_missing_port_is_waited_for(self):
        argv = [VITALWIRED, "--config", os.devnull, "--channel", "org.vitalwire.test", "--app-socket", "none"]
        guest = self.start(Daemon(argv, self.dir / "guest.log")).wait_ready()
        guest.wait_notified("STATUS=no virtio-serial port named org.vitalwire.test, healthy")
        self.assertEqual(guest.stop(), 0)


class Memory(VitalwiredTest):
    @unittest.skipUnless(STATIC and OPTIMISED, "only the program as it is shipped is measured")
    def test_a_registered_guest_with_a_check_has_little_memory_of_its_own(self):
        self.start_guest("[check c]\ncommand = exit 1\ninterval = 100 ms\n")
        self.register()
        self.await_reason("check c")
        for _ in range(500):
            self.host.challenge()
        rollup = Path(f"/proc/{self.guest.pid}/smaps_rollup").read_text()
        private = sum(int(kb) for kb in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", rollup, re.MULTILINE))
        print(f"private memory: {private} kB", file=sys.stderr)
        self.assertLessEqual(private, MAX_PRIVATE_KB)

    @unittest.skipUnless(STATIC and OPTIMISED, "only the program as it is shipped is measured")
    def test_an_idle_guest_has_little_processor_time(self):
        self.start_guest()
        before, started = self.processor_ns(), time.monotonic()
        time.sleep(5)  # what is measured is that nothing happens
        idle = (self.processor_ns() - before) / (time.monotonic() - started) / 1e7
        self.register()
        before = self.processor_ns()
        for _ in range(100):
            self.host.challenge()
        print(f"processor: {idle:.4f} % idle, {(self.processor_ns() - before) / 1e5:.0f} us a challenge", file=sys.stderr)
        self.assertLessEqual(idle, MAX_IDLE_PERCENT)

    def processor_ns(self) -> int:
        return int(Path(f"/proc/{self.guest.pid}/schedstat").read_text().split()[0])


if __name__ == "__main__":
    unittest.main()
