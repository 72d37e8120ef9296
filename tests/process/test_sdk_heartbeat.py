#!/usr/bin/python3
"""Applications of the guest SDK's heartbeat interface in a guest with vitalwired: record by record as the SDK's own library
writes them, and a program in C with our library in the place of the SDK's."""

import os
from pathlib import Path
import re
import signal
import socket
import struct
import sys
import threading
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from test_libvitalwire import SANITIZED, STRICT, run
from test_vitalwire_app import VitalwireApp
from test_vitalwired import BUILD
from vmbed.procs import Process, wait_until

SDK = BUILD / "guest" / "sdk"
COMMON, HEARTBEAT = SDK / "libguest_common_api.so.3", SDK / "libguest_heartbeat_api.so.3"
HEADERS = ROOT / "include" / "vitalwire" / "sdk"

INIT, INIT_ACK, FINAL, CHALLENGE, CHALLENGE_RESPONSE, ACTION_NOTIFY, ACTION_RESPONSE = range(7)
ACTIONS = {"unknown": 0, "none": 1, "reboot": 2, "stop": 3, "log": 4}
SIZE = 228

def record(kind: int, body: bytes, sequence: int = 1, version: int = 2, size: int = SIZE) -> bytes:
    header = b"FDFDA5A5" + struct.pack("=BBHII", version, 1, kind, sequence, size)
    return (header + body).ljust(SIZE, b"\0")


def init(name: str, interval: int = 400, action: str = "reboot") -> bytes:
    return record(INIT, struct.pack("=40s6I", name.encode(), interval, 8, 5, 5, 5, ACTIONS[action]))


def answer(challenge: int, healthy: bool, reason: str = "", action: str = "none") -> bytes:
    return record(CHALLENGE_RESPONSE, struct.pack("=3I", challenge, healthy, ACTIONS[action]) + reason.encode())


