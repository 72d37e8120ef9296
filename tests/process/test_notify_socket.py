#!/usr/bin/python3
"""Services that notify as sd_notify(3) does, on vitalwired's own socket."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from test_vitalwired import BUILD, VitalwiredTest
from vmbed.procs import wait_until

SERVICE = """
import os, socket, sys, time
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
open("/proc/self/comm", "w").write("service")
for line in sys.stdin:
    notify.sendto(line.strip().replace(",", "\\n").encode(), os.environ["NOTIFY_SOCKET"])
"""

# A service whose worker drops its privileges, feeds the watchdog for it and ends.
WORKER = """
import os, socket, sys, time
def say(message):
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(message, os.environ["NOTIFY_SOCKET"])
open("/proc/self/comm", "w").write("web")
say(b"READY=1")
if os.fork() == 0:
    os.setuid(65534)
    say(b"WATCHDOG=1\\nSTOPPING=1\\nMAINPID=" + str(os.getpid()).encode())
    os._exit(0)
os.wait()
sys.stdin.read()
"""

END_ALONE = "feeds no watchdog, is watched for its end alone"

# Answers ENOSYS to pidfd_open(), as kernels before Linux 5.3 do, by a filter of system calls (seccomp).
WITHOUT_PIDFD = """
import ctypes, os, struct, sys
PIDFD_OPEN, ENOSYS = 434, 38
RETURN_ERROR, ALLOW = 0x00050000, 0x7fff0000
code = b"".join(struct.pack("=HBBI", *line) for line in (
    (0x20, 0, 0, 0), (0x15, 0, 1, PIDFD_OPEN), (0x06, 0, 0, RETURN_ERROR | ENOSYS), (0x06, 0, 0, ALLOW)))
