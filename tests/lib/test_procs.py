#!/usr/bin/python3
"""The helpers of process tests, tried on small programs."""

import http.client
import json
from pathlib import Path
import socket
import subprocess
import sys
import threading
import unittest

LIB = Path(__file__).resolve().parent
sys.path.insert(0, str(LIB))

from vmbed.inspector import Inspector
from vmbed.procs import (
    Daemon,
    Process,
    ProcessTestCase,
    free_port,
    http_json,
    http_metrics,
    http_request,
    wait_until,
)

NOTIFY = """
import os, socket, sys, time
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.connect(os.environ["NOTIFY_SOCKET"])
for lines in sys.argv[1:]:
    manager.send(lines.encode())
time.sleep(600)
"""

SERVE = """
import http.server, socket, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = {
            "/v1/guests": b'{"guests": [1]}',
            "/metrics": b'# TYPE a counter\\na{x="1 2"} 3\\nb 4.5\\n',
        }
        self.send_response(200 if self.path in known else 404)
        self.end_headers()
        self.wfile.write(known.get(self.path, b"no"))
    def address_string(self):
        return "client"
server = socketserver.UnixStreamServer if "/" in sys.argv[1] else http.server.HTTPServer
address = sys.argv[1] if "/" in sys.argv[1] else ("127.0.0.1", int(sys.argv[1]))
server(address, Handler).serve_forever()
"""


