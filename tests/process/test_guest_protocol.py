#!/usr/bin/python3
"""What a host sees of a guest: the guest's table of proto-spec/heartbeat.md, row by row, over a UNIX
socket. Every guest of the project is put through the same tests."""

import base64
import json
import os
from pathlib import Path
import re
import signal
import sys
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from scripted_host import ADDRESS, PATIENCE, Host, message
from vmbed.procs import Process, ProcessTestCase, wait_until

BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))


def refused_vectors():
    """Streams of the specification that a guest has to drop to the last byte."""
    for path in sorted((ROOT / "proto-spec" / "vectors").glob("*host-to-guest.json")):
        for vector in json.loads(path.read_text())["vectors"]:
            if any(expect["result"] == "accepted" for expect in vector["expect"]):
                continue
            yield base64.b64decode(vector["base64"]) if "base64" in vector else vector["bytes"].encode()


def cpu_seconds(pid):
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class GuestProtocol:
    """Given a guest that listens on a socket; `command` is the guest's."""

    command = ()

    def setUp(self):
        super().setUp()
        self.socket = self.dir / "guest.sock"
        self.log = self.dir / "guest.log"
        argv = [*self.command, "--channel", f"unix:{self.socket}", "--name", "vm1", "--detection-time", "2000"]
        self.guest = self.start(Process(argv, self.log))
        wait_until(lambda: self.socket.exists() or self.guest.require_running(), "the guest listens")

    def host(self):
        host = Host(self.socket)
        self.addCleanup(host.disconnect)
        return host

    def registered_host(self):
        host = self.host()
        host.register()
        host.challenge()
        return host

    def test_G01_init_is_sent_when_the_host_connects(self):
        init = self.host().receive("init", deadline=1)
        self.assertEqual((init["name"], init["revision"], init["detection_time_ms"]), ("vm1", 1, 2000))
        # A host of revision 0 detects a failure in an interval and a deadline as long.
        self.assertEqual((init["heartbeat_interval_ms"], init.get("response_deadline_ms", 1000)), (1000, 1000))
        self.assertIn(init["invocation_id"], range(0, 2**31))

    def test_G04_an_unanswered_init_is_repeated_with_a_new_invocation_id(self):
        host = self.host()
        inits, times = [], []
        for _ in range(3):
            inits.append(host.receive("init"))
            times.append(time.monotonic())
        self.assertEqual(len({init["invocation_id"] for init in inits}), 3)
        self.assertAlmostEqual(times[1] - times[0], 1.0, delta=0.5)
        self.assertAlmostEqual(times[2] - times[1], 2.0, delta=0.5)

    def test_G05_G07_a_registered_guest_answers_each_challenge(self):
        host = self.host()
        host.register("s-9")
        for _ in range(3):
            answer = host.challenge("s-9")
            self.assertEqual((answer["session_id"], answer["healthy"]), ("s-9", True))

    def test_G06_an_acknowledgment_of_another_init_is_ignored(self):
        host = self.host()
        init = host.receive("init")
        host.acknowledge({"invocation_id": (init["invocation_id"] + 1) % 2**31}, "stale")
        host.send("challenge", session_id="stale", heartbeat_challenge=1)
        self.assertEqual(host.receive()["msg_type"], "init")

    def test_G07_of_two_challenges_in_one_read_the_newer_is_answered(self):
        host = self.registered_host()
        host.send_bytes(b"".join(message("challenge", session_id="session-1", heartbeat_challenge=n) for n in (1, 2)))
        self.assertEqual(host.receive()["heartbeat_response"], 2)

    def test_G08_a_challenge_of_an_unknown_session_brings_an_init(self):
        host = self.registered_host()
        host.send("challenge", session_id="another", heartbeat_challenge=1)
        self.assertEqual(host.receive()["msg_type"], "init")

    def test_G08_G09_the_known_session_is_answered_until_the_next_one_is_acknowledged(self):
        host = self.registered_host()
        host.send("challenge", session_id="another", heartbeat_challenge=1)
        host.challenge()
        init = host.receive("init")
        host.challenge()
        host.acknowledge(init, "session-2")
        host.challenge("session-2")

    def test_G05_G07_several_challenges_of_a_host_of_revision_1_are_outstanding(self):
        host = self.host()
        host.acknowledge(host.receive("init"), "s-1", interval=667, deadline=1333, revision=1)
        for value in (1, 2, 3):
            host.send("challenge", session_id="s-1", heartbeat_challenge=value)
        answers = [host.receive("challenge_response")["heartbeat_response"]]
        while answers[-1] != 3:
            answers.append(host.receive("challenge_response")["heartbeat_response"])
        self.assertEqual(answers, sorted(answers))

    def test_G06_an_acknowledgment_of_a_revision_that_the_guest_does_not_speak_is_ignored(self):
        host = self.host()
        host.acknowledge(host.receive("init"), "s-1", revision=2)
        host.send("challenge", session_id="s-1", heartbeat_challenge=1)
        self.assertEqual(host.receive()["msg_type"], "init")

    def test_G26_a_refusal_that_names_an_earlier_session_is_ignored(self):
        host = self.registered_host()
        host.nack("no_session", orig_msg_type="challenge_response", session_id="an-earlier-one")
        self.assertEqual(host.receive_all(1.5), [])
        host.challenge()
        host.nack("no_session", orig_msg_type="challenge_response", session_id="session-1")
        host.receive("init", deadline=2)

    def test_G10_no_session_brings_an_init_at_most_once_a_second(self):
        host = self.registered_host()
        for _ in range(50):
            host.nack("no_session", orig_msg_type="unknown")
        self.assertIn(len(host.receive_all(1.5)), (1, 2))

    def test_G11_an_interval_that_is_too_small_is_corrected(self):
        host = self.host()
        init = host.receive("init")
        host.nack("interval_too_small", invocation_id=init["invocation_id"], min_interval_ms=2500)
        self.assertEqual(host.receive("init")["heartbeat_interval_ms"], 2500)

    def test_G11_a_detection_time_that_is_too_small_is_corrected(self):
        host = self.host()
        init = host.receive("init")
        host.nack("interval_too_small", invocation_id=init["invocation_id"], min_interval_ms=2500,
                  min_detection_time_ms=5000)
        self.assertEqual(host.receive("init")["detection_time_ms"], 5000)

    def test_G02_G01_the_guest_registers_again_after_the_host_was_away(self):
        host = self.registered_host()
        host.disconnect()
        host.connect()
        self.assertEqual(host.receive("init", deadline=2)["name"], "vm1")

    def test_G02_a_guest_without_a_host_does_not_spin(self):
        self.registered_host().disconnect()
        before = cpu_seconds(self.guest.pid)
        time.sleep(1)  # the time over which the CPU is measured
        self.assertLess(cpu_seconds(self.guest.pid) - before, 0.1)

    def test_G02_the_rest_of_a_cut_message_is_not_joined_to_the_next_connection(self):
        host = self.registered_host()
        host.send_bytes(message("exit", session_id="session-1")[:-20])
        host.disconnect()
        host.connect()
        host.register("s-2")
        host.challenge("s-2")

    def test_G12_G20_a_refused_guest_waits_until_the_host_asks(self):
        for code in ("not_enabled", "bad_field", "unknown_msg_type"):
            with self.subTest(code=code):
                host = self.host()
                host.nack(code, invocation_id=host.receive("init")["invocation_id"])
                self.assertEqual(host.receive_all(2), [])
                host.nack("no_session", orig_msg_type="unknown")
                host.register("again")
                host.challenge("again")
                host.disconnect()

    def test_G17_G20_a_guest_whose_session_the_host_ended_waits_until_the_host_asks(self):
        host = self.registered_host()
        host.send("exit", session_id="session-1", reason="switched off")
        self.assertEqual(host.receive_all(2), [])
        host.nack("no_session", orig_msg_type="unknown")
        host.receive("init", deadline=2)

    def test_G18_a_silent_host_is_asked_again_after_5_seconds(self):
        host = self.registered_host()
        start = time.monotonic()
        host.receive("init")
        self.assertAlmostEqual(time.monotonic() - start, 5.0, delta=1.0)

    def test_G21_a_registered_guest_says_exit_when_it_stops(self):
        host = self.registered_host()
        self.guest.signal(signal.SIGTERM)
        self.assertEqual(host.receive("exit")["session_id"], "session-1")
        self.assertEqual(self.guest.wait(), 0)

    def test_G22_a_guest_without_a_host_stops_at_once(self):
        self.registered_host().disconnect()
        self.assertEqual(self.guest.stop(deadline=PATIENCE), 0)

    def test_whatever_a_guest_must_drop_it_drops_and_stays_registered(self):
        host = self.registered_host()
        for stream in refused_vectors():
            host.send_bytes(b"\n" + stream + b"\n")
            self.assertTrue(host.challenge()["healthy"])
        self.guest.require_running()

    def test_messages_for_other_applications_are_ignored(self):
        host = self.registered_host()
        host.send_bytes(message("exit", session_id="session-1").replace(ADDRESS.encode(), b"vitalwire.other"))
        host.challenge()

    def test_an_endless_line_costs_no_memory(self):
        host = self.registered_host()
        for _ in range(1000):
            host.send_bytes(b"x" * 65536)
        host.send_bytes(b"\n")
        host.challenge()
        status = Path(f"/proc/{self.guest.pid}/status").read_text()
        self.assertLess(int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)), 40_000)

    def test_messages_are_understood_however_they_are_cut(self):
        host = self.registered_host()
        for byte in message("challenge", session_id="session-1", heartbeat_challenge=77):
            host.send_bytes(bytes([byte]))
        self.assertEqual(host.receive("challenge_response")["heartbeat_response"], 77)


