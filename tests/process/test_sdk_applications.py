#!/usr/bin/python3
"""Applications of the cgcs guest SDK in a guest with vitalwired: with our library, and with their own sockets."""

import json
import os
from pathlib import Path
import re
import socket
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from scripted_host import member
from test_libvitalwire import SANITIZED, STRICT, run
from test_vitalwired import BUILD, VitalwiredTest
from vmbed.procs import Process, wait_until

LIBRARY = BUILD / "guest" / "sdk" / "libservergroup.so.2"
APPLICATION = Path(__file__).with_name("sdk_application.py")
ADDRESS = "cgcs.server_grp"


class Library(unittest.TestCase):
    def test_it_exports_the_functions_of_its_header_without_versions(self) -> None:
        lines = run("nm", "-D", "--defined-only", LIBRARY).splitlines()
        header = (ROOT / "include" / "vitalwire" / "sdk" / "server_group.h").read_text()
        declared = set(re.findall(r"^\S+ (\w+)\([^*;]*[^)]*\);", header, re.MULTILINE)) | {"init_sg", "sg_get_error"}
        self.assertEqual({line.split()[2] for line in lines}, declared)
        self.assertEqual(declared, {"init_sg", "process_sg_msg", "sg_msg_broadcast", "sg_request_status", "sg_get_error"})

    def test_its_name_is_that_of_the_sdk(self) -> None:
        self.assertIn("libservergroup.so.2", re.findall(r"SONAME\s+(\S+)", run("objdump", "-p", LIBRARY)))


@unittest.skipIf(SANITIZED, "applications are not built with sanitizers")
class OurLibrary(VitalwiredTest):
    def setUp(self) -> None:
        self.start_guest()
        self.register()

    def start_application(self, name: str = "sdk", *arguments: str) -> Process:
        argv = [APPLICATION, LIBRARY, *arguments]
        return self.start(Process(argv, self.dir / f"{name}.log", {"VITALWIRE_SOCKET": f"{self.dir}/apps"}))

    def await_line(self, start: str, name: str = "sdk") -> str:
        def found() -> str:
            lines = (self.dir / f"{name}.log").read_text().splitlines()
            return next((line for line in lines if line.startswith(start)), "")

        return wait_until(found, f"{name} prints {start!r}")

    def test_an_application_sends_asks_and_listens(self) -> None:
        self.start_application("sdk", "hello")
        self.assertEqual(self.host.receive_group("broadcast")["data"], "hello")
        self.host.answer_query("vm-1", "vm-2")
        states = json.loads(self.await_line("status ").removeprefix("status "))
        self.assertEqual(states, [member("vm-1"), member("vm-2")])
        self.host.send_group("broadcast", source_instance="vm-2", data="answer")
        self.await_line("broadcast vm-2 answer")
        self.host.send_group("notification", event_type="e", timestamp="t", data=member("vm-2", "paused"))
        told = json.loads(self.await_line("notification ").removeprefix("notification "))
        self.assertEqual(told, {"payload": member("vm-2", "paused"), "event_type": "e", "priority": "INFO", "timestamp": "t"})

    def test_several_use_the_group_at_once(self) -> None:
        for name in ("one", "two"):
            self.start_application(name)
            self.host.answer_query(f"only-{name}")
            self.await_line("status ", name)
        self.assertIn("only-two", self.await_line("status ", "two"))
        self.host.send_group("broadcast", source_instance="vm-2", data="to all")
        for name in ("one", "two"):
            self.await_line("broadcast vm-2 to all", name)

    def test_refusals_are_errors_and_not_the_end(self) -> None:
        self.start_application("sdk", "x" * 3051)
        self.await_line("not sent: size: payload of 3051 bytes")
        seq = self.host.receive_group("status_query")["seq"]
        self.host.send_group("nack", code="unavailable", log_msg="no controller", orig_msg_type="status_query", seq=seq)
        self.await_line("error: no controller")
        self.host.send_group("broadcast", source_instance="vm-2", data="still there")
        self.await_line("broadcast vm-2 still there")

    def test_without_vitalwired_sending_fails_and_the_group_comes_back(self) -> None:
        self.guest.kill()
        (self.dir / "guest.log").rename(self.dir / "guest-1.log")
        self.start_application("sdk", "hello")
        self.await_line("not sent: vitalwired is not connected")
        self.start_guest()
        self.host.disconnect()
        self.register()

        def heard() -> bool:
            self.host.send_group("broadcast", source_instance="vm-2", data="again")
            return "broadcast vm-2 again" in (self.dir / "sdk.log").read_text()

        wait_until(heard, "it receives again", pause=0.1)

    def test_a_source_of_the_sdk_builds_unchanged(self) -> None:
        source = self.dir / "application.c"
        source.write_text(
            "#include <stdio.h>\n#include <string.h>\n#include <server_group.h>\n"
            "static void told(void *msg, unsigned short len) { printf(\"%.*s\\n\", len, (char *)msg); }\n"
            "static void heard(char *from, void *msg, unsigned short len) { printf(\"%s\", from); told(msg, len); }\n"
            "int main(int argc, char **argv) {\n"
            "    if (init_sg(heard, told, told) < 0) { puts(sg_get_error()); return 1; }\n"
            "    return argc > 1 ? sg_msg_broadcast(argv[1], strlen(argv[1]) + 1) : process_sg_msg();\n}\n")
        program = self.dir / "application"
        run("cc", "-std=c99", *STRICT, f"-I{ROOT}/include/vitalwire/sdk", source, "-o", program, LIBRARY)
        ended = subprocess.run([program, "from C"], timeout=30, env={
            **os.environ, "VITALWIRE_SOCKET": f"{self.dir}/apps",
            "LD_LIBRARY_PATH": f"{LIBRARY.parent}:{BUILD}/guest/lib"})
        self.assertEqual(ended.returncode, 0)
        self.assertEqual(self.host.receive_group("broadcast")["data"], "from C")


