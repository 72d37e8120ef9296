#!/usr/bin/python3
"""What users of the guest SDK's heartbeat socket can do to each other, and what a restart of vitalwired does to them."""

import os
from pathlib import Path
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from test_libvitalwire import run
from test_sdk_heartbeat import CHALLENGE, SIZE, SdkHeartbeatTest, answer, init
from vmbed.procs import Process, wait_until

# An application that registers and does nothing more; it does not even notice that its connection ends.
ONE_THAT_HANGS = """
import socket, sys, time
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.send(bytes.fromhex(sys.argv[2]))
time.sleep(300)
"""


class Users(SdkHeartbeatTest):
    @unittest.skipUnless(os.geteuid() == 0, "a second user needs root")
    def test_a_user_who_floods_the_log_silences_no_other(self) -> None:
        for folder in (self.dir, *self.dir.parents):
            folder.chmod(folder.stat().st_mode | 0o011)
        (self.dir / "heartbeat").chmod(0o666)
        flood = (f"import socket\nfor _ in range(200):\n    s = socket.socket(socket.AF_UNIX)\n"
                 f"    s.connect('{self.dir}/heartbeat')\n    s.sendall(b'x' * {2 * SIZE})\n    s.close()\n")
        run("/usr/bin/python3", "-c", flood, user=65534)
        wait_until(lambda: "what is no record" in self.log(), "the first ones are logged")
        mine = self.connect()
        mine.send(b"y" * 2 * SIZE)
        wait_until(lambda: f"pid={os.getpid()} uid=0" in self.log(), "that of another user is logged")
        self.assertLess(self.log().count("\n"), 60)

    def test_a_restart_of_the_daemon_ends_no_ill_health(self) -> None:
        mine = self.connect().register("db", action="stop")
        mine.send(answer(mine.receive(CHALLENGE), False, "no disk", "stop"))
        self.await_reason("sdk application db: no disk")
        self.restart()
        told = self.host.challenge()
        self.assertEqual((told["healthy"], told["reason"], told["corrective_action"]), (False, "sdk application db: no disk", "stop"))
        again = self.connect().register("db")
        self.assertEqual(self.host.challenge().get("reason"), "sdk application db: no disk", "a registration is no answer")
        self.assertEqual(self.app("list").stdout, "application\tdb\tunhealthy\tno disk\n")
        self.restart()
        again = self.connect().register("db")
        again.live()
        self.await_reason("")

    def test_after_a_restart_each_keeps_its_own_name_and_fault(self) -> None:
        reason = f"sdk application db-{os.getpid()}: second"
        self.connect().register("db").live()
        self.connect().register("db").live().report(False, "second")
        self.await_reason(reason)
        self.restart()
        again = [self.connect().register("db").live()]
        self.assertEqual(self.host.challenge().get("reason"), reason)
        again.append(self.connect().register("db"))
        self.assertEqual(self.host.challenge().get("reason"), reason, "a registration is no answer")
        again[1].live()
        self.await_reason("")

    def test_one_that_does_not_register_again_after_a_restart_is_a_warning(self) -> None:
        program = Process([sys.executable, "-c", ONE_THAT_HANGS, self.dir / "heartbeat", init("db", 7000).hex()],
                          self.dir / "program.log")
        self.addCleanup(program.kill)
        wait_until(lambda: "db\thealthy" in self.app("list").stdout, "it is registered")
        self.restart()
        self.assertEqual(self.app("list").stdout, "application\tdb\tnot watched\texpected to register again\n")
        missing = "warning: sdk application db was watched before vitalwired was started again, and has not registered since"
        wait_until(lambda: self.host.challenge().get("reason", "") == missing, "it is missed", deadline=40)
        program.kill()
        wait_until(lambda: self.host.challenge().get("reason", "") == "", "its end deregisters")
        self.assertEqual(self.app("list").stdout, "")

    def test_a_second_init_ends_no_fault_before_it_is_answered(self) -> None:
        database = self.connect().register("db", 3000)
        database.send(answer(database.receive(CHALLENGE), False, "disk full", "stop"))
        self.await_action("sdk application db: disk full", "stop")
        database.register("db", 10000)
        self.assertEqual(self.host.challenge().get("reason"), "sdk application db: disk full")
        database.register("database", 400)
        self.await_action("sdk application database: disk full", "stop")
        database.send(answer(database.receive(CHALLENGE), True))
        self.await_reason("")

    def test_a_second_init_that_is_refused_leaves_the_first(self) -> None:
        database = self.connect().register("db")
        database.send(init("db", 1))
        late = "sdk application db: did not answer within 800 ms"
        wait_until(lambda: self.host.challenge().get("reason", "").startswith(late), "it is still asked")

    def restart(self) -> None:
        self.host.disconnect()
        self.assertEqual(self.guest.stop(), 0)
        self.start_sdk_guest()


if __name__ == "__main__":
    unittest.main()
