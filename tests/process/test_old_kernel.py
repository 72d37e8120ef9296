#!/usr/bin/python3
"""The guest's programs with no more system calls than Linux 3.10 has."""

import http.server
from pathlib import Path
import platform
import signal
import socket
import subprocess
import sys
import threading
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from test_vitalwire_app import APP, GROUP, VitalwireApp
from test_vitalwired import STATIC
from vmbed.procs import wait_until

# Answers ENOSYS to every system call that came later, by a filter (seccomp). The numbers are those of x86-64: the last one of
# Linux 3.10 is finit_module.
ON_LINUX_3_10 = """
import ctypes, os, struct, sys
FIRST_LATER, ENOSYS = 314, 38
RETURN_ERROR, ALLOW = 0x00050000, 0x7fff0000
code = b"".join(struct.pack("=HBBI", *line) for line in (
    (0x20, 0, 0, 0), (0x35, 0, 1, FIRST_LATER), (0x06, 0, 0, RETURN_ERROR | ENOSYS), (0x06, 0, 0, ALLOW)))
lines = ctypes.create_string_buffer(code)
program = struct.pack("@HP", len(code) // 8, ctypes.addressof(lines))
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(38, 1, 0, 0, 0) != 0 or prctl(22, 2, program, 0, 0) != 0:
    sys.exit("no seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""
WRAP = ("/usr/bin/python3", "-c", ON_LINUX_3_10)


@unittest.skipUnless(platform.machine() == "x86_64", "the numbers of system calls are those of x86-64")
@unittest.skipUnless(STATIC, "only programs that bring their own C library run on such a kernel")
class OldKernel(VitalwireApp):
    wrap = WRAP

    def old(self, program: Path, *arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run([*WRAP, program, *map(str, arguments)], env=self.environment, capture_output=True, text=True,
                              timeout=60)

    def serve(self) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        server.RequestHandlerClass.log_message = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"127.0.0.1:{server.server_port}"

    def test_the_filter_holds(self) -> None:
        getrandom = "import ctypes, os; sys = ctypes.CDLL(None, use_errno=True); sys.syscall(318, 0, 0, 0); print(ctypes.get_errno())"
        self.assertEqual(self.old(Path("/usr/bin/python3"), "-c", getrandom).stdout, "38\n")

    def test_everything_in_a_guest_works(self) -> None:
        address = self.serve()
        checks = (f"[check http]\ntype = http\nurl = http://{address}/\n[check tcp]\ntype = tcp\naddress = {address}\n"
                  f"[check exec]\ncommand = test ! -e {self.dir}/ill || {{ echo ill; exit 1; }}\nuser = root\ninterval = 100 ms\n")
        self.start_guest(checks if Path("/proc/self").owner() == "root" else checks.replace("user = root\n", ""))
        self.register()
        wait_until(lambda: self.old(APP, "list").stdout.count("\thealthy\t") == 3, "all checks are healthy")
        (self.dir / "ill").write_text("")
        self.await_reason("check exec: ill")
        (self.dir / "ill").unlink()
        self.await_reason("")
        self.assertEqual(self.old(APP, "run", "web", "--timeout", "30", "--", "sh", "-c", "exit 3").returncode, 3)
        self.await_reason("application web: ended without deregistering: exit status 3")
        self.assertEqual(self.old(APP, "forget", "web").returncode, 0)
        self.assertEqual(self.old(APP, "report", "backup", "unhealthy", "no space").returncode, 0)
        self.await_reason("report backup: no space")
        service = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(service.close)
        service.sendto(b"READY=1", str(self.dir / "notify"))
        wait_until(lambda: "service\t" in self.old(APP, "list").stdout, "the service is watched")
        service.sendto(b"STOPPING=1", str(self.dir / "notify"))
        self.guest.signal(signal.SIGHUP)
        self.await_log("configuration reloaded")
        self.host.disconnect()
        self.assertEqual(self.guest.stop(), 0)
        self.start_guest()
        self.register()
        self.assertEqual(self.host.challenge()["reason"], "report backup: no space")
        refused = self.old(GROUP, "send", "hello", "--timeout", "1")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("not known to be sent", refused.stderr)


if __name__ == "__main__":
    unittest.main()