class Application:
    """What the SDK's own library does, record by record."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.received = b""

    def close(self) -> None:
        # Also for a thread that waits for its next record.
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self, kind: int) -> int:
        """The first number of the next record, which must be of that type."""
        while len(self.received) < SIZE:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError("vitalwired closed the connection")
            self.received += data
        found, self.received = self.received[:SIZE], self.received[SIZE:]
        magic, version, revision, is_kind, _, size = struct.unpack_from("=8sBBHII", found)
        assert (magic, version, revision, is_kind, size) == (b"FDFDA5A5", 2, 1, kind, SIZE), found[:20]
        return struct.unpack_from("=I", found, 20)[0]

    def register(self, name: str, interval: int = 400, action: str = "reboot") -> "Application":
        self.send(init(name, interval, action))
        assert self.receive(INIT_ACK) == 1
        return self

    def live(self) -> "Application":
        """Answers every challenge from now on: that it is healthy, until `report` is called."""
        self.report(True)
        threading.Thread(target=self._answer_all, daemon=True).start()
        return self

    def report(self, healthy: bool, reason: str = "", action: str = "none") -> None:
        self.health = (healthy, reason, action)

    def _answer_all(self) -> None:
        try:
            while True:
                self.send(answer(self.receive(CHALLENGE), *self.health))
        except OSError:
            pass

    def is_closed(self) -> bool:
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


class SdkHeartbeatTest(VitalwireApp):
    def setUp(self) -> None:
        super().setUp()
        self.start_sdk_guest()

    def start_sdk_guest(self, config: str = "") -> None:
        self.start_guest(f"{config}\n[sdk]\nheartbeat_socket = {self.dir}/heartbeat\n")
        self.register()

    def connect(self) -> Application:
        application = Application(self.dir / "heartbeat")
        self.addCleanup(application.close)
        return application

    def await_action(self, reason: str, action: str | None) -> None:
        """Challenges until the guest is unhealthy for that reason, and wants that action."""
        self.await_reason(reason)
        self.assertEqual(self.host.challenge().get("corrective_action"), action)


class Health(SdkHeartbeatTest):
    def start_sdk_guest(self) -> None:
        super().start_sdk_guest("[heartbeat]\ncorrective_action = log\n")

    def test_an_application_reports_ill_health_and_the_action_that_it_wants(self) -> None:
        database = self.connect().register("db").live()
        database.report(False, "disk full", "stop")
        self.await_action("sdk application db: disk full", "stop")
        database.report(True)
        self.await_action("", None)

    def test_the_worst_action_of_several_counts(self) -> None:
        one, two = self.connect().register("one").live(), self.connect().register("two").live()
        one.report(False, "slow", "reboot")
        self.await_action("sdk application one: slow", "reboot")
        two.report(False, "down", "stop")
        self.await_action("sdk application one: slow; sdk application two: down", "stop")
        two.report(True)
        self.await_action("sdk application one: slow", "reboot")

    def test_ill_health_of_other_sources_calls_for_what_the_guest_declared(self) -> None:
        self.connect().register("db").live().report(False, "slow", "none")
        self.await_action("sdk application db: slow", "none")
        self.app("report", "backup", "unhealthy", "no space")
        self.await_action("sdk application db: slow; report backup: no space", "log")

    def test_one_that_does_not_answer_is_named_with_the_action_of_its_init(self) -> None:
        database = self.connect().register("db", action="reboot")
        self.await_action("sdk application db: did not answer within 800 ms", "reboot")
        database.live()
        self.await_reason("")

    def test_one_challenge_is_outstanding_at_a_time(self) -> None:
        database = self.connect().register("db")
        self.await_reason("sdk application db: did not answer within 800 ms")
        first = database.receive(CHALLENGE)
        self.assertEqual(database.received, b"")
        database.send(answer(first, True))
        self.assertNotEqual(database.receive(CHALLENGE), first)

    def test_one_that_was_late_for_long_is_asked_again_at_once(self) -> None:
        database = self.connect().register("db")
        self.host.receive_all(4)
        database.send(answer(database.receive(CHALLENGE), True))
        database.socket.settimeout(2)
        database.receive(CHALLENGE)

    def test_an_answer_to_no_challenge_proves_nothing(self) -> None:
        database = self.connect().register("db")
        database.send(answer(12345, True) * 3)
        self.await_reason("sdk application db: did not answer within 800 ms")

    def test_the_end_of_a_connection_deregisters(self) -> None:
        database = self.connect().register("db").live()
        database.report(False, "slow", "log")
        self.await_reason("sdk application db: slow")
        database.close()
        self.await_reason("")
        self.await_log('why="closed its connection"')

    def test_one_that_deregisters_is_not_watched_and_may_register_again(self) -> None:
        database = self.connect().register("db")
        self.await_reason("sdk application db: did not answer within 800 ms")
        database.receive(CHALLENGE)
        database.send(record(FINAL, b"Exiting"))
        self.await_reason("")
        self.await_log("why=Exiting")
        database.register("db")
        self.await_reason("sdk application db: did not answer within 800 ms")

    def test_a_second_init_replaces_the_first(self) -> None:
        database = self.connect().register("old")
        self.await_reason("sdk application old: did not answer within 800 ms")
        database.receive(CHALLENGE)
        database.register("new", 500)
        self.await_reason("sdk application new: did not answer within 1000 ms")

    def test_two_of_one_name_are_told_apart(self) -> None:
        one, two = self.connect().register("db").live(), self.connect().register("db").live()
        one.report(False, "first", "log")
        self.await_reason("sdk application db: first")
        two.report(False, "second", "log")
        self.await_reason(f"sdk application db: first; sdk application db-{os.getpid()}: second")
        one.close()
        self.await_reason(f"sdk application db-{os.getpid()}: second")

    def test_one_that_restarts_keeps_its_name_though_its_last_records_are_unread(self) -> None:
        before = self.connect().register("db")
        self.guest.signal(signal.SIGSTOP)
        before.send(record(ACTION_RESPONSE, b"") * 200)
        before.close()
        after = self.connect()
        after.send(init("db"))
        self.guest.signal(signal.SIGCONT)
        self.assertEqual(after.receive(INIT_ACK), 1)
        self.assertEqual(self.app("list").stdout, "application\tdb\thealthy\t-\n")

    def test_a_pause_of_the_guest_is_not_held_against_it(self) -> None:
        self.connect().register("db").live()
        for _ in range(2):
            self.guest.signal(signal.SIGSTOP)
            self.assertEqual(self.host.receive_all(1.2), [])
            self.guest.signal(signal.SIGCONT)
            self.assertTrue(self.host.challenge()["healthy"])
        self.assertNotIn("did not answer", self.log())

    def test_it_is_listed_like_other_applications(self) -> None:
        self.connect().register("db").live().report(False, "disk full", "stop")
        self.await_reason("sdk application db: disk full")
        self.assertEqual(self.app("list").stdout, "application\tdb\tunhealthy\tdisk full\n")

    def test_a_guest_that_restarts_is_registered_with_again(self) -> None:
        database = self.connect().register("db")
        self.guest.stop()
        self.assertTrue(database.is_closed())
        (self.dir / "guest.log").rename(self.dir / "guest-1.log")
        self.host.disconnect()
        self.start_sdk_guest()
        self.connect().register("db").live().report(False, "still here", "log")
        self.await_reason("sdk application db: still here")



class Bounds(SdkHeartbeatTest):
    def start_sdk_guest(self) -> None:
        super().start_sdk_guest("[applications]\nmax = 3\nmax_per_user = 2\n")

    def await_healthy_reason(self, reason: str) -> None:
        """Challenges until the guest answers that it is healthy, with that warning."""

        def answered() -> bool:
            self.last = self.host.challenge()
            return self.last["healthy"] and self.last.get("reason", "") == reason

        wait_until(answered, f"the warning is {reason!r}")

    def test_an_interval_out_of_bounds_is_refused_and_the_operator_warned(self) -> None:
        for interval in (0, 399, 3600001, 2**32 - 1):
            with self.subTest(interval=interval):
                application = self.connect()
                application.send(init("db", interval))
                self.assertEqual(application.receive(INIT_ACK), 0)
                self.await_healthy_reason("warning: sdk application db wanted to be watched and is not: "
                                          f"heartbeat_interval_ms is {interval}, expected 400 to 3600000")
                application.close()
        self.connect().register("db").live()
        self.await_healthy_reason("")

    def test_one_that_asks_again_and_again_is_refused_once_a_second(self) -> None:
        application = self.connect()
        begin = time.monotonic()
        application.send(init("db", 1) * 200)
        self.assertEqual(application.receive(INIT_ACK), 0)
        self.assertGreater(time.monotonic() - begin, 0.9)
        application.register("db")

    def test_one_that_corrects_its_registration_at_once_is_not_refused(self) -> None:
        application = self.connect()
        application.send(init("db", 1))
        application.register("db")
        application.receive(CHALLENGE)
        application.send(init("db", 1))
        self.assertEqual(application.receive(INIT_ACK), 0)

    def test_one_too_many_is_turned_away_and_the_operator_warned(self) -> None:
        for name in ("one", "two", "three"):
            self.connect().register(name).live()
        self.assertTrue(self.connect().is_closed())
        self.await_healthy_reason(f"warning: an sdk application of user {os.getuid()} cannot connect: there are too many "
                                  "already, [applications] max and max_per_user")

    def test_one_that_is_not_registered_makes_room(self) -> None:
        idle = self.connect()
        for name in ("one", "two", "three"):
            self.connect().register(name).live()
        self.assertTrue(idle.is_closed())

    def test_what_is_no_record_is_skipped_and_logged_once(self) -> None:
        database = self.connect()
        for rubbish in (b"FDFDA5A", b"\0" * 1000, b"FDFDFDA5A5" * 50, record(INIT, b"", version=3),
                        record(INIT, b"", size=2**32 - 1), record(99, b"\xff" * 208), record(INIT_ACK, b"\1"),
                        record(ACTION_RESPONSE, b"\xff" * 208), os.urandom(100_000)):
            database.send(rubbish)
        database.register("db").live().report(False, "still here", "log")
        self.await_reason("sdk application db: still here")
        self.assertEqual(self.log().count("what is no record"), 1)

    def test_a_record_may_come_in_pieces(self) -> None:
        database = self.connect()
        for byte in init("db") + init("db", 500):
            database.send(bytes([byte]))
        self.assertEqual([database.receive(INIT_ACK) for _ in range(2)], [1, 1])

    def test_texts_of_any_bytes_become_a_name_and_a_reason(self) -> None:
        database = self.connect()
        database.send(record(INIT, b"\xff" * 40 + struct.pack("=6I", 400, 0, 0, 0, 0, 77)))
        self.assertEqual(database.receive(INIT_ACK), 1)
        database.send(record(CHALLENGE_RESPONSE, struct.pack("=3I", database.receive(CHALLENGE), 0, 77) + b'\xfe"\n' * 64))
        escaped = r"\xff" * 40
        self.await_reason(f"sdk application {escaped}: " + r'\xfe\"')

    def test_one_that_does_not_read_ends_and_disturbs_nobody(self) -> None:
        flood = self.connect()
        flood.socket.setblocking(False)
        records = init("flood") * 64

        def ended() -> bool:
            self.assertTrue(self.host.challenge()["healthy"])
            try:
                flood.socket.send(records)
            except BlockingIOError:
                return False
            except (BrokenPipeError, ConnectionResetError):
                return True
            return False

        wait_until(ended, "it is ended")

        def is_counted() -> bool:
            self.connect().register("later").close()
            return "log lines left out" in self.log()

        wait_until(is_counted, "what it had caused is counted", pause=0.5)
        self.assertLess(self.log().count("\n"), 200)


class Socket(VitalwireApp):
    def test_there_is_none_unless_it_is_configured(self) -> None:
        self.start_guest()
        self.register()
        self.assertFalse((self.dir / "heartbeat").exists())

    def test_its_users_are_those_of_the_group(self) -> None:
        self.start_guest(f"[sdk]\nheartbeat_socket = {self.dir}/heartbeat\n")
        self.assertEqual((self.dir / "heartbeat").stat().st_mode & 0o777, 0o660)
        self.guest.stop()
        self.assertFalse((self.dir / "heartbeat").exists())

    def test_another_daemon_there_is_not_disturbed_and_waited_for(self) -> None:
        other = socket.socket(socket.AF_UNIX)
        other.bind(str(self.dir / "heartbeat"))
        other.listen()
        self.start_guest(f"[sdk]\nheartbeat_socket = {self.dir}/heartbeat\n")
        self.await_log("another process listens there")
        other.close()

        self.await_log("applications of the guest SDK can register")
        Application(self.dir / "heartbeat").register("db").close()


class Libraries(unittest.TestCase):
    def exported(self, library: Path) -> set[str]:
        return {line.split()[2] for line in run("nm", "-D", "--defined-only", library).splitlines()}

    def declared(self, *headers: str) -> set[str]:
        text = "".join((HEADERS / header).read_text() for header in headers)
        return set(re.findall(r"^[\w*]+[\w* ]* \*?(guest_\w+)\(", text, re.MULTILINE))

    def test_they_export_the_functions_of_their_headers_without_versions(self) -> None:
        self.assertEqual(self.exported(COMMON), self.declared("guest_api_types.h", "guest_api_debug.h"))
        self.assertEqual(self.exported(HEARTBEAT), self.declared("guest_heartbeat_api.h"))

    def test_they_are_those_of_the_sdk(self) -> None:
        self.assertEqual(self.exported(COMMON), {
            "guest_api_error_str", "guest_api_debug_log_level_str", "guest_api_debug_set_log_level",
            "guest_api_debug_want_log", "guest_api_debug_log", "guest_api_debug_initialize", "guest_api_debug_finalize"})
        self.assertEqual(self.exported(HEARTBEAT), {"guest_heartbeat_api_" + name for name in (
            "action_str", "event_str", "notify_str", "vote_result_str", "register", "deregister", "send_action_response",
            "dispatch", "get_selobj", "initialize", "finalize")})

    def test_their_names_are_those_of_the_sdk(self) -> None:
        for library in (COMMON, HEARTBEAT):
            self.assertIn(library.name, re.findall(r"SONAME\s+(\S+)", run("objdump", "-p", library)))

    @unittest.skipIf(SANITIZED, "sanitizers bring their own libraries")
    def test_they_need_libc_alone(self) -> None:
        for library in (COMMON, HEARTBEAT):
            self.assertEqual(re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", library)), ["libc.so.6"])


class InC(VitalwireApp):
    """The program in C with our libraries, built from its source and the headers as they are."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.program = cls.class_dir / "application"
        run("cc", "-std=c99", "-D_GNU_SOURCE", *STRICT, f"-I{HEADERS}", f"-I{ROOT}/include",
            Path(__file__).with_name("sdk_heartbeat_application.c"), "-o", cls.program, HEARTBEAT, COMMON)

    def start_sdk_guest(self) -> None:
        self.start_guest(f"[sdk]\nheartbeat_socket = {self.dir}/heartbeat\n")
        self.register()

    def start_application(self) -> Process:
        return self.start(Process([self.program, "db", self.dir / "health"], self.dir / "application.log", {
            "VITALWIRE_SDK_HEARTBEAT_SOCKET": f"{self.dir}/heartbeat", "LD_LIBRARY_PATH": str(SDK)}))

    def printed(self) -> list[str]:
        return (self.dir / "application.log").read_text().splitlines()

    def await_line(self, line: str, count: int = 1) -> None:
        wait_until(lambda: self.printed().count(line) >= count, f"it prints {line!r}")


