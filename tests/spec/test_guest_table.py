#!/usr/bin/python3
"""The guest's state table of proto-spec/heartbeat.md against the two guests of the project: vitalwired's state machine and
guest/examples/python_guest.py do in virtual time what the rows say, in every state that a row has."""

from pathlib import Path
import random
import re
import sys
import tempfile
import unittest

from guest_players import GRAIN, ROOT, Vitalwired, play_python_guest
from guest_table import PAGE, STATES, VERSIONS, Table, TableError, read_rows

WALKS = 400
EVENTS_OF_A_WALK = 40
# The row is for a guest that speaks several versions of heartbeat PDUs; there is one so far.
CANNOT_HAPPEN = {"G-13"}


class Walk:
    """A random sequence of events. The table decides which are worth trying; it is the same for the same seed."""

    def __init__(self, page: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.detection_time = self.random.choice((2000, 3000))
        self.table = Table(page, self.detection_time)
        self.sessions, self.minimum = 0, self.random.choice(("min_detection_time_ms", "min_interval_ms"))
        self.events: list[dict] = []
        self.outcomes: list = []
        self.driven: set[tuple[str, str]] = set()  # row and state
        while len(self.events) < EVENTS_OF_A_WALK and not self.table.ended:
            state = self.table.state
            event = self.choose()
            outcome = self.table.handle(event)
            self.driven |= {(row, state) for row in outcome.rows[:1]} | {(row, "") for row in outcome.rows}
            self.events.append(event)
            self.outcomes.append(outcome)

    def choose(self) -> dict:
        chance = self.random
        if self.table.state == "disconnected":
            return chance.choices((self.connect, self.settings, self.health, self.some_time, self.stop), (20, 2, 2, 2, 1))[0]()
        kinds = {self.timer: 20, self.some_time: 8, self.init_ack: 25, self.challenge: 15, self.nack: 20, self.exit: 3,
                 self.action_notify: 4, self.settings: 5, self.health: 3, self.half: 4, self.connect: 2,
                 self.disconnect: 3, self.stop: 1}
        return chance.choices(list(kinds), list(kinds.values()))[0]()

    def left(self) -> int:
        return self.table.timer[1] - self.table.now if self.table.timer else 60_000

    def connect(self) -> dict:
        return {"do": "connect"}

    def disconnect(self) -> dict:
        return {"do": "disconnect"}

    def stop(self) -> dict:
        return {"do": "stop"}

    def timer(self) -> dict:
        return {"do": "pass", "ms": self.left()}

    def some_time(self) -> dict:
        return {"do": "pass", "ms": self.random.randrange(0, min(self.left(), 8000), GRAIN)}

    def health(self) -> dict:
        healthy = self.random.random() < 0.5
        return {"do": "health", "healthy": healthy, "reason": "" if healthy else "disk is full"}

    def settings(self) -> dict:
        changed = {2000: 3000, 3000: 4000, 4000: 2000}[self.table.settings]
        return {"do": "settings", "detection_time_ms": changed}

    def init_ack(self) -> dict:
        self.sessions += 1
        interval = self.random.choice((250, 1000, 4000))
        return {"do": "init_ack", "invocation_id": self.random.choice(("last", "last", "last", "other")),
                "revision": self.random.choice((0, 1, 1, 2)), "session_id": f"s{self.sessions}",
                "heartbeat_interval_ms": interval, "response_deadline_ms": interval}

    def session(self) -> str:
        return self.random.choice((self.table.known or "none-yet", self.table.known or "none-yet", "another"))

    def challenge(self) -> dict:
        return {"do": "challenge", "session_id": self.session(), "heartbeat_challenge": self.random.randrange(2**31)}

    def exit(self) -> dict:
        return {"do": "exit", "session_id": self.session(), "reason": "switched off"}

    def action_notify(self) -> dict:
        return {"do": "action_notify", "session_id": self.session(), "invocation_id": self.random.randrange(2**31),
                "event_type": self.random.choice(("stop", "live_migrate_begin")),
                "notification_type": self.random.choice(("revocable", "irrevocable")), "timeout_ms": 8000}

    def half(self) -> dict:
        if self.table.unfinished:
            return {"do": "rest"}
        return {"do": "half", "message": self.challenge()}

    def nack(self) -> dict:
        codes = ("no_session", "no_session", "interval_too_small", "interval_too_small", "rate_limited", "unsupported_version",
                 "not_enabled", "bad_field", "unknown_msg_type", "unavailable", "unknown_address", "of_a_later_version")
        code = self.random.choice(codes)
        nack = {"do": "nack", "code": code, "log_msg": "because", "orig_msg_type": self.random.choice(("init", "challenge_response"))}
        if code == "no_session":
            return nack | self.random.choice(({}, {"session_id": self.session()}))
        if code == "unsupported_version":
            nack["supported_versions"] = self.random.choice(([1], [2, 3]))
        if code == "interval_too_small":
            nack |= self.random.choice(({}, {self.minimum: self.random.choice((500, 1000, 2500, 3500, 5000))}))
        if code == "unknown_address" or code == "unsupported_version" and self.random.random() < 0.3:
            return nack | {"base": True}
        return nack | self.random.choice(({}, {"invocation_id": "last"}, {"invocation_id": "last"}, {"invocation_id": "other"}))


def differences(walk: Walk, outcomes: list[dict]) -> str:
    """Where a guest first did something else than the table says; empty if it never did."""
    invocations: set[int] = set()
    for number, (event, wanted, found) in enumerate(zip(walk.events, walk.outcomes, outcomes)):
        story = f"event {number} {event} in {walk.outcomes[number - 1].state if number else 'disconnected'}, rows {wanted.rows}: "
        if [pdu["msg_type"] for pdu in found["sent"]] != [pdu["msg_type"] for pdu in wanted.sent]:
            return f"{story}sent {found['sent']}, the table {wanted.sent}"
        for sent, expected in zip(found["sent"], wanted.sent):
            wrong = {key: sent.get(key) for key, value in expected.items() if value is not None and sent.get(key) != value}
            if wrong:
                return f"{story}sent {wrong}, the table {expected}"
            if sent["msg_type"] == "init" and (sent["invocation_id"] in invocations or sent["name"] != "vm1"):
                return f"{story}{sent} is not a new one"
            invocations |= {sent["invocation_id"]} if sent["msg_type"] == "init" else set()
        if event["do"] != "stop" and (found["state"], found["due"]) != (wanted.state, wanted.due):
            return f"{story}{found['state']} for {found['due']} ms, the table {wanted.state} for {wanted.due} ms"
    if len(outcomes) != len(walk.events):
        return f"the guest ended after {len(outcomes)} events, the table after {len(walk.events)}"
    return ""


def walk_all(page: str, play) -> str:
    """The first difference between the table on a page and a guest; a table that contradicts itself is one too."""
    for seed in range(WALKS):
        try:
            walk = Walk(page, seed)
        except TableError as error:
            return str(error)
        if found := differences(walk, play(walk.events, walk.detection_time)):
            return f"seed {seed}: {found}"
    return ""


class GuestTable(unittest.TestCase):
    def setUp(self) -> None:
        self.page = PAGE.read_text()
        folder = tempfile.TemporaryDirectory(prefix="vw-table-")
        self.addCleanup(folder.cleanup)
        self.health_file = Path(folder.name) / "ill"

    def play_python(self, events: list[dict], detection_time: int) -> list[dict]:
        return play_python_guest(events, detection_time, self.health_file)

    def test_vitalwired_does_what_the_rows_say(self) -> None:
        vitalwired = Vitalwired()
        self.addCleanup(vitalwired.close)
        self.assertEqual(walk_all(self.page, vitalwired.play), "")

    def test_the_guest_in_python_does_what_the_rows_say(self) -> None:
        self.assertEqual(walk_all(self.page, self.play_python), "")

    def test_every_row_is_driven_in_each_of_its_states(self) -> None:
        driven = set().union(*(Walk(self.page, seed).driven for seed in range(WALKS)))
        wanted = {(row.id, state) for row in read_rows(self.page) for state in row.states}
        self.assertEqual({pair for pair in wanted - driven if pair[0] not in CANNOT_HAPPEN}, set())

    def test_the_guests_speak_one_version_so_that_one_row_cannot_happen(self) -> None:
        self.assertEqual((VERSIONS, CANNOT_HAPPEN), ({1}, {"G-13"}))
        limits = (ROOT / "src" / "wire" / "limits.hpp").read_text()
        self.assertIn("kHeartbeatVersion = 1;", limits)
        self.assertRegex(self.page, r"`version` \| integer \| 1 \|")

    def test_a_changed_cell_of_any_row_is_noticed(self) -> None:
        """The table with one cell of one row changed is another table, and the guest in Python does not keep to it."""
        for row in read_rows(self.page):
            if row.id in CANNOT_HAPPEN:
                continue
            with self.subTest(row=row.id):
                for changed in changes(self.page, row.id):
                    self.assertNotEqual(walk_all(changed, self.play_python), "", changed_line(changed, row.id))

    def test_a_changed_value_of_any_timer_is_noticed(self) -> None:
        for timer in ("T-init", "T-space", "T-silence", "T-wait"):
            line = next(line for line in self.page.splitlines() if line.startswith(f"| {timer} |"))
            for found in re.finditer(r"\d+(?= s| x)", line):
                changed = line[:found.start()] + str(int(found[0]) + 2) + line[found.end():]
                with self.subTest(line=changed):
                    self.assertNotEqual(walk_all(self.page.replace(line, changed), self.play_python), "")


def changed_line(page: str, row: str) -> str:
    return next(line for line in page.splitlines() if line.startswith(f"| {row} |"))


def changes(page: str, row: str):
    """The page without a state, with another next state, with one action less."""
    line = changed_line(page, row)
    _, name, states, event, actions, following, _ = line.split("|")

    def with_cells(*cells: str) -> str:
        return page.replace(line, "|".join(("", name, *cells, "")))

    others = [state for state in STATES if state not in (following.strip(), *(states.split(", ") if following == " - " else ()))]
    yield with_cells(states, event, actions, f" {others[0]} ")
    clauses = actions.strip().split("; ")
    for left_out in clauses if actions.strip() else ():
        if left_out not in WITHOUT_EFFECT:
            yield with_cells(states, event, f" {'; '.join(each for each in clauses if each != left_out)} ", following)


WITHOUT_EFFECT = {"log", "log once", "T-init runs on", "ask every application that takes part", "nothing is sent",
                  "the next answer carries it", "ignore", "ignore (stale)", "stop the timer",
                  "ignore (stale: the answer crossed the `init_ack`)", "ignore: an `init` is under way, or its timer runs"}


if __name__ == "__main__":
    sys.exit(unittest.main())