def python(script: str, *arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-c", script, *arguments]


class Waiting(unittest.TestCase):
    def test_the_value_that_ended_the_wait_is_returned(self) -> None:
        values = iter([None, 0, "", "here"])
        self.assertEqual(wait_until(lambda: next(values), "a value"), "here")

    def test_a_wait_in_vain_names_what_it_waited_for(self) -> None:
        with self.assertRaisesRegex(TimeoutError, r"0.1 s: rain \(last: 0\)"):
            wait_until(lambda: 0, "rain", deadline=0.1)


class Processes(ProcessTestCase):
    def test_output_goes_to_the_log_and_stop_gives_the_status(self) -> None:
        log = self.dir / "p.log"
        script = "trap 'exit 3' TERM; echo out; echo err >&2; while :; do sleep 0.1; done"
        process = self.start(Process(["sh", "-c", script], log))
        wait_until(lambda: log.read_text() == "out\nerr\n", "both lines")
        self.assertEqual(process.stop(), 3)

    def test_kill_takes_the_whole_group(self) -> None:
        log = self.dir / "p.log"
        process = Process(["sh", "-c", "sleep 600 & echo $!; wait"], log)
        child = Path("/proc", wait_until(lambda: log.read_text().strip(), "the child"))
        process.kill()
        wait_until(lambda: not child.exists() or " Z " in (child / "stat").read_text(), "its end")

    def test_a_process_dies_with_the_test(self) -> None:
        script = (
            f"import sys, time; sys.path.insert(0, {str(LIB)!r})\n"
            "from vmbed.procs import Process; from pathlib import Path\n"
            f"print(Process(['sleep', '600'], Path({str(self.dir / 'p.log')!r})).pid, flush=True)\n"
            "time.sleep(600)\n"
        )
        with subprocess.Popen(python(script), stdout=subprocess.PIPE, text=True) as test:
            pid = int(test.stdout.readline())
            child = Path("/proc", str(pid))
            wait_until(lambda: (child / "comm").read_text() == "sleep\n", "the program runs")  # bound to us by then
            test.kill()
        wait_until(lambda: not child.exists() or " Z " in (child / "stat").read_text(), "its end")


class Daemons(ProcessTestCase):
    def test_readiness_is_what_the_daemon_notifies(self) -> None:
        argv = python(NOTIFY, "STATUS=starting", "STATUS=up\nREADY=1")
        daemon = self.start(Daemon(argv, self.dir / "d.log")).wait_ready()
        self.assertEqual(daemon.notifications, ["STATUS=starting", "STATUS=up", "READY=1"])

    def test_a_daemon_that_ends_before_it_is_ready_is_told_with_its_log(self) -> None:
        daemon = self.start(Daemon(["sh", "-c", "echo no such file; exit 2"], self.dir / "d.log"))
        with self.assertRaisesRegex(RuntimeError, "(?s)status 2:.*no such file"):
            daemon.wait_ready()

    def test_a_daemon_that_is_never_ready_is_told(self) -> None:
        daemon = self.start(Daemon(["sleep", "600"], self.dir / "d.log"))
        with self.assertRaisesRegex(TimeoutError, "sleep notifies READY=1"):
            daemon.wait_ready(deadline=0.2)


class Failures(unittest.TestCase):
    def test_a_failed_test_prints_its_logs_and_leaves_no_directory(self) -> None:
        script = (
            f"import sys, unittest; sys.path.insert(0, {str(LIB)!r})\n"
            "from vmbed.procs import ProcessTestCase\n"
            "class T(ProcessTestCase):\n"
            "    def test_it(self):\n"
            "        print(self.dir)\n"
            "        (self.dir / 'x.log').write_text('the reason')\n"
            "        self.fail()\n"
            "unittest.main()\n"
        )
        done = subprocess.run(python(script), capture_output=True, text=True, check=False)
        self.assertIn("T.test_it: x.log\nthe reason", done.stderr)
        self.assertFalse(Path(done.stdout.strip()).exists())


class Http(ProcessTestCase):
    def test_json_and_metrics_over_tcp_and_unix(self) -> None:
        port = free_port()
        for address, argument in (
            (f"127.0.0.1:{port}", str(port)),
            (self.dir / "http.sock", str(self.dir / "http.sock")),
        ):
            with self.subTest(address=address):
                self.start(Process(python(SERVE, argument), self.dir / "server.log"))
                wait_until(lambda: self.answers(address), "it listens")
                self.assertEqual(http_json(address, "/v1/guests"), {"guests": [1]})
                self.assertEqual(http_metrics(address), {'a{x="1 2"}': 3, "b": 4.5})
                self.assertEqual(http_request(address, "/nothing"), (404, b"no"))
                with self.assertRaisesRegex(RuntimeError, "GET /nothing .*404"):
                    http_json(address, "/nothing")

    @staticmethod
    def answers(address: str | Path) -> bool:
        try:
            return http_request(address, "/metrics")[0] == 200
        except OSError:
            return False


class InspectorModes(unittest.TestCase):
    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())

    def put(self, body: object) -> int:
        address = self.inspector.address
        return http_request(address, "/events", "PUT", json.dumps(body).encode())[0]

    def test_lists_and_single_events_are_recorded(self) -> None:
        self.assertEqual(self.put([{"n": 1}, {"n": 2}]), 200)
        self.assertEqual(self.put({"n": 3}), 200)
        self.assertEqual(self.inspector.events(), [{"n": 1}, {"n": 2}, {"n": 3}])
        self.assertEqual(self.inspector.wait_event(lambda e: e["n"] == 2, "2"), {"n": 2})

    def test_refused_requests_are_seen_but_not_accepted(self) -> None:
        self.inspector.refuse()
        self.assertEqual(self.put({"n": 1}), 503)
        self.assertEqual(self.inspector.events(), [])
        self.assertEqual([request.accepted for request in self.inspector.requests], [False])
        self.inspector.accept()
        self.assertEqual(self.put({"n": 1}), 200)

    def test_a_hanging_request_is_answered_when_it_accepts_again(self) -> None:
        self.inspector.hang()
        answers: list[int] = []
        client = threading.Thread(target=lambda: answers.append(self.put({"n": 1})))
        client.start()
        client.join(0.3)
        self.assertEqual((answers, self.inspector.events()), ([], []))
        self.inspector.accept()
        client.join()
        self.assertEqual((answers, self.inspector.events()), ([200], [{"n": 1}]))

    def test_down_closes_connections_and_port_and_up_opens_the_same(self) -> None:
        host, port = self.inspector.address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as kept:
            kept.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            self.assertIn(b"200", kept.recv(4096))
            self.inspector.down()
            self.assertEqual(kept.recv(1), b"")
        with self.assertRaises(ConnectionRefusedError):
            self.put({"n": 1})
        self.inspector.up()
        self.assertEqual(self.put({"n": 2}), 200)

    def test_down_drops_a_request_that_hangs(self) -> None:
        self.inspector.hang()
        outcome: list[BaseException] = []

        def client() -> None:
            try:
                self.put({"n": 1})
            except (http.client.HTTPException, OSError) as error:
                outcome.append(error)

        thread = threading.Thread(target=client)
        thread.start()
        thread.join(0.3)
        self.inspector.down()
        thread.join()
        self.assertEqual(len(outcome), 1)


if __name__ == "__main__":
    unittest.main()