@unittest.skipIf(SANITIZED, "applications are not built with sanitizers")
class WithDaemon(InC):
    def test_it_reports_its_health(self) -> None:
        self.start_sdk_guest()
        self.start_application()
        self.await_line("registered 1")
        (self.dir / "health").write_text("stop disk full\n")
        self.await_reason("sdk application db: disk full")
        self.assertEqual(self.host.challenge()["corrective_action"], "stop")
        (self.dir / "health").unlink()
        self.await_reason("")

    def test_a_hang_is_noticed_and_its_end(self) -> None:
        self.start_sdk_guest()
        application = self.start_application()
        self.await_line("registered 1")
        application.signal(signal.SIGSTOP)
        self.await_reason("sdk application db: did not answer within 800 ms")
        application.signal(signal.SIGCONT)
        self.await_reason("")

    def test_it_deregisters_when_it_ends(self) -> None:
        self.start_sdk_guest()
        application = self.start_application()
        self.await_line("registered 1")
        self.assertEqual(application.stop(), 0)
        self.await_log("why=Exiting")
        self.assertTrue(self.host.challenge()["healthy"])

    def test_it_registers_when_the_daemon_comes_and_when_it_comes_back(self) -> None:
        self.start_application()
        self.await_line("not registered: TRY_AGAIN")
        self.start_sdk_guest()
        self.await_line("registered 1")
        self.guest.kill()
        self.await_line("registered 0")
        (self.dir / "guest.log").rename(self.dir / "guest-1.log")
        self.host.disconnect()
        self.start_sdk_guest()
        self.await_line("registered 1", 2)


