#!/usr/bin/python3
"""Applications in other languages, over the socket alone: the Python package, and the samples in Go and Rust."""

import asyncio
import contextlib
import os
from pathlib import Path
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))
sys.path.insert(0, str(ROOT / "guest" / "python"))

from test_vitalwired import VitalwiredTest
from scripted_host import member
import vitalwire
from vmbed.procs import Process, wait_until

EXAMPLES = ROOT / "guest" / "examples"


class Language(VitalwiredTest):
    def setUp(self) -> None:
        self.start_guest()
        self.register()
        self.path = str(self.dir / "apps")


class PythonPackage(Language):
    def application(self, name: str = "db", **more: object) -> vitalwire.Application:
        times = {"interval": 0.2} if "detection_time" not in more else {}
        application = vitalwire.Application(name, path=self.path, **times, **more)
        self.addCleanup(application.close)
        return application

    def serve(self, application: vitalwire.Application) -> None:
        """Polls in a thread until the test ends."""
        ended = threading.Event()

        def run() -> None:
            while not ended.is_set():
                application.poll(0.05)

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(ended.set)
        wait_until(lambda: application.registered, "it is registered")

    def test_a_name_or_time_that_cannot_be_registered_is_an_error_of_the_program(self):
        for name, times, wrong in (("my app", {}, "name: expected 1 to 32"), ("", {}, "name"), ("a" * 33, {}, "name"),
                                   ("db", {"detection_time": 0.05}, "detection_time: expected 0.2 to 7200 seconds"),
                                   ("db", {"interval": 0.05}, "interval: expected 0.1 to 3600 seconds"),
                                   ("db", {"interval": 1, "timeout": 2}, "timeout: expected 0.05 to 1 seconds"),
                                   ("db", {"detection_time": 2, "interval": 1, "timeout": 0.5}, "the sum of"),
                                   ("db", {"interval": float("inf")}, "interval: expected seconds, not inf"),
                                   ("db", {"timeout": float("nan")}, "timeout: expected seconds, not nan")):
            for kind in (vitalwire.Application, vitalwire.AsyncApplication):
                with self.assertRaisesRegex(ValueError, wrong):
                    kind(name, path=self.path, **times)
        for times in ({}, {"detection_time": 0.333}, {"timeout": 0.05}, {"detection_time": 1, "timeout": 0.1}):
            vitalwire.Application("db", path=self.path, **times)

    def test_its_health_reaches_the_host(self):
        state = {"health": vitalwire.Health()}
        self.serve(self.application(health=lambda: state["health"]))
        state["health"] = vitalwire.Health(False, 'replica "b" is behind')
        self.await_reason('application db: replica "b" is behind')
        state["health"] = vitalwire.Health()
        self.await_reason("")

    def test_a_successor_that_is_as_ill_ends_no_fault(self):
        asked = []

        def ill() -> vitalwire.Health:
            asked.append(True)
            return vitalwire.Health(False, "disk full")

        application = self.application(health=ill, detection_time=7200)
        wait_until(lambda: application.poll(0.05) or application.registered, "it is registered")
        self.assertEqual(self.host.challenge().get("reason"), "application db: disk full")
        self.assertEqual(len(asked), 1)

        async def other() -> None:
            async with vitalwire.AsyncApplication("other", ill, detection_time=7200, path=self.path) as later:
                while not later.registered:
                    await asyncio.sleep(0.01)
                self.assertIn("application other: disk full", self.host.challenge().get("reason"))

        asyncio.run(other())

    def test_an_exception_in_its_callback_is_ill_health(self):
        def broken() -> vitalwire.Health:
            raise KeyError("x")

        self.serve(self.application(health=broken))
        self.await_reason("application db: KeyError: 'x'")

    def test_any_reason_reaches_the_host_and_the_application_stays_registered(self):
        state = {"health": vitalwire.Health()}
        told = []
        self.serve(self.application(health=lambda: state["health"], on_registration=told.append))
        for reason, arrives in ((os.fsdecode(b"no /data/caf\xe9"), "no /data/caf\\udce9"), ("\u00e9" * 5000, "\u00e9" * 104)):
            state["health"] = vitalwire.Health(False, reason)
            self.await_reason(f"application db: {arrives}")
            state["health"] = vitalwire.Health()
            self.await_reason("")
        self.assertEqual(told, [None])

    def test_what_is_no_health_is_ill_health_and_named(self):
        answers = [vitalwire.Health(), None]
        self.serve(self.application(health=lambda: answers.pop(0) if len(answers) > 1 else answers[0]))
        self.await_reason("application db: TypeError: what health() returned is NoneType, expected Health")
        with self.assertRaisesRegex(TypeError, "a report is bool, expected Health"):
            self.application("other").report(True)

    def test_a_report_during_the_registration_is_not_lost(self):
        application = self.application(detection_time=7200)
        application.poll()  # connects and asks to be registered: the answer is not read yet
        application.report(vitalwire.Health(False, "disk full"))
        self.await_reason("application db: disk full")

    def test_a_report_while_the_registration_is_refused_is_in_the_next_one(self):
        first = self.application()
        wait_until(lambda: first.poll(0.05) or first.registered, "the first one is registered")
        told = []
        second = self.application(on_registration=told.append)
        second.poll()
        second.report(vitalwire.Health(False, "second"))
        wait_until(lambda: first.poll() or second.poll(0.05) or told, "the second one is refused")
        first.close()
        wait_until(lambda: second.poll(0.05) or second.registered, "it is registered")
        self.await_reason("application db: second")
        self.assertEqual([each and each.code for each in told], ["in_use", None])

    def test_descriptors_above_1023_do(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        with contextlib.ExitStack() as files:
            for _ in range(1024):
                files.enter_context(open("/dev/null"))
            self.serve(self.application())
            with vitalwire.Group(path=self.path) as group:
                wait_until(lambda: group.poll(0.05) or group.connected, "it is connected")

    def assert_named_when_it_hangs(self, application: vitalwire.Application, timeout_ms: int) -> None:
        deadline = time.monotonic() + 20
        while not application.registered and time.monotonic() < deadline:
            application.poll(0.05)
        self.await_reason(f"application db: did not answer within {timeout_ms} ms")

    def test_one_that_does_not_poll_is_named(self):
        self.assert_named_when_it_hangs(self.application(), 200)

    def test_half_of_the_detection_time_is_for_the_answer(self):
        self.assert_named_when_it_hangs(self.application(detection_time=0.5), 250)

    def test_a_refused_name_is_asked_for_until_it_is_free(self):
        first = self.application()
        told = []
        second = self.application(on_registration=told.append)
        deadline = time.monotonic() + 20
        while not told and time.monotonic() < deadline:
            first.poll(0.05)
            second.poll(0.05)
        self.assertEqual((told[0].code, second.registered), ("in_use", False))
        first.close()
        while not second.registered and time.monotonic() < deadline:
            second.poll(0.05)
        self.assertEqual(told[1:], [None])

    def test_it_outlives_the_daemon(self):
        application = self.application()
        self.serve(application)
        self.guest.kill()
        wait_until(lambda: not application.registered, "it has noticed")
        self.start_guest()
        wait_until(lambda: application.registered, "it is registered again")

    def test_a_child_cannot_speak_for_its_parent(self):
        application = self.application()
        self.serve(application)
        child = os.fork()
        if child == 0:
            try:
                application.report(vitalwire.Health(False, "child"))
            except vitalwire.WrongProcess:
                os._exit(0)
            os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertTrue(application.registered)

    def test_a_child_that_ends_in_order_changes_nothing_for_its_parent(self):
        application = self.application()
        self.serve(application)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with application:
                    sys.exit(0)
            except SystemExit as end:
                status = end.code
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        application.report(vitalwire.Health(False, "still watched"))
        self.await_reason("application db: still watched")

    def test_a_child_that_has_its_parents_number_cannot_speak_for_it(self):
        application = self.application()
        self.serve(application)
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            os.getpid = lambda: parent  # as in a PID namespace of its own
            try:
                application.report(vitalwire.Health(False, "child"))
            except vitalwire.WrongProcess:
                os._exit(0)
            os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_a_socket_that_cannot_be_used_is_told_once(self):
        path = self.dir / "of another type"
        told = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.bind(str(path))
            application = vitalwire.Application("db", on_registration=told.append, path=str(path))
            for _ in range(2):
                application.poll(0.2)
        self.assertEqual([(each.code, str(each)) for each in told],
                         [("system", f"cannot connect to vitalwired on {path}: Protocol wrong type for socket")])

    def test_reports_and_status(self):
        vitalwire.report("backup", vitalwire.Health(False, "no space"), path=self.path)
        self.await_reason("report backup: no space")
        status = vitalwire.status(path=self.path)
        self.assertEqual((status.registered, status.healthy, status.reason), (True, False, "report backup: no space"))
        self.assertEqual([(each.name, each.state) for each in status.items], [("backup", "unhealthy")])
        vitalwire.forget("backup", path=self.path)
        self.await_reason("")
        with self.assertRaises(vitalwire.Refused) as refused:
            vitalwire.forget("backup", path=self.path)
        self.assertEqual(refused.exception.code, "not_found")
        with self.assertRaisesRegex(vitalwire.Error, "cannot connect to vitalwired on /nowhere"):
            vitalwire.status(path="/nowhere")

    def test_a_daemon_that_stands_still_and_takes_no_connections_is_not_waited_for(self):
        waiting = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(200)]
        self.guest.signal(signal.SIGSTOP)
        self.addCleanup(self.guest.signal, signal.SIGCONT)
        for each in waiting:
            self.addCleanup(each.close)
            each.setblocking(False)
            each.connect_ex(self.path)
        begin = time.monotonic()
        self.application().poll(0)
        with self.assertRaises(vitalwire.Refused), vitalwire.Group(path=self.path) as group:
            group.members(timeout=0.1)
        self.assertLess(time.monotonic() - begin, 3)
        with self.assertRaisesRegex(vitalwire.Error, "cannot connect to vitalwired"):
            vitalwire.report("backup", vitalwire.Health(False, "no space"), path=self.path)
        self.assertLess(time.monotonic() - begin, 9)

    def answer_to(self, event: str, vote: bool = True) -> tuple[str, str]:
        self.host.ask(event, vote)
        answer = self.host.receive("action_response")
        return answer["vote_result"], answer.get("reason", "")

    def test_it_is_asked_before_an_action_and_rejects_it_with_a_reason(self):
        asked = []

        def on_action(action: vitalwire.Action) -> str | None:
            asked.append(action)
            return "last member\nof its group" if action.may_reject else None

        self.serve(self.application(on_action=on_action))
        self.assertEqual(self.answer_to("stop"), ("reject", "application db: last member"))
        self.assertEqual(self.answer_to("live_migrate_begin", False), ("complete", ""))
        self.assertEqual([(each.event, each.may_reject, each.timeout) for each in asked],
                         [("stop", True, 60), ("live_migrate_begin", False, 60)])

    def test_an_answer_may_be_given_later_and_health_is_answered_in_between(self):
        asked = []
        application = self.application(on_action=lambda action: asked.append(action) or vitalwire.LATER)
        self.serve(application)
        self.host.ask("stop")
        wait_until(lambda: asked, "it is asked")
        self.await_reason("")
        application.answer(asked[0], reject="syncing")
        self.assertEqual(self.host.receive("action_response")["reason"], "application db: syncing")

    def test_a_callback_that_fails_consents_and_is_named(self):
        def on_action(action: vitalwire.Action) -> None:
            raise ValueError("no idea")

        self.serve(self.application(on_action=on_action))
        self.assertEqual(self.answer_to("stop"), ("error", "application db: ValueError: no idea"))

    def test_with_asyncio_it_is_asked_before_an_action(self):
        async def on_action(action: vitalwire.Action) -> str | None:
            if action.event == "pause":
                raise ValueError("no idea")
            await asyncio.sleep(0.5)  # longer than an answer about health may take
            return "syncing" if action.may_reject else None

        async def serve() -> None:
            async with vitalwire.AsyncApplication("aio", interval=0.2, path=self.path, on_action=on_action) as application:
                while not application.registered:
                    await asyncio.sleep(0.02)
                answers = [await asyncio.to_thread(self.answer_to, *question)
                           for question in (("stop",), ("stop", False), ("pause",))]
                self.assertEqual(answers, [("reject", "application aio: syncing"), ("complete", ""),
                                           ("error", "application aio: ValueError: no idea")])
                await asyncio.to_thread(self.await_reason, "")

        asyncio.run(asyncio.wait_for(serve(), 60))

    def test_with_asyncio(self):
        async def serve() -> None:
            state = {"health": vitalwire.Health()}
            async with vitalwire.AsyncApplication("aio", lambda: state["health"], interval=0.2,
                                                  path=self.path) as application:
                while not application.registered:
                    await asyncio.sleep(0.02)
                state["health"] = vitalwire.Health(False, "asked")
                await asyncio.to_thread(self.await_reason, "application aio: asked")
                state["health"] = vitalwire.Health()
                await asyncio.to_thread(self.await_reason, "")
                await application.report(vitalwire.Health(False, "at once"))
            await asyncio.to_thread(self.await_reason, "")

        asyncio.run(asyncio.wait_for(serve(), 60))
        self.await_log("application deregistered")


    def test_with_asyncio_an_exception_of_a_callback_ends_nothing(self):
        problems, messages = [], []

        def refuse(*_: object) -> None:
            raise ValueError("a bug")

        def on_message(message: vitalwire.Message) -> None:
            messages.append(message.data)
            if len(messages) == 1:
                raise ValueError("a bug")

        async def serve() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["exception"]))
            async with vitalwire.AsyncApplication("aio", lambda: vitalwire.Health(False, "asked"), interval=0.2,
                                                  path=self.path, on_registration=refuse):
                await asyncio.to_thread(self.await_reason, "application aio: asked")
            async with vitalwire.AsyncGroup(on_message, path=self.path):
                while len(messages) < 2:
                    self.host.send_group("broadcast", source_instance="vm-2", data="hi")
                    await asyncio.sleep(0.02)

        asyncio.run(asyncio.wait_for(serve(), 60))
        self.assertEqual([str(each) for each in problems], ["a bug", "a bug"])


