"""The table of a guest in its server group, proto-spec/server-group.md, section 6, carried out as it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
import re
from typing import Callable

from guest_table import Row, TableError, cells

PAGE = Path(__file__).resolve().parents[2] / "proto-spec" / "server-group.md"
STATES = {"idle": {"idle"}, "open": {"open"}, "any": {"idle", "open"}}
MAX_PAYLOAD = 3050


def read_rows(page: str) -> list[Row]:
    rows = []
    for line in page.splitlines():
        if re.match(r"\| P-\d\d \|", line):
            name, states, event, actions, following = cells(line)
            if states not in STATES or following not in ("idle", "open", "-"):
                raise TableError(f"{name}: state '{states}', next '{following}'")
            rows.append(Row(name, frozenset(STATES[states]), event, tuple(actions.split("; ")), following))
    return rows


@dataclass
class Outcome:
    rows: list[str] = field(default_factory=list)
    sent: list[dict] = field(default_factory=list)
    told: list[dict] = field(default_factory=list)


@dataclass
class Query:
    deadline: int
    members: list[str] = field(default_factory=list)


class Table:
    """A member that does what the rows say. Queries and broadcasts are named by their number in the order of asking."""

    def __init__(self, page: str) -> None:
        self.rows, self.now, self.host, self.is_full = read_rows(page), 0, False, False
        self.open: dict[int, Query] = {}
        self.asked = self.broadcasts = 0

    def handle(self, event: dict) -> Outcome:
        self.outcome, self.event = Outcome(), event
        if event["do"] == "pass":
            self.now += event["ms"]
        if event["do"] == "full":
            self.is_full = event["full"]
        if event["do"] == "connect":
            self.host = True
        self.before = list(self.open)
        # Rows about one query, for each that is open; rows about the state idle and rows about neither, once.
        for row in self.rows:
            if row.states == {"open"}:
                for query in [query for query in self.before if query in self.open and self.happens(row, query)]:
                    self.apply(row, query)
            elif self.happens(row, None):
                self.apply(row, None)
        if event["do"] == "disconnect":
            self.host = False
        return self.outcome

    def happens(self, row: Row, query: int | None) -> bool:
        if row.event not in EVENTS:
            raise TableError(f"{row.id}: no meaning for the event '{row.event}'")
        return EVENTS[row.event](self, self.event, query)

    def apply(self, row: Row, query: int | None) -> None:
        self.outcome.rows.append(row.id)
        self.query, self.ends = query, False
        for action in row.actions:
            if action not in ACTIONS:
                raise TableError(f"{row.id}: no meaning for the action '{action}'")
            ACTIONS[action](self)
        if (row.next == "idle") != self.ends or (row.next == "open") != (row.id == "P-01"):
            raise TableError(f"{row.id}: the next state is not what the actions make of it")

    # What rows do.

    def ask(self) -> None:
        self.asked += 1
        if self.host and not self.is_full:
            self.outcome.sent.append({"msg_type": "status_query", "query": self.asked})

    def start(self) -> None:
        self.query = self.asked
        if not self.host or self.is_full:  # what cannot be sent has failed
            self.outcome.told.append({"query": self.asked, "failed": "busy" if self.host else "disconnected"})
        else:
            self.open[self.asked] = Query(self.now + self.event["ms"])

    def fail(self, code: str) -> None:
        self.end({"failed": code})

    def end(self, how: dict) -> None:
        self.ends = True
        self.outcome.told.append({"query": self.query, **how})
        del self.open[self.query]

    def broadcast(self) -> None:
        if self.host and not self.is_full:
            self.broadcasts += 1
            self.outcome.sent.append({"msg_type": "broadcast", "payload": self.event["payload"]})
        else:
            self.outcome.told.append({"refused": "busy" if self.host else "disconnected"})

    def tell(self, **what: object) -> None:
        self.outcome.told.append(what)

    def tell_refusal(self) -> None:
        self.tell(refused=self.event["code"])


Predicate = Callable[[Table, dict, "int | None"], bool]


def this_query(msg_type: str, complete: bool | None = None) -> Predicate:
    def holds(table: Table, event: dict, query: int | None) -> bool:
        if event["do"] != msg_type or event.get("query") != query or query not in table.open:
            return False
        return complete is None or (event["count"] == len(table.open[query].members)) == complete

    return holds


def is_stale(table: Table, event: dict, _: int | None) -> bool:
    about_query = event["do"] in ("status_response", "status_response_done", "nack") and "query" in event
    return about_query and event["query"] not in table.before


def is_about_no_query(_: Table, event: dict, __: int | None) -> bool:
    return event["do"] == "nack" and "query" not in event


EVENTS: dict[str, Predicate] = {
    "the application asks": lambda table, event, _: event["do"] == "ask",
    "`status_response`, this `seq`": this_query("status_response"),
    "`status_response_done`, this `seq`, `count` equals the responses kept": this_query("status_response_done", True),
    "`status_response_done`, this `seq`, another `count`": this_query("status_response_done", False),
    "nack with this `seq`": this_query("nack"),
    "T-query": lambda table, event, query: event["do"] == "pass" and table.open[query].deadline <= table.now,
    "host gone (hang-up, reconnect)": lambda table, event, _: event["do"] == "disconnect",
    "`status_response`, `status_response_done`, or a nack with the `seq` of a query": is_stale,
    "the application broadcasts more than 3050 bytes":
        lambda table, event, _: event["do"] == "send" and len(event["payload"]) > MAX_PAYLOAD,
    "the application broadcasts": lambda table, event, _: event["do"] == "send" and len(event["payload"]) <= MAX_PAYLOAD,
    "host gone": lambda table, event, _: event["do"] == "disconnect",
    "`broadcast`": lambda table, event, _: event["do"] == "broadcast",
    "`notification`": lambda table, event, _: event["do"] == "notification",
    "nack without a `seq`, or with that of a `broadcast`": is_about_no_query,
    "`dropped` above 0 in any message": lambda table, event, _: event.get("dropped", 0) > 0,
    "nack without a `seq`, about another message than a `broadcast`; so is a base nack about a query, of a host before 1.5":
        lambda table, event, query: is_about_no_query(table, event, query) and event["orig_msg_type"] != "broadcast",
}


def nothing(_: Table) -> None:
    pass


ACTIONS: dict[str, Callable[[Table], None]] = {
    "send `status_query` with a fresh `seq`": Table.ask,
    "start T-query": Table.start,
    "keep the state": lambda table: table.open[table.query].members.append(table.event["member"]),
    "hand over the states": lambda table: table.end({"members": table.open[table.query].members}),
    "fail: incomplete": lambda table: table.fail("incomplete"),
    "fail: the code": lambda table: table.fail(table.event["code"]),
    "fail: timeout": lambda table: table.fail("timeout"),
    "fail: disconnected": lambda table: table.fail("disconnected"),
    "ignore (stale, or after a timeout)": nothing,
    "fail: too large": lambda table: table.tell(refused="too_large"),
    "nothing is sent": nothing,
    "send `broadcast`": Table.broadcast,
    "if the port takes no more, keep it in a bounded queue or fail: busy": nothing,
    "drop queued broadcasts": nothing,
    "the application's next one fails: disconnected, or waits in the same bounded queue": nothing,
    "decode, hand over with `source_instance`":
        lambda table: table.tell(broadcast=table.event["payload"], **{"from": table.event["source_instance"]}),
    "hand over": lambda table: table.tell(notification=table.event["member"]),
    "tell the applications that sent `orig_msg_type`, without a `seq` since the last but one such nack and with `unknown` anything":
        Table.tell_refusal,
    "log": nothing,
    "add to the counter": nothing,
    "tell the applications": lambda table: table.tell(dropped=table.event["dropped"]),
    "it has no `seq`, so it is about every query under way": nothing,
}