class TheirSockets(VitalwiredTest):
    """What the SDK's own library does, byte for byte, under names of the test's own."""

    def setUp(self) -> None:
        self.daemon, self.application = f"vw-test-daemon-{os.getpid()}", f"vw-test-application-{os.getpid()}"
        self.start_guest(f"[sdk]\nsocket = {self.daemon}\napplication = {self.application}\n")
        self.register()
        self.socket = self.bind()

    def bind(self) -> socket.socket:
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(bound.close)
        bound.settimeout(30)
        bound.bind("\0" + self.application)
        return bound

    def send(self, data: object, **keys: object) -> None:
        datagram = {"data": data, "version": 2, "dest_addr": ADDRESS, **keys}
        self.socket.sendto(json.dumps(datagram).encode(), "\0" + self.daemon)

    def receive(self) -> dict:
        datagram = self.socket.recv(65536)
        self.assertLessEqual(len(datagram), 4096)
        message = json.loads(datagram)
        self.assertEqual((message["version"], message["source_addr"], message["data"]["version"]), (2, ADDRESS, 2))
        return message["data"]

    def test_a_broadcast_goes_out_and_one_comes_in(self) -> None:
        self.send({"version": 2, "msg_type": "broadcast", "data": "hello"})
        self.assertEqual(self.host.receive_group("broadcast")["data"], "hello")
        self.host.send_group("broadcast", source_instance="vm-2", data="answer")
        self.assertEqual(self.receive(), {"version": 2, "msg_type": "broadcast", "source_instance": "vm-2", "data": "answer"})

    def test_a_query_is_answered_with_its_own_number_however_large(self) -> None:
        for seq in (1, 65536, 2**31 - 1):
            self.send({"version": 2, "msg_type": "status_query", "seq": seq})
            self.host.answer_query("vm-1")
            response, done = self.receive(), self.receive()
            self.assertEqual((response["seq"], response["data"]), (seq, member("vm-1")))
            self.assertEqual(done, {"version": 2, "msg_type": "status_response_done", "seq": seq})

    def test_a_notification_has_the_form_that_the_sdk_hands_on(self) -> None:
        self.host.send_group("notification", event_type="e", timestamp="t", data=member("vm-2"))
        self.assertEqual(self.receive()["data"],
                         {"payload": member("vm-2"), "event_type": "e", "priority": "INFO", "timestamp": "t"})

    def test_a_refusal_is_a_nack(self) -> None:
        self.send({"version": 2, "msg_type": "broadcast", "data": "x" * 3051})
        refused = self.receive()
        self.assertEqual((refused["msg_type"], refused["orig_msg_type"]), ("nack", "broadcast"))
        self.host.disconnect()
        self.assertIn("went away", self.receive()["log_msg"])
        self.send({"version": 2, "msg_type": "broadcast", "data": "x"})
        self.assertIn("no host", self.receive()["log_msg"])

    def test_what_is_no_message_is_ignored(self) -> None:
        for datagram in (b"", b"\n", b"rubbish", b"{}", b"[" * 4000, b"x" * 9000, b"\xff\0", b'{"dest_addr":null,"data":{}}',
                         b'{"data":{"msg_type":"broadcast","data":"x"},"version":2,"dest_addr":"cgcs.scale"}'):
            self.socket.sendto(datagram, "\0" + self.daemon)
        self.send({"version": 2, "msg_type": "broadcast", "data": "good"})
        self.assertEqual(self.host.receive_group("broadcast")["data"], "good")

    def test_an_application_that_does_not_read_loses_its_oldest_and_no_other_waits(self) -> None:
        count = 400
        for i in range(count):
            self.host.send_group("broadcast", source_instance="vm-2", data=f"{i:03}{'.' * 1000}")
        self.assertTrue(self.host.challenge()["healthy"])
        heard = []
        while not heard or heard[-1] < count - 1:
            heard.append(int(self.receive()["data"][:3]))
        self.assertEqual(heard, sorted(set(heard)))
        self.assertLess(len(heard), count)

    def test_an_application_that_restarts_is_served_again(self) -> None:
        self.socket.close()
        for _ in range(3):
            self.host.send_group("broadcast", source_instance="vm-2", data="nobody receives it")
        self.host.challenge()
        self.socket = self.bind()
        self.host.send_group("broadcast", source_instance="vm-2", data="hello again")
        self.assertEqual(self.receive()["data"], "hello again")

    def test_a_name_that_is_taken_is_told_and_tried_again(self) -> None:
        taken = self.daemon
        self.guest.stop()
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(holder.close)
        holder.bind("\0" + taken)
        (self.dir / "guest.log").rename(self.dir / "guest-1.log")
        self.start_guest(f"[sdk]\nsocket = {taken}\napplication = {self.application}\n")
        self.await_log(f"@{taken}: Address already in use")
        holder.close()
        self.host.disconnect()
        self.register()

        def sent() -> bool:
            try:
                self.send({"version": 2, "msg_type": "broadcast", "data": "x"})
            except ConnectionRefusedError:
                return False
            return True

        wait_until(sent, "the daemon has the name", pause=0.2)
        self.assertEqual(self.host.receive_group("broadcast")["data"], "x")


if __name__ == "__main__":
    unittest.main()