class PythonGroup(Language):
    """The server group by the Python package."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list = []

    def members_in_background(self, group) -> threading.Thread:
        thread = threading.Thread(target=lambda: self.told.append([each.instance_id for each in group.members()]))
        thread.start()
        return thread

    def test_it_sends_receives_and_asks(self):
        with vitalwire.Group(self.told.append, self.told.append, dropped=self.told.append, path=self.path) as group:
            group.poll(0.1)
            thread = self.members_in_background(group)
            self.host.answer_query("vm-1", member("vm-2", "paused", heartbeat="lost"))
            thread.join()
            self.assertEqual(self.told.pop(), ["vm-1", "vm-2"])
            group.send(b"\x00\xff")
            sent = self.host.receive_group("broadcast")
            self.assertEqual((sent["data"], sent["encoding"]), ("AP8=", "base64"))
            group.send("caf\u00e9\n")
            self.assertEqual(self.host.receive_group("broadcast")["data"], "caf\u00e9\n")
            self.host.send_group("broadcast", source_instance="vm-2", data="/wA=", encoding="base64", dropped=7)
            self.host.send_group("notification", event_type="e", data=member("vm-2", "paused", colour="red"))
            wait_until(lambda: group.poll(0.05) or len(self.told) == 3, "all is told")
            dropped, message, notification = self.told
            self.assertEqual((dropped, message), (7, vitalwire.Message("vm-2", b"\xff\x00")))
            self.assertEqual((notification.member.state, notification.member.fields["colour"]), ("paused", "red"))

    def test_what_is_refused_says_why(self):
        refusals = []
        with vitalwire.Group(refused=lambda refused, seq: refusals.append((refused.code, seq)), path=self.path) as group:
            with self.assertRaises(vitalwire.Refused) as refused:
                group.send(b"x" * 3051)
            self.assertEqual(refused.exception.code, "too_large")
            with self.assertRaises(vitalwire.Refused) as refused:
                group.send(b"not connected yet")
            self.assertEqual(refused.exception.code, "disconnected")
            group.poll(0.1)
            number = group.send(b"x" * 3050)
            seq = self.host.receive_group("broadcast")["seq"]
            self.host.send_group("nack", code="not_in_group", log_msg="in none", orig_msg_type="broadcast", seq=seq)
            wait_until(lambda: group.poll(0.05) or refusals == [("not_in_group", number)], "it is told")
            with self.assertRaises(vitalwire.Refused) as refused:
                group.members(timeout=0.2)
            self.assertEqual(refused.exception.code, "timeout")

    def test_it_outlives_the_daemon(self):
        with vitalwire.Group(self.told.append, path=self.path) as group:
            wait_until(lambda: group.poll(0.05) or group.connected, "it is connected")
            self.guest.kill()
            wait_until(lambda: group.poll(0.05) or not group.connected, "it notices")
            (self.dir / "guest.log").unlink()
            self.start_guest()
            self.register()
            wait_until(lambda: group.poll(0.05) or group.connected, "it is connected again")

            def received() -> bool:
                self.host.send_group("broadcast", source_instance="vm-2", data="again")
                group.poll(0.1)
                return bool(self.told)

            wait_until(received, "it listens again")

    def test_with_asyncio(self):
        async def serve() -> None:
            async with vitalwire.AsyncGroup(self.told.append, path=self.path) as group:
                asked = asyncio.create_task(group.members())
                await asyncio.to_thread(self.host.answer_query, "vm-1", "vm-2")
                self.assertEqual([each.instance_id for each in await asked], ["vm-1", "vm-2"])
                await group.send("hello")
                self.assertEqual((await asyncio.to_thread(self.host.receive_group, "broadcast"))["data"], "hello")
                self.host.send_group("broadcast", source_instance="vm-2", data="hi")
                while not self.told:
                    await asyncio.sleep(0.02)
                with self.assertRaises(vitalwire.Refused) as refused:
                    await group.members(timeout=0.2)
                self.assertEqual(refused.exception.code, "timeout")

        asyncio.run(asyncio.wait_for(serve(), 60))
        self.assertEqual(self.told, [vitalwire.Message("vm-2", b"hi")])

    def test_a_query_that_nobody_waits_for_any_more_is_forgotten(self):
        async def serve() -> None:
            async with vitalwire.AsyncGroup(path=self.path) as group:
                for _ in range(3):
                    with self.assertRaises(TimeoutError):
                        await asyncio.wait_for(group.members(timeout=60), 0.3)
                self.assertIsNone(group._session.next_deadline)

        asyncio.run(asyncio.wait_for(serve(), 60))

        def broken(message: vitalwire.Message) -> None:
            raise ValueError("a bug")

        with vitalwire.Group(broken, path=self.path) as group:
            wait_until(lambda: group.poll(0.05) or group.connected, "it is connected")
            self.host.send_group("broadcast", source_instance="vm-2", data="hi")
            with self.assertRaisesRegex(ValueError, "a bug"):
                group.members(timeout=60)
            self.assertIsNone(group._session.next_deadline)

    def test_a_child_cannot_speak_for_its_parent(self):
        with vitalwire.Group(path=self.path) as group:
            wait_until(lambda: group.poll(0.05) or group.connected, "it is connected")
            child = os.fork()
            if child == 0:
                try:
                    group.send("child")
                except vitalwire.WrongProcess:
                    os._exit(0)
                os._exit(1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            group.send("parent")
            self.assertEqual(self.host.receive_group("broadcast")["data"], "parent")


class Sample(Language):
    """A sample that is healthy while a file exists."""

    def check(self, program: Path) -> None:
        well = self.dir / "well"
        well.touch()
        sample = self.start(Process([program, "sample", well], self.dir / "sample.log",
                                    {"VITALWIRE_SOCKET": self.path}))
        wait_until(lambda: "registered" in (self.dir / "sample.log").read_text(), "it is registered")
        well.unlink()
        self.await_reason(f"application sample: {well} is missing")
        well.touch()
        self.await_reason("")
        sample.signal(signal.SIGSTOP)
        self.await_reason("application sample: did not answer within 500 ms")
        sample.signal(signal.SIGCONT)
        self.await_reason("")
        sample.kill()
        self.check_any_name(program)

    def check_any_name(self, program: Path) -> None:
        """What is no plain text to one of the three languages is a reason all the same."""
        for number, name in enumerate(('say "no" \\ \u00ad\u200b\x7f', "\x01\n" * 100, os.fsdecode(b"caf\xe9"))):
            sample = self.start(Process([program, f"sample-{number}", self.dir / name], self.dir / "odd.log",
                                        {"VITALWIRE_SOCKET": self.path}))
            wait_until(lambda: self.item(f"sample-{number}") == "unhealthy", "it is registered, and ill")
            sample.kill()

    def item(self, name: str) -> str:
        return next((each.state for each in vitalwire.status(path=self.path).items if each.name == name), "")

    def build(self, tool: str, *arguments: object) -> None:
        environment = {**os.environ, "GOCACHE": str(self.dir / "cache"), "GO111MODULE": "off", "HOME": str(self.dir)}
        if tool == "rustc":
            environment["HOME"] = os.environ.get("HOME", "/")
        done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, env=environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    @unittest.skipUnless(shutil.which("rustc"), "needs rustc")
    def test_rust(self):
        self.build("rustc", "--edition", "2021", "-o", self.dir / "rust", EXAMPLES / "heartbeat.rs")
        self.check(self.dir / "rust")
        sample = self.start(Process([self.dir / "rust", "signals", self.dir / "well"], self.dir / "signals.log",
                                    {"VITALWIRE_SOCKET": self.path, **self.handling_signals()}))
        wait_until(lambda: self.item("signals") == "healthy", "it is registered")
        self.interrupt(sample)
        self.assertEqual((self.dir / "signals.log").read_text(), "registered\n")
        self.assertEqual(self.item("signals"), "healthy")

    @unittest.skipUnless(shutil.which("go"), "needs go")
    def test_go(self):
        self.build("go", "build", "-o", self.dir / "go", EXAMPLES / "heartbeat.go")
        self.check(self.dir / "go")

    def test_they_are_short(self):
        for sample in ("heartbeat.go", "heartbeat.rs"):
            self.assertLess(len((EXAMPLES / sample).read_text().splitlines()), 150, sample)


if __name__ == "__main__":
    unittest.main()
