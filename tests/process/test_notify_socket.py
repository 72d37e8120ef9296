#!/usr/bin/python3
"""Services that notify as sd_notify(3) does, on vitalwired's own socket."""

import os
from pathlib import Path
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from test_vitalwired import BUILD, VitalwiredTest
from vmbed.procs import wait_until

SERVICE = """
import os, socket, sys, time
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])
open("/proc/self/comm", "w").write("service")
for line in sys.stdin:
    notify.send(line.strip().replace(",", "\\n").encode())
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

    def service(self) -> subprocess.Popen:
        service = subprocess.Popen([sys.executable, "-c", SERVICE], env=self.environment, stdin=subprocess.PIPE, text=True)
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
        wait_until(lambda: "service\tservice\thealthy\tserving\n" in self.items(), "it is watched")
        self.send(service, "WATCHDOG=1")
        self.await_reason("service service: sent no WATCHDOG=1 within 300 ms: serving")
        self.send(service, "WATCHDOG=1,WATCHDOG_USEC=60000000")
        self.await_reason("")

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


if __name__ == "__main__":
    unittest.main()
