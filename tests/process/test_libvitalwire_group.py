#!/usr/bin/python3
"""The server group as applications and scripts in a guest meet it: vitalwired, libvitalwire, vitalwire-group."""

import base64
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from scripted_host import member
from test_libvitalwire import LIBRARY, SANITIZED
from test_vitalwired import BUILD, VitalwiredTest
from vmbed.procs import Process, wait_until

TOOL = BUILD / "guest" / "vitalwire-group"


class GroupTest(VitalwiredTest):
    """A registered guest, and its host played by the test."""

    def setUp(self) -> None:
        self.start_guest()
        self.register()
        self.socket = {"VITALWIRE_SOCKET": str(self.dir / "apps")}

    def start_tool(self, *arguments: str, name: str = "tool") -> Process:
        return self.start(Process([TOOL, *arguments], self.dir / f"{name}.log", self.socket))

    def run_tool(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        return subprocess.run([TOOL, *arguments], env={**os.environ, **self.socket}, capture_output=True, timeout=60,
                              **options)

    def lines(self, name: str = "tool") -> list[str]:
        return (self.dir / f"{name}.log").read_text().splitlines()

    def await_lines(self, expected: list[str], name: str = "tool") -> None:
        wait_until(lambda: len(self.lines(name)) >= len(expected), f"{name} prints {len(expected)} lines")
        self.assertEqual(self.lines(name), expected)

    def listening(self, *arguments: str, name: str = "tool") -> Process:
        """A listener that vitalwired knows: it has printed a message that says so."""
        listener = self.start_tool("listen", *arguments, name=name)

        def heard() -> bool:
            self.host.send_group("broadcast", source_instance="test", data="listening?")
            return bool(self.lines(name))

        wait_until(heard, f"{name} listens", pause=0.1)
        return listener

    def received_after_start(self, name: str = "tool") -> list[str]:
        return [line for line in self.lines(name) if "listening?" not in line]


class Send(GroupTest):
    def test_a_message_is_sent_and_confirmed_by_the_query_behind_it(self) -> None:
        tool = self.start_tool("send", "hello")
        self.assertEqual(self.host.receive_group("broadcast")["data"], "hello")
        self.host.answer_query("vm-1")
        self.assertEqual(tool.wait(), 0)

    def test_any_bytes_of_standard_input_are_sent(self) -> None:
        payload = bytes(range(256)) * 11 + b"\xff" * 234
        self.assertEqual(len(payload), 3050)
        (self.dir / "payload").write_bytes(payload)
        with open(self.dir / "payload", "rb") as source:
            tool = subprocess.Popen([TOOL, "send"], stdin=source, env={**os.environ, **self.socket})
        self.addCleanup(tool.wait)
        sent = self.host.receive_group("broadcast")
        self.assertEqual((sent["encoding"], base64.b64decode(sent["data"])), ("base64", payload))
        self.host.answer_query()

    def test_a_byte_too_many_is_refused_before_it_is_sent(self) -> None:
        ended = self.run_tool("send", input=b"x" * 3051)
        self.assertEqual((ended.returncode, ended.stderr),
                         (1, b"vitalwire-group: not sent: at most 3050 bytes are accepted\n"))

    def test_a_refusal_is_told(self) -> None:
        tool = self.start_tool("send", "hello")
        seq = self.host.receive_group("broadcast")["seq"]
        self.host.send_group("nack", code="not_in_group", log_msg="in no server group", orig_msg_type="broadcast", seq=seq)
        self.assertEqual(tool.wait(), 1)
        self.await_lines(["vitalwire-group: not sent: in no server group"])

    def test_a_host_that_never_answers_does_not_hang_it(self) -> None:
        ended = self.run_tool("send", "--timeout", "0.3", "hello")
        self.assertEqual((ended.returncode, ended.stderr),
                         (1, b"vitalwire-group: not known to be sent: the host has not answered in time\n"))

    def test_without_a_host_it_fails_at_once(self) -> None:
        self.host.disconnect()
        self.await_log("no longer registered")
        ended = self.run_tool("send", "hello")
        self.assertEqual((ended.returncode, ended.stderr), (1, b"vitalwire-group: not sent: no host is on the channel\n"))

    def test_without_vitalwired_it_fails_in_time(self) -> None:
        self.guest.kill()
        ended = self.run_tool("send", "--timeout", "0.2", "hello")
        self.assertEqual((ended.returncode, ended.stderr), (1, b"vitalwire-group: vitalwired is not there\n"))


class Listen(GroupTest):
    def test_an_empty_message_is_a_dash(self) -> None:
        self.listening()
        self.host.send_group("broadcast", source_instance="vm-2", data="")
        wait_until(lambda: "broadcast\tvm-2\t-" in self.lines(), "it is printed")

    def test_several_listeners_hear_everything_in_order(self) -> None:
        for name in ("a", "b"):
            self.listening(name=name)
        for i in range(50):
            self.host.send_group("broadcast", source_instance="vm-2", data=f"message {i}")
        expected = [f"broadcast\tvm-2\tmessage {i}" for i in range(50)]
        for name in ("a", "b"):
            wait_until(lambda: len(self.received_after_start(name)) >= 50, f"{name} receives all")
            self.assertEqual(self.received_after_start(name), expected)

    def test_hostile_payloads_are_escaped(self) -> None:
        self.listening()
        self.host.send_group("broadcast", source_instance="vm-2", data="a\tb\n\u0000\u001b[2J\"")
        self.host.send_group("broadcast", source_instance="vm-2", data="/wA=", encoding="base64")
        wait_until(lambda: len(self.received_after_start()) >= 2, "both came")
        self.assertEqual(self.received_after_start(),
                         [r'broadcast	vm-2	a\tb\n\x00\x1b[2J\"', r"broadcast	vm-2	\xff\x00"])

    def test_a_change_of_state_is_printed(self) -> None:
        self.listening()
        self.host.send_group("notification", event_type="e", data=member("vm-2", "paused", heartbeat="lost"))
        wait_until(self.received_after_start, "it came")
        self.assertEqual(self.received_after_start(), ["notification\tvm-2\tpaused\t-\tlost\tname of vm-2"])

    def test_json_has_every_field_and_any_payload(self) -> None:
        self.listening("--json")
        state = member("vm-2", metadata={"role": "db"}, colour="red")
        self.host.send_group("notification", event_type="e", timestamp="2024-05-14T09:30:00Z", data=state)
        self.host.send_group("broadcast", source_instance="vm-2", data="/wA=", encoding="base64")
        wait_until(lambda: len(self.received_after_start()) >= 2, "both came")
        told, sent = map(json.loads, self.received_after_start())
        self.assertEqual(told["data"], state)
        self.assertEqual(sent, {"type": "broadcast", "source_instance": "vm-2", "data": "/wA=", "encoding": "base64"})

    def test_drops_of_the_host_are_printed_before_the_message_that_tells_them(self) -> None:
        self.listening()
        self.host.send_group("broadcast", source_instance="vm-2", data="late", dropped=7)
        wait_until(lambda: len(self.received_after_start()) >= 2, "both came")
        self.assertEqual(self.received_after_start(), ["dropped\t7", "broadcast\tvm-2\tlate"])

    def test_it_ends_after_the_number_asked_for_or_the_time(self) -> None:
        listener = self.listening("--count", "1")
        self.assertEqual(listener.wait(), 0)
        ended = self.run_tool("listen", "--count", "2", "--timeout", "0.2")
        self.assertEqual((ended.returncode, ended.stderr), (1, b"vitalwire-group: only 0 came in time\n"))
        self.assertEqual(self.run_tool("listen", "--timeout", "0.1").returncode, 0)

    def test_a_stopped_listener_loses_its_oldest_and_disturbs_nobody(self) -> None:
        slow = self.listening(name="slow")
        self.listening(name="quick")
        slow.signal(signal.SIGSTOP)
        count = 400
        for i in range(count):
            self.host.send_group("broadcast", source_instance="vm-2", data=f"{i:03}{'.' * 1000}")
            if i % 20 == 0:  # never more on its way than the queue of one that reads
                self.assertTrue(self.host.challenge()["healthy"])
                wait_until(lambda: len(self.received_after_start("quick")) >= i, "the quick one keeps up")
        wait_until(lambda: len(self.received_after_start("quick")) >= count, "the quick one receives all")
        self.assertEqual(len(self.received_after_start("quick")), count)
        slow.signal(signal.SIGCONT)
        wait_until(lambda: "\t399." in "".join(self.lines("slow")), "the slow one receives the last")
        dropped = [int(line.split("\t")[1]) for line in self.received_after_start("slow") if line.startswith("dropped")]
        heard = [line for line in self.received_after_start("slow") if line.startswith("broadcast")]
        self.assertEqual(len(heard) + sum(dropped), count)
        self.assertGreater(sum(dropped), 0)

    def test_it_outlives_vitalwired(self) -> None:
        self.listening()
        self.guest.kill()
        (self.dir / "guest.log").rename(self.dir / "guest-1.log")
        self.start_guest()
        self.host.disconnect()
        self.register()

        def heard() -> bool:
            self.host.send_group("broadcast", source_instance="vm-2", data="again")
            return bool(self.received_after_start())

        wait_until(heard, "it listens again", pause=0.1)


class Status(GroupTest):
    def test_every_member_is_printed(self) -> None:
        tool = self.start_tool("status")
        self.host.answer_query("vm-1", member("vm-2", "error", heartbeat="lost", display_name=""))
        self.assertEqual(tool.wait(), 0)
        self.await_lines(["vm-1\tactive\t-\t-\tname of vm-1", "vm-2\terror\t-\tlost\t-"])

    def test_json_is_what_the_host_said(self) -> None:
        state = member("vm-1", metadata={"a": "b"}, tenant_id="t", colour="red")
        tool = self.start_tool("status", "--json")
        self.host.answer_query(state)
        self.assertEqual(tool.wait(), 0)
        self.assertEqual([json.loads(line) for line in self.lines()], [state])

    def test_a_query_that_is_refused_or_not_answered_ends_with_the_reason(self) -> None:
        tool = self.start_tool("status")
        seq = self.host.receive_group("status_query")["seq"]
        self.host.send_group("nack", code="unavailable", log_msg="no controller", orig_msg_type="status_query", seq=seq)
        self.assertEqual(tool.wait(), 1)
        self.await_lines(["vitalwire-group: no status: no controller"])
        ended = self.run_tool("status", "--timeout", "0.2")
        self.assertEqual((ended.returncode, ended.stderr),
                         (1, b"vitalwire-group: no status: the host has not answered in time\n"))


class Samples(GroupTest):
    """guest/examples/group.c and python_group.py do the same."""

    def start_sample(self, *argv: str | Path, **environment: str) -> Process:
        os.mkfifo(self.dir / "input")
        command = ["bash", "-c", 'input=$1; shift; exec "$@" < "$input"', "sample", self.dir / "input", *argv]
        sample = self.start(Process(command, self.dir / "tool.log", {**self.socket, **environment}))
        self.input = self.enterContext(open(self.dir / "input", "w"))
        return sample

    def await_listening(self) -> None:
        def heard() -> bool:
            self.host.send_group("broadcast", source_instance="vm-2", data="hi\u001b")
            return bool(self.lines())

        wait_until(heard, "the sample listens", pause=0.1)

    def check(self) -> None:
        self.await_listening()
        self.assertRegex(self.lines()[0], r"^vm-2 says: (hi\.|b'hi\\x1b')$")
        print("hello", file=self.input, flush=True)
        self.assertEqual(self.host.receive_group("broadcast")["data"], "hello")
        self.host.send_group("notification", event_type="e", data=member("vm-2", "paused"), dropped=3)
        wait_until(lambda: "paused" in self.lines()[-1], "the change is printed")
        self.assertEqual(self.lines()[-2], "missed 3")
        self.host.disconnect()
        wait_until(lambda: self.lines()[-1].startswith("not sent: "), "the loss of the host is printed")

    def test_the_sample_in_c(self) -> None:
        self.start_sample(BUILD / "guest" / "examples" / "group")
        self.check()

    @unittest.skipIf(SANITIZED, "they want to be loaded first")
    def test_a_signal_does_not_end_the_sample_in_c(self) -> None:
        sample = self.start_sample(BUILD / "guest" / "examples" / "group", **self.handling_signals())
        self.await_listening()
        for _ in range(3):
            self.interrupt(sample)
        self.check()

    @unittest.skipIf(SANITIZED, "Python is not built with sanitizers")
    def test_the_sample_in_python(self) -> None:
        self.start_sample(ROOT / "guest" / "examples" / "python_group.py", LIBRARY)
        self.check()


class Usage(unittest.TestCase):
    def test_mistakes_are_named(self) -> None:
        for arguments, named in ((["shout"], "shout"), ([], "send, listen or status"), (["send", "a", "b"], "'b'"),
                                 (["status", "--count", "1"], "--count"), (["listen", "--count", "0"], "--count"),
                                 (["status", "--timeout", "0"], "--timeout"), (["--loud"], "--loud")):
            with self.subTest(arguments=arguments):
                ended = subprocess.run([TOOL, *arguments], capture_output=True, text=True, timeout=30)
                self.assertEqual(ended.returncode, 2)
                self.assertIn(named, ended.stderr)

    def test_help_and_version(self) -> None:
        self.assertIn("--timeout", subprocess.run([TOOL, "--help"], capture_output=True, text=True).stdout)
        self.assertRegex(subprocess.run([TOOL, "--version"], capture_output=True, text=True).stdout,
                         r"^vitalwire-group \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    unittest.main()