lines = ctypes.create_string_buffer(code)
program = struct.pack("@HP", len(code) // 8, ctypes.addressof(lines))
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(38, 1, 0, 0, 0) != 0 or prctl(22, 2, program, 0, 0) != 0:
    sys.exit("no seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""


class NotifySocket(VitalwiredTest):
    def setUp(self) -> None:
        self.start_guest()
        self.register()
        self.environment = {**os.environ, "NOTIFY_SOCKET": f"{self.dir}/notify"}
        self.services = []

    def tearDown(self) -> None:
        for service in self.services:
            service.kill()
            service.wait()
            service.stdin.close()

    def service(self, *words: str, **more: object) -> subprocess.Popen:
        service = subprocess.Popen(["/usr/bin/python3", "-c", SERVICE, *words], env=self.environment,
                                   stdin=subprocess.PIPE, text=True, **more)
        self.services.append(service)
        return service

    def send(self, service: subprocess.Popen, message: str) -> None:
        service.stdin.write(message + "\n")
        service.stdin.flush()

    def items(self) -> str:
        return subprocess.run([BUILD / "guest" / "vitalwire-app", "list", "--socket", self.dir / "apps"],
                              capture_output=True, text=True).stdout

    def test_one_that_feeds_its_watchdog_no_more_is_named_until_it_does(self):
        service = self.service()
        self.send(service, "READY=1,STATUS=serving,WATCHDOG_USEC=300000")
        wait_until(lambda: f"service\tservice\thealthy\tserving; {END_ALONE}\n" in self.items(), "it is watched for its end")
        self.send(service, "WATCHDOG=1")
        wait_until(lambda: "service\tservice\thealthy\tserving\n" in self.items(), "it feeds its watchdog")
        self.await_reason("service service: sent no WATCHDOG=1 within 300 ms: serving")
        self.send(service, "WATCHDOG=1,WATCHDOG_USEC=60000000")
        self.await_reason("")

    def test_one_whose_watchdog_is_longer_than_any_machine_runs_is_watched_for_its_end(self):
        service = self.service()
        for off in ("0", "infinity", "18446744073709551615"):
            self.send(service, "WATCHDOG=1,WATCHDOG_USEC=60000000")
            wait_until(lambda: "service\tservice\thealthy\t-\n" in self.items(), "it feeds its watchdog")
            self.send(service, f"WATCHDOG_USEC={off}")
            wait_until(lambda: f"healthy\t{END_ALONE}\n" in self.items(), "it has no watchdog")
        self.send(service, "WATCHDOG_USEC=7200000000")
        self.await_kept('"own_time_ms":7200000')
        self.restart()
        self.await_kept('"own_time_ms":7200000')
        self.send(service, "WATCHDOG_USEC=2h")
        self.await_log('WATCHDOG_USEC= is no time, the earlier one stays name=service watchdog_ms=7200000')
        self.await_reason("")
        self.send(service, "WATCHDOG_USEC=200000")
        self.await_reason("service service: sent no WATCHDOG=1 within 200 ms")

    def test_one_without_a_watchdog_is_watched_for_its_end(self):
        service = self.service()
        self.send(service, "READY=1")
        self.await_log("service is watched")
        service.kill()
        service.wait()
        self.await_reason("service service: ended without STOPPING=1")
        again = self.service()
        self.send(again, "READY=1")
        self.await_reason("")

    def test_another_service_of_the_same_program_ends_no_fault(self):
        first = self.service("first")
        self.send(first, "READY=1")
        self.await_log("service is watched")
        first.kill()
        first.wait()
        self.await_reason("service service: ended without STOPPING=1")
        second = self.service("second")
        self.send(second, "READY=1")
        wait_until(lambda: f"service\tservice-{second.pid}\thealthy" in self.items(), "it is watched")
        self.await_reason("service service: ended without STOPPING=1")
        self.send(self.service("first"), "READY=1")
        self.await_reason("")

    @unittest.skipUnless(os.geteuid() == 0, "a second user needs root")
    def test_another_users_service_ends_no_fault(self):
        self.open_to_all()
        mine = self.service()
        self.send(mine, "READY=1")
        self.await_log("service is watched")
        mine.kill()
        mine.wait()
        self.await_reason("service service: ended without STOPPING=1")
        theirs = self.service(user=65534)
        self.send(theirs, "READY=1,WATCHDOG=1")
        wait_until(lambda: f"service\tservice-{theirs.pid}\thealthy" in self.items(), "it is watched")
        self.await_reason("service service: ended without STOPPING=1")

    def test_one_that_starts_again_in_place_is_watched_again(self):
        service = self.service()
        self.send(service, "READY=1,WATCHDOG=1")
        self.send(service, "STOPPING=1")
        self.send(service, "READY=1")
        self.send(service, "WATCHDOG=1,WATCHDOG_USEC=300000")
        self.await_reason("service service: sent no WATCHDOG=1 within 300 ms")

    def test_one_too_many_is_told_to_the_host(self):
        self.guest.stop()
        self.start_guest("[applications]\nmax = 1\n")
        self.register()
        self.send(self.service("first"), "READY=1")
        self.await_log("service is watched")
        self.send(self.service("second"), "READY=1")
        self.await_log("an application is not watched")
        wait_until(lambda: "warning: service service wanted to be watched and is not" in
                   self.host.challenge().get("reason", ""), "the host is told")

    def test_one_that_stops_in_order_is_not_missed(self):
        service = self.service()
        self.send(service, "READY=1,WATCHDOG=1,WATCHDOG_USEC=200000")
        self.await_log("service is watched")
        self.send(service, "STOPPING=1")
        service.stdin.close()
        service.wait()
        self.await_log("service ended")
        self.await_reason("")
        self.assertEqual(self.items(), "")

    def test_a_script_notifies_by_a_helper_that_names_the_main_process(self):
        script = """
            systemd-notify --pid=$$ --ready --status=serving WATCHDOG_USEC=60000000 WATCHDOG=1
            read -r _
            systemd-notify WATCHDOG_USEC=300000 WATCHDOG=1
            read -r _
            systemd-notify --pid=$$ STOPPING=1
            read -r _
        """
        service = subprocess.Popen(["sh", "-c", script], env=self.environment, stdin=subprocess.PIPE, text=True)
        self.services.append(service)
        wait_until(lambda: "service\tsh\thealthy\tserving\n" in self.items(), "the shell is watched")
        self.send(service, "")
        self.await_reason("service sh: sent no WATCHDOG=1 within 300 ms: serving")
        self.send(service, "")
        self.send(service, "")
        service.wait()
        self.await_reason("")

    def test_a_worker_notifies_for_its_service_but_does_not_end_its_watch(self):
        script = f"systemd-notify --pid=$$ --ready; {sys.executable} -c '{SERVICE}'; exit 1"
        service = subprocess.Popen(["sh", "-c", script], env=self.environment,
                                   stdin=subprocess.PIPE, text=True)
        self.services.append(service)
        self.send(service, "WATCHDOG=1,WATCHDOG_USEC=60000000,STATUS=of a worker,STOPPING=1")
        wait_until(lambda: "service\tsh\thealthy\tof a worker\n" in self.items(), "its worker notifies for it")
        service.stdin.close()
        service.wait()
        self.await_reason("service sh: ended without STOPPING=1")

    def test_what_a_service_says_before_it_is_ready_counts(self):
        service = self.service()
        self.send(service, "WATCHDOG_USEC=300000,STATUS=starts")
        self.send(service, "READY=1")
        self.send(service, "WATCHDOG=1")
        self.await_reason("service service: sent no WATCHDOG=1 within 300 ms: starts")
        self.send(service, "STOPPING=1")
        service.stdin.close()
        service.wait()
        self.await_reason("")

    def test_a_main_process_that_is_named_before_it_is_ready_is_the_one_that_is_watched(self):
        launcher, main = self.service(), self.service()
        wait_until(lambda: Path(f"/proc/{main.pid}/comm").read_text() == "service\n", "it has its name")
        self.send(launcher, f"MAINPID={main.pid}")
        self.send(launcher, "READY=1")
        wait_until(lambda: f"service\tservice\thealthy\t{END_ALONE}\n" in self.items(), "it is watched")
        launcher.kill()
        launcher.wait()
        time.sleep(0.3)
        self.assertIn("service\tservice\thealthy", self.items())
        main.kill()
        main.wait()
        self.await_reason("service service: ended without STOPPING=1")

    def test_a_service_below_another_one_is_one_by_itself(self):
        script = f"systemd-notify --pid=$$ --ready; {sys.executable} -c '{SERVICE}'; read -r _"
        above = subprocess.Popen(["sh", "-c", script], env=self.environment, stdin=subprocess.PIPE, text=True)
        self.services.append(above)
        self.send(above, "READY=1,WATCHDOG_USEC=300000,WATCHDOG=1")
        self.await_reason("service service: sent no WATCHDOG=1 within 300 ms")
        self.send(above, "WATCHDOG=1,STOPPING=1")
        above.stdin.close()
        self.await_reason("service sh: ended without STOPPING=1")
        self.assertNotIn("service\tservice", self.items())

    def test_a_service_that_crashes_at_once_makes_the_one_above_it_feed_no_watchdog(self):
        notify = "READY=1,WATCHDOG=1,WATCHDOG_USEC=300000"
        script = f"systemd-notify --pid=$$ --ready; echo {notify} | {sys.executable} -c '{SERVICE}'; read -r _"
        self.services.append(subprocess.Popen(["sh", "-c", script], env=self.environment, stdin=subprocess.PIPE,
                                              text=True))
        self.await_log("name=service pid=")
        wait_until(lambda: f"service\tsh\thealthy\t{END_ALONE}\n" == self.items(), "it has ended")
        time.sleep(0.6)
        self.assertTrue(self.host.challenge()["healthy"])

    def test_a_helper_that_says_ready_notifies_for_its_script_that_is_a_service(self):
        script = f"systemd-notify --pid=$$ --ready; echo READY=1,STATUS=up | {sys.executable} -c '{SERVICE}'; read -r _"
        self.services.append(subprocess.Popen(["sh", "-c", script], env=self.environment, stdin=subprocess.PIPE,
                                              text=True))
        wait_until(lambda: f"service\tsh\thealthy\tup; {END_ALONE}\n" == self.items(), "it notified for the script")
        self.await_reason("")

    def test_a_service_that_moves_to_another_process_is_watched_there(self):
        first, second = self.service(), self.service()
        self.send(first, "READY=1")
        self.await_log("service is watched")
        self.send(first, f"MAINPID={second.pid}")
        self.await_log("service has another main process")
        first.kill()
        first.wait()
        self.send(second, "STATUS=took over")
        wait_until(lambda: f"service\tservice\thealthy\ttook over; {END_ALONE}\n" in self.items(), "it is watched still")
        second.kill()
        second.wait()
        self.await_reason("service service: ended without STOPPING=1")

    def script(self, text: str, **more: object) -> subprocess.Popen:
        script = subprocess.Popen(["sh", "-c", text], env=self.environment, stdin=subprocess.PIPE, text=True, **more)
        self.services.append(script)
        return script

    @unittest.skipUnless(os.geteuid() == 0, "a second user needs root")
    def test_the_helper_of_another_users_script_notifies_for_the_script(self):
        self.open_to_all()
        text = "systemd-notify --ready --status=up; read -r _; test -z \"$STOPS\" || systemd-notify STOPPING=1; read -r _"
        script = self.script(text, user=65534)
        wait_until(lambda: f"service\tsh\thealthy\tup; {END_ALONE}\n" in self.items(), "the script is watched")
        script.kill()
        script.wait()
        self.await_reason("service sh: ended without STOPPING=1")
        self.environment["STOPS"] = "1"
        script = self.script(text, user=65534)
        self.await_reason("")
        script.communicate("\n\n")
        wait_until(lambda: not self.items(), "it is not missed")
        self.await_reason("")

    @unittest.skipUnless(os.access("/sys/fs/cgroup", os.W_OK), "needs a control group")
    def test_a_helper_that_ends_notified_for_its_script_in_the_same_unit(self):
        groups = next((each for each in map(Path, ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup"))
                       if (each / "cgroup.procs").exists()), None)
        if groups is None:
            self.skipTest("no control groups")
        unit = groups / f"vitalwire-test-{os.getpid()}.service"
        unit.mkdir()
        self.addCleanup(unit.rmdir)
        notify = "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); " \
                 "s.sendto(b'READY=1\\nSTATUS=up', os.environ['NOTIFY_SOCKET']); time.sleep(0.2)"
        script = self.script(f"echo $$ > {unit}/cgroup.procs; {sys.executable} -c \"{notify}\"; read -r _; exit 1")
        wait_until(lambda: f"service\tsh\thealthy\tup; {END_ALONE}\n" in self.items(), "the script is watched")
        self.await_reason("")
        script.communicate("\n")
        self.await_reason("service sh: ended without STOPPING=1")

    @unittest.skipUnless(os.geteuid() == 0, "a namespace needs root")
    def test_the_main_process_of_a_service_in_a_container_is_the_containers(self):
        container = ("unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", SERVICE)
        service = subprocess.Popen(container, env=self.environment, stdin=subprocess.PIPE, text=True)
        self.services.append(service)
        self.send(service, f"READY=1,MAINPID={os.getpid()}")
        self.await_log("its MAINPID is no process of its user")
        self.assertEqual(self.items(), "")
        self.send(service, "READY=1,MAINPID=1,STATUS=up")
        wait_until(lambda: f"service\tservice\thealthy\tup; {END_ALONE}\n" in self.items(), "it is watched")
        service.stdin.close()
        service.wait()
        self.await_reason("service service: ended without STOPPING=1")

    @unittest.skipUnless(os.geteuid() == 0, "only root may name any process")
    def test_the_first_process_is_no_service(self):
        self.send(self.service(), "READY=1,MAINPID=1")
        self.await_log("its MAINPID is no process of its user")
        self.assertEqual(self.items(), "")

    def open_to_all(self) -> None:
        for folder in (self.dir, *self.dir.parents):
            folder.chmod(folder.stat().st_mode | 0o011)
        (self.dir / "notify").chmod(0o666)

    @unittest.skipUnless(os.geteuid() == 0, "a second user needs root")
    def test_a_worker_with_fewer_rights_feeds_its_services_watchdog_and_no_more(self):
        self.open_to_all()
        web = subprocess.Popen(["/usr/bin/python3", "-c", WORKER], env=self.environment, stdin=subprocess.PIPE, text=True)
        self.services.append(web)
        wait_until(lambda: self.items() == "service\tweb\thealthy\t-\n", "its watchdog is fed")
        web.kill()
        self.await_reason("service web: ended without STOPPING=1")

    @unittest.skipUnless(os.geteuid() == 0, "a second user needs root")
    def test_a_main_process_of_another_user_is_none(self):
        self.open_to_all()
        notify = "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); " \
                 "s.sendto(b'READY=1\\nMAINPID=' + os.environ['MAIN'].encode(), os.environ['NOTIFY_SOCKET'])"
        for main in (str(os.getpid()), "0", "-1", "x", "999999999999"):
            done = subprocess.run(["/usr/bin/python3", "-c", notify], env={**self.environment, "MAIN": main}, user=65534)
            self.assertEqual(done.returncode, 0)
        wait_until(lambda: self.log().count("MAINPID is no process of its user") == 5, "all are dropped")
        self.await_reason("")
        self.assertEqual(self.items(), "")

    def restart(self, config: str = "") -> None:
        self.host.disconnect()
        self.assertEqual(self.guest.stop(), 0)
        self.start_guest(config)
        self.register()

    def test_a_restart_of_the_daemon_leaves_services_watched(self):
        service, fed = self.service("quiet"), self.service("fed")
        self.send(service, "READY=1")
        wait_until(lambda: "service\tservice\thealthy" in self.items(), "it is watched")
        self.send(fed, "WATCHDOG=1,WATCHDOG_USEC=2000000")
        wait_until(lambda: f"service\tservice-{fed.pid}\thealthy" in self.items(), "it is watched")
        self.restart()
        self.assertTrue(self.host.challenge()["healthy"])
        service.kill()
        service.wait()
        self.await_reason("service service: ended without STOPPING=1")
        overdue = f"service service-{fed.pid}: sent no WATCHDOG=1 within 2000 ms"
        self.await_reason(f"service service: ended without STOPPING=1; {overdue}")
        self.restart()
        self.await_reason(f"service service: ended without STOPPING=1; {overdue}")
        self.send(fed, "WATCHDOG=1")
        self.await_reason("service service: ended without STOPPING=1")
        self.send(self.service("quiet"), "READY=1")
        self.await_reason("")

    def crash(self, config: str = "") -> None:
        self.host.disconnect()
        self.guest.kill()
        self.start_guest(config)
        self.register()

    def await_kept(self, wanted: str, is_kept: bool = True) -> None:
        state = self.dir / "apps.state"
        wait_until(lambda: state.exists() and (wanted in state.read_text()) == is_kept, f"{wanted} is kept")

    def test_one_that_started_again_in_place_is_watched_after_a_crash_of_the_daemon(self):
        service = self.service()
        self.send(service, "READY=1,WATCHDOG=1,WATCHDOG_USEC=3600000000")
        self.send(service, "STOPPING=1")
        self.await_kept("stopping")
        self.send(service, "READY=1,WATCHDOG=1")
        self.await_kept("stopping", False)
        self.crash()
        self.send(service, "WATCHDOG=1,WATCHDOG_USEC=400000")
        self.await_reason("service service: sent no WATCHDOG=1 within 400 ms")
        service.kill()
        service.wait()
        self.await_reason("service service: ended without STOPPING=1")

    def test_one_that_feeds_its_watchdog_after_a_restart_is_awaited_though_it_was_stopping(self):
        service = self.service()
        self.send(service, "READY=1,WATCHDOG_USEC=300000,STOPPING=1")
        self.await_kept("stopping")
        self.restart()
        self.assertTrue(self.host.challenge()["healthy"])
        self.send(service, "WATCHDOG=1")
        self.await_reason("service service: sent no WATCHDOG=1 within 300 ms")
        self.send(service, "READY=1,WATCHDOG=1")
        self.await_kept("stopping", False)
        service.kill()
        service.wait()
        self.await_reason("service service: ended without STOPPING=1")

    def test_a_restart_with_another_watchdog_counts_for_services_that_named_none(self):
        default, own = self.service("default"), self.service("own")
        self.send(default, "READY=1,WATCHDOG=1")
        self.await_log("service is watched")
        self.send(own, "READY=1")
        wait_until(lambda: f"service\tservice-{own.pid}\thealthy" in self.items(), "it is watched")
        self.send(own, "WATCHDOG_USEC=3600000000")
        self.await_kept("3600000")
        self.crash("[applications]\nwatchdog = 400 ms\n")
        self.send(own, "WATCHDOG=1")
        self.await_reason("service service: sent no WATCHDOG=1 within 400 ms")
        self.restart("[applications]\nwatchdog = 1 h\n")
        self.send(default, "WATCHDOG=1")
        self.await_reason("")
        self.restart("[applications]\nwatchdog = 1 h\n")
        self.send(own, "WATCHDOG=1,WATCHDOG_USEC=400000")
        self.await_reason(f"service service-{own.pid}: sent no WATCHDOG=1 within 400 ms")

    def test_a_service_that_ended_while_no_daemon_was_there_is_a_warning(self):
        service, stopping = self.service("first"), self.service("second")
        self.send(service, "READY=1")
        self.send(stopping, "READY=1,STOPPING=1")
        wait_until(lambda: self.items().count("\thealthy\t") == 2, "both are watched")
        self.host.disconnect()
        self.guest.stop()
        for each in (service, stopping):
            each.kill()
            each.wait()
        self.start_guest()
        self.register()
        answer = self.host.challenge()
        name = "service" if "service\tservice\t" in self.items() else f"service-{service.pid}"
        self.assertTrue(answer["healthy"])
        self.assertEqual(answer["reason"], f"warning: service {name} ended while vitalwired was not there, in order or not")
        self.send(self.service("first"), "READY=1")
        wait_until(lambda: not self.host.challenge().get("reason"), "it is there again")

    def test_a_reload_changes_the_watchdog_and_the_bounds(self):
        first = self.service("first")
        self.send(first, "WATCHDOG=1")
        wait_until(lambda: "service\tservice\thealthy" in self.items(), "it is watched")
        self.configure("[applications]\nwatchdog = 300 ms\nmax = 1\n")
        self.guest.signal(signal.SIGHUP)
        self.await_reason("service service: sent no WATCHDOG=1 within 300 ms")
        second = self.service("second")
        self.send(second, "WATCHDOG=1")
        wait_until(lambda: "wanted to be watched and is not: there are too many, [applications] max" in self.log(), "it is told")

    def test_a_triggered_watchdog_counts_at_once(self):
        service = self.service()
        self.send(service, "READY=1,STATUS=dead lock,WATCHDOG=trigger")
        self.await_reason("service service: triggered its watchdog: dead lock")

    def test_what_is_no_notification_harms_nobody(self):
        service = self.service()
        for rubbish in ("", "\x00\xff", "A" * 5000, "WATCHDOG_USEC=-1", "WATCHDOG_USEC=99999999999999999999"):
            self.send(service, rubbish)
        self.send(service, "READY=1")
        self.await_log("service is watched")
        self.await_reason("")

    def test_on_a_kernel_without_pidfd_an_end_is_noticed_all_the_same(self):
        self.guest.kill()
        self.wrap = (sys.executable, "-c", WITHOUT_PIDFD)
        (self.dir / "guest.log").unlink()
        self.start_guest()
        self.register()
        service = self.service()
        self.send(service, "READY=1")
        self.await_log("service is watched")
        service.kill()  # and nobody reaps it
        self.await_reason("service service: ended without STOPPING=1")


if __name__ == "__main__":
    unittest.main()
