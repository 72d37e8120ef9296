#!/usr/bin/python3
"""The guest's table of proto-spec/server-group.md against the two members that the project has: vitalwired with libvitalwire,
and the Python package do in virtual time what the rows say."""

import random
import sys
import unittest

from group_players import Python, Vitalwired
from group_table import MAX_PAYLOAD, PAGE, Table, TableError, read_rows

WALKS = 150
EVENTS_OF_A_WALK = 40
GRAIN = 125  # milliseconds
# Without these the outcome is the same: they are about what nobody sees, or about a choice that is left.
WITHOUT_EFFECT = {"log", "add to the counter", "ignore (stale, or after a timeout)", "nothing is sent", "drop queued broadcasts",
                  "if the port takes no more, keep it in a bounded queue or fail: busy",
                  "the application's next one fails: disconnected, or waits in the same bounded queue",
                  "it has no `seq`, so it is about every query under way"}


class Walk:
    """A random sequence of events; the same for the same seed."""

    def __init__(self, page: str, seed: int) -> None:
        self.random, self.table = random.Random(seed), Table(page)
        self.events: list[dict] = []
        self.outcomes, self.driven = [], set()
        # What was sent since the last nack without a `seq` about it, and between that and the one before.
        self.sent = {msg_type: (False, False) for msg_type in ("broadcast", "status_query", "unknown")}
        while len(self.events) < EVENTS_OF_A_WALK:
            event = self.choose()
            outcome = self.table.handle(event)
            for msg_type in [kind for message in outcome.sent for kind in (message["msg_type"], "unknown")]:
                self.sent[msg_type] = (True, self.sent[msg_type][1])
            self.driven |= set(outcome.rows)
            self.events.append(event)
            self.outcomes.append(outcome)

    def choose(self) -> dict:
        chance = self.random.choices
        if not self.table.host:
            return chance((self.connect, self.ask, self.send, self.some_time), (6, 1, 2, 1))[0]()
        if self.table.is_full:
            return chance((self.room, self.ask, self.send), (2, 1, 1))[0]()
        return chance((self.ask, self.response, self.done, self.nack, self.some_time, self.send, self.broadcast,
                       self.notification, self.disconnect, self.full), (20, 25, 15, 20, 8, 10, 6, 6, 2, 2))[0]()

    def connect(self) -> dict:
        return {"do": "connect"}

    def disconnect(self) -> dict:
        return {"do": "disconnect"}

    def full(self) -> dict:
        return {"do": "full", "full": True}

    def room(self) -> dict:
        return {"do": "full", "full": False}

    def ask(self) -> dict:
        return {"do": "ask", "ms": self.random.choice((1000, 5000))}

    def some_time(self) -> dict:
        return {"do": "pass", "ms": self.random.randrange(0, 6000, GRAIN)}

    def query(self) -> int:
        """One that is open, mostly; else one that has ended, or none that was ever asked."""
        return self.random.choice([*self.table.open] * 3 + [self.random.randint(1, self.table.asked + 1)])

    def dropped(self) -> dict:
        return self.random.choice(({}, {}, {"dropped": 0}, {"dropped": 3}))

    def member(self) -> str:
        return f"vm-{self.random.randint(1, 4)}"

    def response(self) -> dict:
        return {"do": "status_response", "query": self.query(), "member": self.member(), **self.dropped()}

    def done(self) -> dict:
        query = self.query()
        came = len(self.table.open[query].members) if query in self.table.open else 0
        return {"do": "status_response_done", "query": query, "count": came + self.random.choice((0, 0, 1)), **self.dropped()}

    def nack(self) -> dict:
        nack = {"do": "nack", "code": self.random.choice(("not_in_group", "unavailable", "bad_field")), "log_msg": "because"}
        kind = self.random.randint(0, 4)
        if kind < 2:
            base = {"code": "unknown_address", "base": True} if self.random.random() < 0.3 else {}
            return nack | base | {"query": self.query(), "orig_msg_type": "status_query"}
        if kind == 2 and self.table.broadcasts:
            return nack | {"of_broadcast": True, "orig_msg_type": "broadcast"}
        # A host refuses what was sent.
        kinds = [msg_type for msg_type, sent in self.sent.items() if any(sent)]
        if not kinds:
            return nack | {"query": self.query(), "orig_msg_type": "status_query"}
        msg_type = self.random.choice(kinds)
        self.sent[msg_type] = (False, self.sent[msg_type][0])
        if kind == 3 and msg_type != "unknown":
            return nack | {"code": "unknown_address", "base": True, "orig_msg_type": msg_type}
        return nack | {"orig_msg_type": msg_type}

    def send(self) -> dict:
        return {"do": "send", "payload": "x" * self.random.choice((0, 5, MAX_PAYLOAD, MAX_PAYLOAD + 1))}

    def broadcast(self) -> dict:
        return {"do": "broadcast", "source_instance": self.member(), "payload": "hello", **self.dropped()}

    def notification(self) -> dict:
        return {"do": "notification", "member": self.member(), **self.dropped()}


def in_order(told: list[dict], event: dict) -> list[str]:
    """What an application is told at once has no order; that the host went away may be told as well."""
    return sorted(str(sorted(each.items())) for each in told if event["do"] != "disconnect" or "refused" not in each)


def differences(walk: Walk, outcomes: list[dict]) -> str:
    for number, (event, wanted, found) in enumerate(zip(walk.events, walk.outcomes, outcomes, strict=True)):
        story = f"event {number} {str(event)[:200]}, rows {wanted.rows}"
        if found["sent"] != wanted.sent:
            return f"{story}: sent {found['sent']}, the table {wanted.sent}"
        if in_order(found["told"], event) != in_order(wanted.told, event):
            return f"{story}: told {found['told']}, the table {wanted.told}"
    return ""


def walk_all(page: str, play) -> str:
    for seed in range(WALKS):
        try:
            walk = Walk(page, seed)
        except TableError as error:
            return str(error)
        if found := differences(walk, play(walk.events)):
            return f"seed {seed}: {found}"
    return ""


class GroupTable(unittest.TestCase):
    def setUp(self) -> None:
        self.page = PAGE.read_text()

    def test_vitalwired_with_libvitalwire_does_what_the_rows_say(self) -> None:
        vitalwired = Vitalwired()
        self.addCleanup(vitalwired.close)
        self.assertEqual(walk_all(self.page, vitalwired.play), "")

    def test_the_python_package_does_what_the_rows_say(self) -> None:
        self.assertEqual(walk_all(self.page, Python().play), "")

    def test_every_row_is_driven(self) -> None:
        driven = set().union(*(Walk(self.page, seed).driven for seed in range(WALKS)))
        self.assertEqual({row.id for row in read_rows(self.page)} - driven, set())

    def test_a_changed_action_or_next_state_of_any_row_is_noticed(self) -> None:
        for row in read_rows(self.page):
            line = next(line for line in self.page.splitlines() if line.startswith(f"| {row.id} |"))
            _, name, states, event, actions, following, _ = line.split("|")
            others = [state for state in ("idle", "open", "-") if state != row.next]
            changed = [(states, event, actions, f" {state} ") for state in others]
            for left_out in set(row.actions) - WITHOUT_EFFECT:
                kept = "; ".join(action for action in row.actions if action != left_out)
                changed.append((states, event, f" {kept or 'log'} ", following))
            for columns in changed:
                with self.subTest(row=row.id, columns=columns):
                    self.assertNotEqual(walk_all(self.page.replace(line, "|".join(("", name, *columns, ""))), Python().play), "")


if __name__ == "__main__":
    sys.exit(unittest.main())