@unittest.skipIf(SANITIZED, "applications are not built with sanitizers")
class WithScriptedDaemon(InC):
    """What vitalwired does not send: votes, notices, and what is no record."""

    def setUp(self) -> None:
        super().setUp()
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        self.listener.bind(str(self.dir / "heartbeat"))
        self.listener.listen()
        self.process = self.start_application()
        self.accept()

    def accept(self) -> None:
        self.connection = self.listener.accept()[0]
        self.addCleanup(self.connection.close)
        self.connection.settimeout(30)

    def receive(self, kind: int) -> bytes:
        """The body of the next record, which must be of that type."""
        found = self.connection.recv(SIZE, socket.MSG_WAITALL)
        self.assertEqual(found[:12], record(kind, b"")[:12])
        self.assertEqual(struct.unpack_from("=I", found, 16), (SIZE,))
        return found[20:]

    def test_the_init_is_that_of_the_sdk(self) -> None:
        name, *numbers = struct.unpack_from("=40s6I", self.receive(INIT))
        self.assertEqual((name.rstrip(b"\0"), numbers), (b"db", [400, 8, 5, 6, 7, ACTIONS["reboot"]]))

    def test_votes_and_notices_reach_the_callback_and_are_answered(self) -> None:
        self.receive(INIT)
        for numbers, line, response in (
                ((7, 9, 1), "notify 7 live-migrate-begin revocable", (7, 9, 1, 2, b"busy")),
                ((8, 1, 2), "notify 8 stop irrevocable", (8, 1, 2, 3, b"")),
                ((2**32 - 1, 99, 99), "notify -1 event-??? notify-???", (2**32 - 1, 0, 0, 3, b""))):
            with self.subTest(line):
                self.connection.sendall(record(ACTION_NOTIFY, struct.pack("=3I", *numbers)))
                *found, text = struct.unpack_from("=4I192s", self.receive(ACTION_RESPONSE))
                self.assertEqual((*found, text.rstrip(b"\0")), response)
                self.await_line(line)

    def test_a_refusal_and_the_end_of_the_connection_make_it_register_again(self) -> None:
        self.receive(INIT)
        self.connection.sendall(record(INIT_ACK, struct.pack("=I", 0)))
        self.await_line("registered 0")
        self.receive(INIT)
        self.connection.sendall(record(INIT_ACK, struct.pack("=I", 1)))
        self.await_line("registered 1")
        self.connection.close()
        self.accept()
        self.receive(INIT)

    def test_what_is_no_record_is_skipped(self) -> None:
        self.receive(INIT)
        challenge = record(CHALLENGE, struct.pack("=I", 42))
        for rubbish in (b"FDFDA5A", os.urandom(100_000), record(CHALLENGE, b"", version=3),
                        record(CHALLENGE, b"", size=2**32 - 1), record(99, b"")):
            self.connection.sendall(rubbish + challenge)
            self.assertEqual(struct.unpack_from("=2I", self.receive(CHALLENGE_RESPONSE)), (42, 1))
        for byte in challenge:
            self.connection.sendall(bytes([byte]))
        self.assertEqual(struct.unpack_from("=2I", self.receive(CHALLENGE_RESPONSE)), (42, 1))

    def test_a_reason_of_any_length_ends_in_its_field(self) -> None:
        (self.dir / "health").write_text("log " + "x" * 500)
        self.receive(INIT)
        self.connection.sendall(record(CHALLENGE, struct.pack("=I", 42)))
        *numbers, text = struct.unpack_from("=3I192s", self.receive(CHALLENGE_RESPONSE))
        self.assertEqual((numbers, text), ([42, 0, ACTIONS["log"]], b"x" * 191 + b"\0"))


if __name__ == "__main__":
    unittest.main()
