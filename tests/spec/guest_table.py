"""The guest's state table of proto-spec/heartbeat.md, section 3, carried out as it is written: rows and timers are read from
the page, and each event and each action that a row names has its meaning here. A phrase without a meaning is an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
import re
from typing import Callable

PAGE = Path(__file__).resolve().parents[2] / "proto-spec" / "heartbeat.md"
STATES = ("disconnected", "registering", "registered", "waiting")
REVISION = 1  # the guest's own
VERSIONS = {1}  # of heartbeat PDUs that a guest speaks


class TableError(Exception):
    """The table does not say what to do."""


@dataclass(frozen=True)
class Row:
    id: str
    states: frozenset[str]
    event: str
    actions: tuple[str, ...]
    next: str


@dataclass(frozen=True)
class Timers:
    """In milliseconds."""

    init: tuple[int, ...]
    space: int
    wait: int
    silence_intervals: int
    silence: int


@dataclass
class Outcome:
    rows: list[str] = field(default_factory=list)  # that applied, in order
    sent: list[dict] = field(default_factory=list)
    state: str = ""
    due: int | None = None  # milliseconds until the state's timer


def section(page: str, number: int) -> str:
    found = re.search(rf"^## {number}\. .*?(?=^## )", page, re.MULTILINE | re.DOTALL)
    assert found, f"section {number}"
    return found[0]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def read_rows(page: str) -> list[Row]:
    rows = []
    for line in section(page, 3).splitlines():
        if not re.match(r"\| G-\d\d \|", line):
            continue
        name, states, event, actions, following = cells(line)
        clauses = tuple(re.split(r"; |, then (?=as )", actions)) if actions else ()
        rows.append(Row(name, read_states(states), event, clauses, following))
        if following not in (*STATES, "-", "ends"):
            raise TableError(f"{name}: next state '{following}'")
    return rows


def read_states(cell: str) -> frozenset[str]:
    if cell.startswith("any"):
        return frozenset(STATES) - ({"disconnected"} if cell == "any but disconnected" else set())
    states = frozenset(cell.split(", "))
    if not states <= set(STATES):
        raise TableError(f"states '{cell}'")
    return states


def read_timers(page: str) -> Timers:
    values = {row[0]: row[1] for row in map(cells, section(page, 3).splitlines()) if row[0].startswith("T-")}

    def seconds(name: str) -> tuple[int, ...]:
        return tuple(1000 * int(number) for number in re.findall(r"(\d+) s\b", values[name]))

    intervals = re.fullmatch(r"larger of (\d+) x interval and \d+ s", values["T-silence"])
    assert intervals, values["T-silence"]
    return Timers(seconds("T-init"), *seconds("T-space"), *seconds("T-wait"), int(intervals[1]), *seconds("T-silence"))


class Table:
    """A guest that does what the rows say. Events are dictionaries: `do` names them. Sessions are named by the test; an
    invocation_id is "last", "other" or absent."""

    def __init__(self, page: str, detection_time: int) -> None:
        self.rows, self.timers = read_rows(page), read_timers(page)
        self.now, self.state = 0, "disconnected"
        self.timer: tuple[str, int] | None = None  # its name and when it ends
        self.known: str | None = None  # the known session
        self.interval = 0  # of it
        self.ended, self.settings_changed = False, False
        self.inits, self.last_init = 0, 0  # since T-init was at its first value; when the last one was sent
        self.settings, self.minimum = detection_time, {}
        self.healthy, self.reason = True, ""
        self.unfinished: dict | None = None  # the message whose line was begun

    def handle(self, event: dict) -> Outcome:
        self.outcome = Outcome()
        if event["do"] == "pass":
            self.now += event["ms"]
        elif event["do"] == "half":
            self.unfinished = event["message"]
        elif event["do"] == "rest":
            if self.unfinished:
                self.apply(self.unfinished)
            self.unfinished = None
        else:
            if event["do"] not in ("health", "settings", "stop"):
                self.unfinished = None  # every message begins with a newline
            self.apply(event)
        # A timer that has ended is an event of its own, also one that was started with nothing left.
        while self.timer and self.timer[1] <= self.now and not self.ended:
            self.apply({"do": "timer", "name": self.timer[0]})
        if self.ended:
            return self.outcome
        if (self.timer is None) != (self.state == "disconnected"):
            raise TableError(f"state {self.state} with timer {self.timer}: nothing would ever happen, or twice")
        self.outcome.state = self.state
        self.outcome.due = self.timer[1] - self.now if self.timer else None
        return self.outcome

    def apply(self, event: dict) -> None:
        self.event = event
        fitting = [row for row in self.rows if self.state in row.states and self.happens(row)]
        if len(fitting) > 1:
            raise TableError(f"{event} in {self.state} fits {[row.id for row in fitting]}")
        if event["do"] == "health":
            self.healthy, self.reason = event["healthy"], event["reason"]
        if event["do"] == "settings":
            self.settings, self.minimum, self.settings_changed = event["detection_time_ms"], {}, True
        for row in fitting:
            self.outcome.rows.append(row.id)
            before = self.timer
            for action in row.actions:
                self.act(action)
            following = self.state if row.next in ("-", "ends") else row.next
            if following != self.state and self.timer is before:
                self.timer = None
            self.state, self.ended = following, row.next == "ends"
        if event["do"] == "timer" and (not fitting or self.timer == (event["name"], self.now)):
            raise TableError(f"{event['name']} ends in {self.state} and nothing follows")

    def happens(self, row: Row) -> bool:
        if row.event not in EVENTS:
            raise TableError(f"{row.id}: no meaning for the event '{row.event}'")
        return EVENTS[row.event](self, self.event)

    def act(self, action: str) -> None:
        if action not in ACTIONS:
            raise TableError(f"no meaning for the action '{action}'")
        ACTIONS[action](self)

    # What rows ask about an event.

    def names_known_session(self) -> bool:
        return self.known is not None and self.event.get("session_id") == self.known

    def is_nack(self, *codes: str) -> bool:
        return self.event["do"] == "nack" and self.event["code"] in codes

    def is_for_last_init(self) -> bool:
        return self.event.get("invocation_id", self.event["orig_msg_type"]) in ("last", "init")

    def is_above_minimum(self) -> bool:
        """An acceptable minimum is above what the init had."""
        detection, interval = self.event.get("min_detection_time_ms"), self.event.get("min_interval_ms", 0)
        if detection is not None:
            return detection > self.init_had["detection_time_ms"]
        return interval > self.init_had["heartbeat_interval_ms"]

    def offers_another_version(self) -> bool:
        return bool((set(self.event["supported_versions"]) & VERSIONS) - {1})

    # What rows do.

    def declared(self) -> dict:
        """The times of an init. A host that named a minimum for the interval alone does not look at the other."""
        detection = max(self.settings, self.minimum.get("detection", 0))
        if "interval" in self.minimum:
            return {"detection_time_ms": None, "heartbeat_interval_ms": self.minimum["interval"]}
        return {"detection_time_ms": detection, "heartbeat_interval_ms": detection // 2}

    def send_init(self) -> None:
        self.init_had = self.declared()
        self.outcome.sent.append({"msg_type": "init", **self.init_had})
        self.last_init, self.settings_changed = self.now, False

    def start(self, timer: str, time: int) -> None:
        self.timer = (timer, self.now + time)

    def start_init(self, first: bool) -> None:
        self.inits = 1 if first else self.inits + 1
        self.start("T-init", self.timers.init[min(self.inits, len(self.timers.init)) - 1])

    def init_soon(self) -> None:
        self.state = "registering"
        self.start("T-init", max(self.last_init + self.timers.space - self.now, 0))

    def stop_init(self) -> None:
        self.timer, self.inits = None, 0

    def start_silence(self) -> None:
        self.start("T-silence", max(self.timers.silence_intervals * self.interval, self.timers.silence))

    def store_session(self) -> None:
        self.known, self.interval = self.event["session_id"], self.event["heartbeat_interval_ms"]

    def drop_session(self, unfinished: bool = False) -> None:
        self.known = None
        if unfinished:
            self.unfinished = None

    def send(self, msg_type: str) -> None:
        pdu = {"msg_type": msg_type, "session_id": self.known}
        if msg_type == "challenge_response":
            pdu |= {"heartbeat_response": self.event["heartbeat_challenge"], "healthy": self.healthy}
            pdu |= {"reason": self.reason} if self.reason else {}
        if msg_type == "action_response":
            pdu |= {key: self.event[key] for key in ("invocation_id", "event_type", "notification_type")}
            pdu["vote_result"] = "accept" if self.event["notification_type"] == "revocable" else "complete"
        self.outcome.sent.append(pdu)

    def use_minimum(self) -> None:
        kinds = {"detection": "min_detection_time_ms", "interval": "min_interval_ms"}
        self.minimum = {kind: self.event[key] for kind, key in kinds.items() if key in self.event}
        if "detection" in self.minimum:
            self.minimum.pop("interval", None)

    def as_row(self, name: str) -> None:
        for action in next(row for row in self.rows if row.id == name).actions:
            self.act(action)


def is_timer(name: str) -> Callable[[Table, dict], bool]:
    return lambda table, event: event == {"do": "timer", "name": name}


def of_session(msg_type: str, known: bool) -> Callable[[Table, dict], bool]:
    return lambda table, event: event["do"] == msg_type and table.names_known_session() == known


def is_acknowledged(changed: bool) -> Callable[[Table, dict], bool]:
    return lambda table, event: (event["do"] == "init_ack" and event["invocation_id"] == "last" and event["revision"] <= REVISION
                                 and table.settings_changed == changed)


def is_unregistered(table: Table, event: dict) -> bool:
    return table.is_nack("no_session") and ("session_id" not in event or table.names_known_session())


FINAL = ("not_enabled", "bad_field", "unknown_msg_type", "unavailable", "unknown_address")

EVENTS: dict[str, Callable[[Table, dict], bool]] = {
    "port opened, or host connects": lambda table, event: event["do"] == "connect",
    "read of 0 bytes, hang-up": lambda table, event: event["do"] == "disconnect",
    "the device reports a new connection without the end of the one before (a socket that was accepted, a port that was "
    "opened again; on a port that stays open it is invisible, and G-08, G-10 and G-18 serve)":
        lambda table, event: event["do"] == "connect",
    "T-init": is_timer("T-init"),
    "T-silence": is_timer("T-silence"),
    "T-wait": is_timer("T-wait"),
    "`init_ack`, `invocation_id` of the last `init`, settings unchanged since": is_acknowledged(changed=False),
    "`init_ack` of the last `init`, settings changed since": is_acknowledged(changed=True),
    "`init_ack`, another `invocation_id`, or a `revision` above the guest's":
        lambda table, event: event["do"] == "init_ack" and (event["invocation_id"] != "last" or event["revision"] > REVISION),
    "`challenge` of the known session": of_session("challenge", known=True),
    "`challenge` of another session": of_session("challenge", known=False),
    "nack `no_session` that names the known session or none": is_unregistered,
    "nack `no_session` that names another session":
        lambda table, event: table.is_nack("no_session") and not is_unregistered(table, event),
    "nack `interval_too_small` for the last `init`, its minimum above what the `init` had":
        lambda table, event: table.is_nack("interval_too_small") and table.is_for_last_init() and table.is_above_minimum(),
    "for the last `init`: nack `not_enabled`, `bad_field`, `unknown_msg_type`, `unavailable`, `interval_too_small` without such "
    "a minimum, or base nack `unknown_address`":
        lambda table, event: (table.is_nack(*FINAL, "interval_too_small") and table.is_for_last_init()
                              and not (table.is_nack("interval_too_small") and table.is_above_minimum())),
    "nack or base nack `unsupported_version` for the last `init`, another version that the guest speaks is in "
    "`supported_versions`":
        lambda table, event: table.is_nack("unsupported_version") and table.is_for_last_init() and table.offers_another_version(),
    "nack or base nack `unsupported_version` for the last `init`, none is":
        lambda table, event: (table.is_nack("unsupported_version") and table.is_for_last_init()
                              and not table.offers_another_version()),
    "nack `rate_limited` for the last `init`":
        lambda table, event: table.is_nack("rate_limited") and table.is_for_last_init(),
    "any nack but `no_session`": lambda table, event: event["do"] == "nack" and event["code"] != "no_session",
    "`exit` of the known session": of_session("exit", known=True),
    "asked to stop, a session is known": lambda table, event: event["do"] == "stop" and table.known is not None,
    "asked to stop, no session is known": lambda table, event: event["do"] == "stop" and table.known is None,
    "health changes": lambda table, event: event["do"] == "health",
    "name, times or action changed by configuration": lambda table, event: event["do"] == "settings",
    "`action_notify` of the known session": of_session("action_notify", known=True),
    "`action_notify` of another session": of_session("action_notify", known=False),
}


def nothing(_: Table) -> None:
    pass


ACTIONS: dict[str, Callable[[Table], None]] = {
    "send `init`": Table.send_init,
    "send `init` with a new `invocation_id`": Table.send_init,
    "start T-init at its first value": lambda table: table.start_init(first=True),
    "start T-init at its next value": lambda table: table.start_init(first=False),
    "start T-init at 5 s": lambda table: table.start("T-init", 5000),
    "stop the timer": lambda table: setattr(table, "timer", None),
    "drop the known session, queued messages and the unfinished line": lambda table: table.drop_session(unfinished=True),
    "as G-02": lambda table: table.as_row("G-02"),
    "as G-01": lambda table: table.as_row("G-01"),
    "store `session_id`, interval, deadline, revision: the known session": Table.store_session,
    "store the known session": Table.store_session,
    "stop T-init, also one that was set by *init soon*": Table.stop_init,
    "T-init runs on": nothing,
    "start T-silence": Table.start_silence,
    "restart T-silence": Table.start_silence,
    "start T-wait": lambda table: table.start("T-wait", table.timers.wait),
    "init soon": Table.init_soon,
    "drop the known session": Table.drop_session,
    "use the minimum": Table.use_minimum,
    "send `challenge_response`": lambda table: table.send("challenge_response"),
    "send `exit`": lambda table: table.send("exit"),
    "ask every application that takes part": nothing,  # none does in these tests
    "send `action_response` when all have answered, at the latest when `timeout_ms` has passed":
        lambda table: table.send("action_response"),
    "ignore": nothing,
    "ignore (stale)": nothing,
    "ignore (stale: the answer crossed the `init_ack`)": nothing,
    "ignore: an `init` is under way, or its timer runs": nothing,
    "log": nothing,
    "log once": nothing,
    "nothing is sent": nothing,
    "the next answer carries it": nothing,
}
