#!/usr/bin/python3
"""The operator's command against a controller whose answers the test decides."""

from datetime import datetime, timedelta, timezone
import fcntl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import os
from pathlib import Path
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from vmbed.procs import Process, ProcessTestCase, wait_until

BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))
VITALWIRE = BUILD / "cli" / "vitalwire"
ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def guest(name, state):
    return {"guest": name, "state": state, "host": "c1", "name": "\x1b]0;owned\x07", "interval_ms": 1000}


def fault(name, revision=1):
    return {"id": f"f-{name}", "guest": name, "host": "c1", "kind": "heartbeat_lost", "severity": "critical",
            "state": "open", "revision": revision, "detail": "silent", "opened_at": "2026-01-01T00:00:00.000000Z"}


class Controller:
    """Answers with what `pages` holds at that moment."""

    def __init__(self):
        self.pages = {
            "/v1/status": {"program": "vitalwire-controller", "version": "9", "host": "ctl", "healthy": True,
                           "problems": [], "guests": {"total": 1, "registered": 1}, "sinks": []},
            "/v1/guests": {"guests": [guest("g-1", "registered")]},
            "/v1/faults": {"faults": []},
            "/v1/agents": {"agents": [{"host": "c1", "connected": True, "guests": 1}]},
            "/v1/groups": {"groups": [{"id": "pair", "name": "\x1b[31mred", "project": "p", "members": 2}]},
            "/v1/groups/pair": {"id": "pair", "name": "n", "project": "p", "guests": [
                {"instance_id": "g-1", "display_name": "\x07bell", "state": "active", "heartbeat": "healthy"}]},
        }
        self.sent = []
        self.asked = []
        sent, asked = self.sent, self.asked
        pages = self.pages

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                page = pages.get(self.path.partition("?")[0])
                missing = 404 if self.path.startswith("/v1/faults/") else 503
                self.answer(200 if page else missing, page or {"error": "not now"})

            def do_POST(self):
                sent.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
                if self.path.endswith(("/clear", "/ack")):
                    self.answer(200, {"fault": self.path.split("/")[3], "state": "cleared"})
                elif self.path == "/v1/groups/pair/send":
                    self.answer(202, {"group": "pair", "guests": 2})
                else:
                    self.answer(404, {"error": "no group 'x'"})

            def answer(self, status, page):
                body = json.dumps(page).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class CliTestCase(ProcessTestCase):
    def setUp(self):
        super().setUp()
        self.controller = Controller()
        self.addCleanup(self.controller.close)

    def run_cli(self, *arguments, **environment):
        return subprocess.run([VITALWIRE, "--controller", self.controller.url, *arguments], text=True,
                              capture_output=True, timeout=60, env={**os.environ, **environment})