class PythonGuest(GuestProtocol, ProcessTestCase):
    command = (sys.executable, ROOT / "guest" / "examples" / "python_guest.py")

    def test_it_is_as_short_as_promised_and_needs_the_standard_library_only(self):
        source = self.command[1].read_text()
        self.assertLess(len(source.splitlines()), 200)
        imported = re.search(r"^import (.*)$", source, re.MULTILINE).group(1).split(", ")
        self.assertLessEqual(set(imported), sys.stdlib_module_names)


class PythonGuestSettings(ProcessTestCase):
    def test_it_reads_its_file_of_arguments_again_and_registers_with_what_is_new(self):
        arguments = self.dir / "arguments"
        arguments.write_text(f"--channel=unix:{self.dir}/guest.sock\n--name=before\n")
        guest = self.start(Process([*PythonGuest.command, f"@{arguments}"], self.dir / "guest.log"))
        host = Host(self.dir / "guest.sock")
        self.addCleanup(host.disconnect)
        self.assertEqual(host.register()["name"], "before")
        host.challenge()
        arguments.write_text(arguments.read_text() + "--name=\n")
        guest.signal(signal.SIGHUP)
        wait_until(lambda: "--name 1 to 64 bytes" in (self.dir / "guest.log").read_text(), "it rejects the name")
        arguments.write_text(arguments.read_text() + "--name=after\n")
        guest.signal(signal.SIGHUP)
        self.assertEqual(host.register("session-2")["name"], "after")
        host.challenge("session-2")


class PythonGuestHealth(ProcessTestCase):
    def test_it_is_unhealthy_while_the_file_exists_and_gives_its_first_line(self):
        file = self.dir / "unhealthy"
        argv = [*PythonGuest.command, "--channel", f"unix:{self.dir}/guest.sock", "--health-file", file]
        self.start(Process(argv, self.dir / "guest.log"))
        host = Host(self.dir / "guest.sock")
        self.addCleanup(host.disconnect)
        host.register()
        self.assertTrue(host.challenge()["healthy"])
        file.write_text('disk "/var" is full\nsecond line\n')
        self.assertEqual(host.challenge()["reason"], 'disk "/var" is full')
        file.write_text("\u00e9" * 300)
        self.assertEqual(host.challenge()["reason"], "\u00e9" * 112)
        file.unlink()
        self.assertTrue(host.challenge()["healthy"])


class Vitalwired(GuestProtocol, ProcessTestCase):
    command = (BUILD / "guest" / "vitalwired", "--config", os.devnull, "--app-socket", "none")


if __name__ == "__main__":
    unittest.main()