class Answers(CliTestCase):
    def test_status_of_a_healthy_suite(self):
        result = self.run_cli("status")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("vitalwire-controller 9 on ctl\nhealthy\n", result.stdout)
        self.assertEqual(result.stderr, "")

    def test_status_of_a_suite_with_a_problem(self):
        self.controller.pages["/v1/status"]["healthy"] = False
        self.assertEqual(self.run_cli("status").returncode, 1)

    def test_tables_have_no_control_characters(self):
        for command in ("guests", "faults", "agents", "status"):
            result = self.run_cli(command)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stdout, r"\A[ -~\n]+\Z")

    def test_formats_for_programs(self):
        self.controller.pages["/v1/guests"]["guests"][0]["display_name"] = 'we,b"'
        self.assertEqual(self.run_cli("guests", "-o", "csv").stdout.splitlines()[0].split(",")[:4],
                         ["state", "guest", "name", "host"])
        self.assertIn('registered,g-1,"we,b', self.run_cli("guests", "-o", "csv", "--no-headers").stdout)
        yaml = self.run_cli("guests", "-o", "yaml").stdout
        self.assertIn('guests:\n  -\n', yaml)
        self.assertIn('interval_ms: 1000', yaml)

    def test_one_thing_by_id_name_or_prefix(self):
        self.controller.pages["/v1/guests"]["guests"].append({**guest("g-2", "lost"), "display_name": "web"})
        self.controller.pages["/v1/faults"]["faults"] = [fault("g-2"), fault("g-1")]
        for wanted in ("g-2", "web", "w"):
            shown = self.run_cli("guest", wanted)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertIn("guest             g-2\n", shown.stdout)
            self.assertIn("heartbeat_lost", shown.stdout)
        self.assertIn("fault             f-g-2\n", self.run_cli("fault", "f-g-2").stdout)
        self.assertIn("g-2", self.run_cli("host", "c1").stdout)
        ambiguous = self.run_cli("guest", "g-")
        self.assertEqual((ambiguous.returncode, ambiguous.stdout), (1, ""))
        self.assertEqual(ambiguous.stderr, "vitalwire: guest 'g-' is ambiguous: g-1, g-2\n")
        self.assertEqual(self.run_cli("host", "c9").stderr, "vitalwire: no host 'c9'\n")

    def test_alarms_of_hosts_are_among_the_faults(self):
        self.controller.pages["/v1/status"]["alarms"] = [
            {"id": "a-1", "host": "c7", "kind": "agent_lost", "severity": "critical", "state": "open", "revision": 1,
             "opened_at": "2026-01-01T00:00:00.000000Z", "updated_at": "2026-01-01T00:00:00.000000Z"}]
        shown = self.run_cli("faults", "--time", "absolute").stdout
        self.assertRegex(shown, "critical +a-1 +agent_lost +c7 +2026-01-01 00:00:00Z")
        self.assertIn("agent_lost", self.run_cli("events").stdout)
        self.assertIn("of                host c7\n", self.run_cli("fault", "a-1").stdout)

    def test_a_host_is_not_another_whose_name_begins_so(self):
        self.controller.pages["/v1/faults"]["faults"] = [{**fault("g-1"), "host": "c10"}]
        self.assertEqual(self.run_cli("faults", "--host", "c1").stdout, "no faults\n")
        self.assertIn("c10", self.run_cli("faults", "--host", "c1*").stdout)

    def test_text_of_guests_is_escaped_once(self):
        self.controller.pages["/v1/faults"]["faults"] = [{**fault("g-1"), "display_name": 'we"b\n'}]
        self.controller.pages["/v1/faults/f-g-1"] = {**fault("g-1"), "display_name": 'we"b\n'}
        self.assertIn('of                guest g-1 (we\\"b\\n) on c1\n', self.run_cli("fault", "f-g-1").stdout)
        self.assertIn('we\\"b\\n ', self.run_cli("faults").stdout)

    def test_events_of_a_period(self):
        self.controller.pages["/v1/faults"]["faults"] = [
            fault("g-1"), {**fault("g-2"), "state": "cleared", "cleared_at": "2026-01-01T00:10:00.000000Z",
                           "clear_reason": "answered"}]
        events = json.loads(self.run_cli("events", "--json").stdout)["events"]
        self.assertEqual([event["event"] for event in events], ["opened", "opened", "cleared"])
        later = self.run_cli("events", "--since", "2026-01-01T00:05", "--time", "absolute")
        self.assertRegex(later.stdout, r"(?m)^2026-01-01 00:10:00Z  cleared ")
        self.assertNotIn("opened", later.stdout)
        self.assertEqual(self.run_cli("events", "--since", "1min").stdout, "no events\n")

    def test_of_a_long_history_only_the_period_is_asked_for(self):
        self.run_cli("events", "--since", "2026-01-01T00:05Z", "--until", "2026-01-01T00:07Z")
        self.assertIn("/v1/faults?all=1&since=2026-01-01T00:05:00.000000Z&until=2026-01-01T00:07:00.000000Z", self.controller.asked)

    def test_a_fault_is_named_by_its_guest_where_that_is_enough(self):
        over = {**fault("g-1"), "id": "f-0", "state": "cleared", "cleared_at": "2026-01-01T00:10:00.000000Z"}
        self.controller.pages["/v1/faults"]["faults"] = [{**fault("g-1"), "display_name": "db-1"}, over, fault("g-2")]
        self.assertEqual(self.run_cli("ack", "db-1", "--note", "seen").returncode, 0)
        self.assertEqual(self.controller.sent, [("/v1/faults/f-g-1/ack", b"seen")])
        self.controller.pages["/v1/faults"]["faults"].append({**fault("g-2"), "id": "f-3"})
        self.assertEqual(self.run_cli("ack", "g-2", "--note", "seen").stderr, "vitalwire: fault 'g-2' is ambiguous: f-g-2, f-3\n")

    def test_coverage(self):
        self.controller.pages["/v1/coverage"] = {
            "counts": {"uncovered": 1, "watched": 1},
            "guests": [{"guest": "g-1", "host": "c1", "coverage": "watched", "why": ""},
                       {"guest": "g-2", "host": "c1", "coverage": "uncovered", "why": "agent away"}]}
        shown = self.run_cli("coverage")
        self.assertEqual(shown.returncode, 1)
        self.assertRegex(shown.stdout, "uncovered +g-2 +c1 +agent away")
        self.assertNotIn("g-1", shown.stdout)
        self.assertIn("g-1", self.run_cli("coverage", "--all").stdout)
        self.controller.pages["/v1/coverage"] = {"counts": {"uncovered": 0}, "guests": []}
        self.assertEqual(self.run_cli("coverage").returncode, 0)

    def test_the_journal_of_a_fault(self):
        self.controller.pages["/v1/faults"]["faults"] = [fault("g-1")]
        self.controller.pages["/v1/faults/f-g-1"] = {**fault("g-1"), "journal": {"entries": [
            {"at": "2026-01-01T00:00:01.000000Z", "what": "acknowledged", "sink": "rca"}], "dropped": 0}}
        self.assertRegex(self.run_cli("fault", "f-", "--time", "absolute").stdout, "2026-01-01 00:00:01Z +acknowledged +rca")

    def test_an_alarm_of_a_host_is_acknowledged_like_a_fault(self):
        self.controller.pages["/v1/status"]["alarms"] = [{**fault("x"), "id": "agent_lost.c7", "guest": "", "host": "c7"}]
        self.assertEqual(self.run_cli("ack", "agent_l", "--note", "on it").stdout, "recorded for fault agent_lost.c7\n")
        self.assertEqual(self.controller.sent, [("/v1/faults/agent_lost.c7/ack", b"on it")])

    def test_maintenance_of_all_ends_by_that_word(self):
        self.controller.pages["/v1/maintenance"] = {"maintenance": [
            {"id": "m-1", "scope": "host", "name": "c1", "active": True}, {"id": "m-2", "scope": "all", "name": "", "active": True}]}
        self.run_cli("maintenance", "end", "all")
        self.assertEqual([path for path, _ in self.controller.sent], ["/v1/maintenance/m-2/end"])

    def test_maintenance_takes_a_beginning_and_shows_when_it_ends(self):
        self.controller.pages["/v1/guests"]["guests"] = [{**guest("g-1", "registered"), "display_name": "web-1"},
                                                         {**guest("g-2", "registered"), "display_name": "web-2"}]
        for asked, sent in (("web-1", "web-1"), ("g-2", "g-2"), ("g-1", "g-1"), ("nobody", "nobody")):
            self.run_cli("maintenance", "guest", asked, "--for", "1h", "--reason", "x")
            self.assertEqual(json.loads(self.controller.sent.pop()[1])["name"], sent)
        self.controller.pages["/v1/guests"]["guests"].pop()
        self.run_cli("maintenance", "guest", "w", "--for", "1h", "--reason", "x")
        self.assertEqual(json.loads(self.controller.sent.pop()[1])["name"], "web-1", "the name is what lists show")
        self.controller.pages["/v1/guests"]["guests"].append(guest("g-2", "registered"))
        ambiguous = self.run_cli("maintenance", "guest", "g-", "--for", "1h", "--reason", "x")
        self.assertEqual((ambiguous.returncode, ambiguous.stderr), (1, "vitalwire: guest 'g-' is ambiguous: g-1, g-2\n"))
        self.assertEqual(self.controller.sent, [])
        until = datetime.now(timezone.utc) + timedelta(hours=2, minutes=30, seconds=30)
        self.controller.pages["/v1/maintenance"] = {"maintenance": [
            {"id": "m", "scope": "host", "name": "c1", "active": True, "until": until.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}]}
        self.assertIn("in 2 h 30 min", self.run_cli("maintenance").stdout)
        self.assertIn(until.strftime("%Y-%m-%d %H:%M:%SZ"), self.run_cli("maintenance", "--time", "absolute").stdout)

    def test_close_sends_the_reason(self):
        self.controller.pages["/v1/faults"]["faults"] = [fault("g-1")]
        self.assertEqual(self.run_cli("close", "f-g", "--reason", "host is gone").stdout, "closed fault f-g-1\n")
        self.assertEqual(self.controller.sent, [("/v1/faults/f-g-1/clear", b"host is gone")])

    def test_an_empty_list_without_headings_is_no_line(self):
        self.assertEqual(self.run_cli("faults").stdout, "no faults\n")
        self.assertEqual(self.run_cli("faults", "--no-headers").stdout, "")

    def test_sorts_by_a_column(self):
        self.controller.pages["/v1/agents"]["agents"] = [{"host": f"c{i}", "connected": True, "guests": i} for i in (9, 10)]
        rows = self.run_cli("agents", "--sort", "guests", "--reverse", "--no-headers").stdout.splitlines()
        self.assertRegex(rows[0], "c10")
        wrong = self.run_cli("agents", "--sort", "colour")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("no column 'colour'; expected one of state, host", wrong.stderr)

    def test_output_that_cannot_be_written_is_an_error(self):
        for arguments in (["status"], ["guests"], ["guests", "--json"], ["guests", "-o", "csv"], ["--help"], ["--version"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([VITALWIRE, "--controller", self.controller.url, *arguments], stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(done.returncode, 4, arguments)
            self.assertEqual(done.stderr, "vitalwire: cannot write the output: No space left on device\n")
        closed = subprocess.run(f"{VITALWIRE} --controller {self.controller.url} guests >&-", shell=True, text=True,
                                capture_output=True, timeout=60)
        self.assertEqual(closed.returncode, 4)
        self.assertEqual(closed.stderr, "vitalwire: cannot write the output: Bad file descriptor\n")

    def test_prints_no_password(self):
        done = subprocess.run([VITALWIRE, "--controller", "http://op:s3cret@127.0.0.1:1", "status"], text=True,
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 3)
        self.assertIn("http://op:***@127.0.0.1:1", done.stderr)
        self.assertNotIn("s3cret", done.stderr)

    def test_json_is_what_was_answered(self):
        for command in ("guests", "faults", "agents", "status"):
            answer = json.loads(self.run_cli(command, "--json").stdout)
            self.assertEqual(answer, self.controller.pages[f"/v1/{command}"])

    def test_groups_and_the_members_of_one(self):
        for arguments, page in ((["groups"], "/v1/groups"), (["group", "pair"], "/v1/groups/pair")):
            result = self.run_cli(*arguments)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stdout, r"\A[ -~\n]+\Z")
            self.assertIn("pair", result.stdout)
            self.assertEqual(json.loads(self.run_cli(*arguments, "--json").stdout), self.controller.pages[page])

    def test_send_says_how_many_hear_it(self):
        self.assertEqual(self.run_cli("send", "pair", "hello all").stdout, "sent to 2 guests of group pair\n")
        self.assertEqual(json.loads(self.run_cli("send", "pair", "x", "--json").stdout)["guests"], 2)
        piped = subprocess.run([VITALWIRE, "--controller", self.controller.url, "send", "pair", "-"],
                               input=b"any\0\xff", capture_output=True, timeout=60)
        self.assertEqual(piped.returncode, 0, piped.stderr)
        self.assertEqual([body for _, body in self.controller.sent], [b"hello all", b"x", b"any\0\xff"])

    def test_an_error_of_the_controller_is_printed(self):
        self.controller.pages["/v1/groups"]["groups"].append({"id": "gone"})
        result = self.run_cli("send", "gone", "hello")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertEqual(result.stderr, f"vitalwire: {self.controller.url} answers 404 no group 'x'\n")

    def test_a_group_that_does_not_exist(self):
        result = self.run_cli("send", "nobody", "hello")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertEqual(result.stderr, "vitalwire: no group 'nobody'\n")

    def test_filters(self):
        self.controller.pages["/v1/guests"]["guests"].append(guest("g-2", "lost"))
        answer = json.loads(self.run_cli("guests", "--state", "lost", "--json").stdout)
        self.assertEqual([entry["guest"] for entry in answer["guests"]], ["g-2"])

    def test_doctor_is_a_program_of_its_own(self):
        shown = subprocess.run([VITALWIRE, "doctor", "--help"], text=True, capture_output=True, timeout=60,
                               env={**os.environ, "PATH": f"{ROOT / 'cli'}:{os.environ['PATH']}"})
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("usage: vitalwire-doctor", shown.stdout)
        missing = subprocess.run([VITALWIRE, "doctor"], text=True, capture_output=True, timeout=60, env={"PATH": "/nonexistent"})
        self.assertEqual((missing.returncode, missing.stderr), (1, "vitalwire: vitalwire-doctor: No such file or directory\n"))

    def test_wrong_usage(self):
        for arguments in (["nonsense"], ["guests", "--state", "odd"], ["status", "--frobnicate"], ["group"],
                          ["--json", "doctor"], ["guests", "--host="], ["faults", "--guest", ""], ["guests", "--sort="],
                          ["maintenance", "all", "--for", "31d", "--reason", "x"], ["group", ""], ["send", "pair"], ["status", "-o", "csv"], ["events", "--since", "soon"],
                          ["events", "--since", "1h", "--until", "2h"], ["events", "--follow", "--until", "1h"], ["top"]):
            result = self.run_cli(*arguments)
            self.assertEqual(result.returncode, 2)
            self.assertRegex(result.stderr, r"\Avitalwire: .*\n\Z")

    def test_nobody_answers(self):
        result = subprocess.run([VITALWIRE, "--controller", "http://127.0.0.1:1", "status"], text=True,
                                capture_output=True, timeout=60)
        self.assertEqual(result.returncode, 3)
        self.assertEqual(result.stdout, "")
        self.assertIn("http://127.0.0.1:1: cannot connect: Connection refused", result.stderr)

    def test_environment_names_the_controller(self):
        result = subprocess.run([VITALWIRE, "agents"], text=True, capture_output=True, timeout=60,
                                env={**os.environ, "VITALWIRE_CONTROLLER": self.controller.url})
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("connected", result.stdout)


class Live(CliTestCase):
    def follow(self, *arguments):
        self.log = self.dir / "events.log"
        command = [VITALWIRE, "--controller", self.controller.url, "events", "--follow", *arguments]
        return self.start(Process(command, self.log))

    def popen(self, command, **files):
        process = subprocess.Popen([VITALWIRE, "--controller", self.controller.url, *command], **files)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wait_line(self, pattern):
        wait_until(lambda: re.search(pattern, self.log.read_text(), re.M), pattern)

    def test_prints_what_happens(self):
        follow = self.follow()
        self.wait_line(r"Z asking http")
        self.controller.pages["/v1/faults"] = {"faults": [fault("g-1")]}
        self.wait_line(r"^2026-01-01 00:00:00Z opened critical heartbeat_lost of guest g-1 on c1, silent$")
        self.controller.pages["/v1/faults"] = {"faults": [{**fault("g-1", 2), "state": "cleared",
                                                           "cleared_at": "2026-01-01T00:10:00.000000Z",
                                                           "clear_reason": "answered"}]}
        self.wait_line(r"^2026-01-01 00:10:00Z cleared critical heartbeat_lost of guest g-1 on c1, answered$")
        self.assertEqual(follow.stop(), 0)

    def test_text_of_guests_is_escaped_in_a_line(self):
        self.controller.pages["/v1/faults"] = {"faults": [{**fault("g-1"), "display_name": "\x1b]0;owned\x07"}]}
        self.follow("--since", "2025-12-31")
        self.wait_line(r"of guest g-1 \(\\x1b\]0;owned\\x07\) on c1")

    def test_begins_with_what_happened_since(self):
        self.controller.pages["/v1/faults"] = {"faults": [fault("g-1")]}
        self.follow("--since", "2025-12-31")
        self.wait_line("opened critical heartbeat_lost")

    def test_prints_what_opened_and_ended_between_two_answers(self):
        follow = self.follow()
        self.wait_line(r"Z asking http")
        over = {**fault("g-1", 2), "state": "cleared", "cleared_at": "2026-01-01T00:00:00.400000Z", "clear_reason": "answered"}
        self.controller.pages["/v1/faults"] = {"faults": [over]}
        self.wait_line(r"^2026-01-01 00:00:00Z cleared critical heartbeat_lost of guest g-1 on c1, answered$")
        self.assertEqual(follow.stop(), 0)
        events = re.findall(r"Z (\w+) critical", self.log.read_text())
        self.assertEqual(events, ["opened", "cleared"])

    def test_asks_for_no_history_but_the_newest_and_the_end_of_a_fault(self):
        self.controller.pages["/v1/faults"] = {"faults": [fault("g-1")]}
        follow = self.follow()
        self.wait_line(r"Z asking http")
        over = {"state": "cleared", "cleared_at": "2026-01-01T00:10:00.000000Z", "clear_reason": "answered"}
        self.controller.pages["/v1/faults/f-g-1"] = {**fault("g-1", 2), **over, "journal": []}
        self.controller.pages["/v1/faults"] = {"faults": []}
        self.wait_line(r"^2026-01-01 00:10:00Z cleared critical heartbeat_lost of guest g-1 on c1, answered$")
        self.assertEqual(follow.stop(), 0)
        histories = [page for page in self.controller.asked if "all=1" in page]
        self.assertEqual({page for page in histories if "limit=" not in page}, set())
        self.assertEqual({page for page in histories if "after=" in page}, set())

    def test_asks_for_what_happened_since_alone(self):
        self.follow("--since", "2025-12-31")
        wait_until(lambda: len(self.controller.asked) > 4, "it asks again")
        histories = [page for page in self.controller.asked if page.startswith("/v1/faults?") and "limit=" not in page]
        self.assertEqual(histories, ["/v1/faults?all=1&since=2025-12-31T00:00:00.000000Z"])

    def test_what_ended_before_the_newest_page_is_no_news(self):
        over = {"state": "cleared", "cleared_at": "2026-01-01T00:10:00.000000Z"}
        newest = {**fault("g-1", 2), **over}
        self.controller.pages["/v1/faults"] = {"faults": [newest], "next": "f-g-1"}
        follow = self.follow()
        self.wait_line(r"Z asking http")
        older = {**fault("g-0", 2), **over, "opened_at": "2025-01-01T00:00:00.000000Z"}
        newer = {**fault("g-2", 2), **over, "opened_at": "2026-01-01T00:05:00.000000Z"}
        self.controller.pages["/v1/faults"] = {"faults": [newer, newest, older], "next": "f-g-0"}
        self.wait_line("cleared critical heartbeat_lost of guest g-2")
        self.assertEqual(follow.stop(), 0)
        self.assertNotIn("g-0", self.log.read_text())

    def test_goes_on_when_the_controller_goes_and_comes(self):
        self.follow("--json")
        self.wait_line(r'"source":"http')
        del self.controller.pages["/v1/faults"]
        self.wait_line(r'"source":null')
        self.controller.pages["/v1/faults"] = {"faults": []}
        wait_until(lambda: self.log.read_text().count('"source":"http') == 2, "it asks again")
        for line in self.log.read_text().splitlines():
            self.assertIn("time", json.loads(line))

    def test_draws_on_a_terminal_and_gives_it_back(self):
        main, other = pty.openpty()
        self.addCleanup(os.close, main)
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
        self.controller.pages["/v1/status"]["sinks"] = [{"name": f"s{i}", "state": "ok"} for i in range(30)]
        self.controller.pages["/v1/faults"]["faults"] = [fault("g-1")]
        watch = self.popen(["top"], stdin=other, stdout=other)
        os.close(other)
        self.seen = ""

        def shows(text):
            if select.select([main], [], [], 0)[0]:
                self.seen += os.read(main, 65536).decode()
            return text in self.seen

        wait_until(lambda: shows("heartbeat_lost"), "the fault is on the screen")
        self.assertIn("\x1b[?1049h", self.seen)
        self.controller.pages["/v1/faults"] = {"faults": [fault(f"g-{i}") for i in range(100)]}
        wait_until(lambda: shows("more lines"), "the rest is counted")
        frames = [ESCAPE_SEQUENCE.sub("", frame).split("\r\n") for frame in self.seen.split("\x1b[H")]
        for frame in frames:
            self.assertLessEqual(len(frame), 20)
            for line in frame:
                self.assertNotRegex(line, "[\x00-\x1f]")
                self.assertLessEqual(len(line), 60)
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(timeout=60), 0)
        wait_until(lambda: shows("\x1b[?1049l"), "the old screen is back")

    def test_ends_when_nobody_reads(self):
        watch = self.popen(["watch"], stdout=subprocess.PIPE)
        watch.stdout.readline()
        watch.stdout.close()
        self.controller.pages["/v1/faults"] = {"faults": [fault("g-1")]}
        self.assertEqual(watch.wait(timeout=60), 4)


if __name__ == "__main__":
    unittest.main()
