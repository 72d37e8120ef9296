#!/usr/bin/python3
"""What one guest of a group may cost the others: rates, queues, bad input; and the guests that speak cgcs."""

from pathlib import Path
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from raw_guest import GROUP, RawGuest, envelope, group
from server_group import GroupTestCase
from vmbed.procs import http_json, wait_until

CGCS = "cgcs.server_grp"
DROPPED = "vitalwire_agent_messages_dropped_total"

# Every one has killed or corrupted a host implementation (the facts are in proto-spec/cgcs-guests.md).
BAD_INPUT = [
    b'{"version":2,"source_addr":"x","dest_addr":null,"data":{}}',
    b'{"version":2,"source_addr":"x","dest_addr":"' + b"d" * 300 + b'","data":{}}',
    b'{"version":2,"source_addr":"x","dest_addr":"' + b"d" * 5000 + b'","data":{}}',
    b'{"version":2,"source_addr":"x","dest_addr":"../../run/agent","data":{}}',
    b"[" * 1000 + b"]" * 1000,
    b'{"a":' * 1000 + b"1" + b"}" * 1000,
    b"{'single':'quotes'}",
    b'{"version":NaN}',
    b'{"version":2} // comment',
    b'{"version":2}{"version":2}',
    b'\xff\xfe{"version":2}',
    b'{"data":"\x00"}',
    b'{"version":1e400,"source_addr":"a","dest_addr":"a","data":{}}',
    b"x" * 100_000,
]


def cgcs(msg_type: str, version: object = 2, **fields: object) -> bytes:
    return envelope({"version": version, "msg_type": msg_type, **fields}, CGCS)


class Rates(GroupTestCase):
    def test_a_flood_is_refused_with_the_number_and_its_neighbours_are_heard(self) -> None:
        a, b, c = (self.guests[name] for name in "abc")
        for _ in range(400):
            a.say(group("broadcast", data="x"))
        self.assertGreaterEqual(a.wait("nack", code="rate_limited")["refused"], 1)
        b.say(group("broadcast", data="calm"))
        c.wait("broadcast", source_instance="b")
        self.assertLess(len([m for m in c.heard("broadcast") if m["source_instance"] == "a"]), 200)

    def test_a_flood_does_not_make_a_guest_look_dead(self) -> None:
        a = self.guests["a"]
        a.register(interval=1000)
        self.agents["compute-1"].wait_state("a", "registered")

        for size in (1, 3050):

            def flooded(flood: bytes = 20 * group("broadcast", data="x" * size), enough: int = a.challenges + 4) -> bool:
                a.say(flood)
                return a.challenges >= enough

            wait_until(flooded, f"it was challenged several times while it sent messages of {size} bytes")
        self.assertGreater(self.metric(self.agents["compute-1"].http, f'{DROPPED}{{reason="rate_limited"}}'), 0)
        self.assertEqual(self.agents["compute-1"].faults_opened(), {})

    def test_the_inventory_says_what_a_guest_may_send(self) -> None:
        a, c = self.guests["a"], self.guests["c"]
        self.write_inventory(a="messages_per_second = 500\nbytes_per_second = 1M", b="messages_per_second = 1")

        def slow() -> bool:
            self.guests["b"].say(group("broadcast", data="x"))
            return bool(self.guests["b"].heard("nack"))

        wait_until(slow, "b has its new limit")
        self.assertIn("more than 1 messages", self.guests["b"].heard("nack")[0]["log_msg"])
        # No more at once than is kept for a guest that reads slowly: on a busy machine that is every guest.
        for sent in range(100, 601, 100):
            for _ in range(100):
                a.say(group("broadcast", data="x"))
            wait_until(lambda: len([m for m in c.heard("broadcast") if m["source_instance"] == "a"]) == sent, "all arrive")
        self.settle(a)
        self.assertEqual(a.heard("nack"), [])


class SlowReader(GroupTestCase):
    def test_it_loses_its_oldest_is_told_how_many_and_harms_nobody(self) -> None:
        a, b, c = (self.guests[name] for name in "abc")
        c.stop_reading()
        name = f'{DROPPED}{{reason="not_read"}}'
        sent = 0

        def dropped() -> bool:
            nonlocal sent
            a.say(group("broadcast", data=f"{sent:04}" + "z" * 3000))
            sent += 1
            return self.metric(self.agents["compute-2"].http, name) > 0

        wait_until(dropped, "messages for c are dropped", pause=0.05)
        last = b.wait("broadcast", data=f"{sent - 1:04}" + "z" * 3000)
        self.assertEqual(last.get("dropped", 0), 0)
        self.settle(a)
        c.resume_reading()
        wait_until(lambda: c.heard("broadcast")[-1:] == [m for m in c.heard("broadcast") if m["data"] == last["data"]],
                   "c receives the newest")
        heard = c.heard("broadcast")
        told = sum(message.get("dropped", 0) for message in heard)
        self.assertEqual(told + len(heard), sent, "every message was heard, or told to be dropped")
        order = [message["data"] for message in heard]
        self.assertEqual(order, sorted(order))
        wait_until(lambda: self.shown_refused("c") >= told, "the operator sees it")

    def shown_refused(self, guest: str) -> int:
        return self.agents["compute-2"].guest(guest)["refused"]


class Disconnected(GroupTestCase):
    def test_what_a_guest_without_a_channel_misses_is_counted_and_not_kept(self) -> None:
        """Row S-16 of the host's state table."""
        self.guests["c"].close()
        agent = self.agents["compute-2"]
        name = "vitalwire_agent_group_not_connected_total"
        wait_until(lambda: agent.guest("c")["channels"] == [], "the agent knows that the channel ended")
        before = self.metric(agent.http, name)
        self.guests["a"].say(group("broadcast", data="missed"))
        wait_until(lambda: self.metric(agent.http, name) == before + 1, "it is counted")
        again = self.guest("c")
        self.wait_served(again)
        self.guests["a"].say(group("broadcast", data="heard"))
        self.assertEqual(again.wait("broadcast")["data"], "heard")


class BadInput(GroupTestCase):
    def check(self, guest: RawGuest, query: bytes) -> None:
        for line in BAD_INPUT:
            guest.forget()
            guest.say(b"\n" + line + b"\n" + query)
            guest.wait("status_response_done")
        self.guests["b"].say(group("broadcast", data="undisturbed"))
        self.guests["c"].wait("broadcast", source_instance="b")
        agent = self.agents["compute-1"]
        agent.daemon.require_running()
        refused = [reason for reason in ("malformed", "overlong") if self.metric(agent.http, f'{DROPPED}{{reason="{reason}"}}')]
        self.assertEqual(refused, ["malformed", "overlong"])
        self.assertEqual(len(self.guests["c"].heard("broadcast")), 1)

    def test_it_is_dropped_and_counted_on_the_native_channel(self) -> None:
        self.check(self.guests["a"], group("status_query", seq=1))

    def test_it_is_dropped_and_counted_on_the_cgcs_channel(self) -> None:
        self.guests["a"].close()
        self.check(self.guest("a", "cgcs.messaging"), cgcs("status_query", seq=1))

    def test_pdus_that_break_a_rule_are_refused_by_name(self) -> None:
        """Row S-04 of the host's state table."""
        a = self.guests["a"]
        for fields, code in (
            ({"msg_type": "broadcast"}, "bad_field"),
            ({"msg_type": "broadcast", "data": 7}, "bad_field"),
            ({"msg_type": "broadcast", "data": "@", "encoding": "base64"}, "bad_field"),
            ({"msg_type": "broadcast", "data": "x", "encoding": "rot13"}, "bad_field"),
            ({"msg_type": "status_query"}, "bad_field"),
            ({"msg_type": "status_query", "seq": -1}, "bad_field"),
            ({"msg_type": "notification", "data": {}}, "unknown_msg_type"),
            ({"msg_type": "x" * 200}, "unknown_msg_type"),
        ):
            a.forget()
            a.say(envelope({"version": 1, **fields}, GROUP))
            self.assertLessEqual(len(a.wait("nack", code=code)["log_msg"]), 224)
        a.say(envelope({"version": 9, "msg_type": "status_query", "seq": 1}, GROUP))
        self.assertEqual(a.wait("nack", code="unsupported_version")["supported_versions"], [1])


class CgcsGuests(GroupTestCase):
    """c speaks on cgcs.messaging as guests in the field do; a and b natively."""

    def setUp(self) -> None:
        super().setUp()
        self.guests["c"].close()
        self.old = self.guest("c", "cgcs.messaging")
        self.old.say(cgcs("status_query", seq=1))
        self.old.wait("status_response_done", seq=1)

    def test_mixed_groups_talk_both_ways(self) -> None:
        self.guests["a"].say(group("broadcast", data="to the old"))
        heard = self.old.wait("broadcast")
        self.assertEqual((heard["source_instance"], heard["data"]), ("a", "to the old"))
        for number, version in enumerate((2, 1, "version"), start=1):
            self.old.say(cgcs("broadcast", version, data=f"from the old {version}"))
            for peer in "ab":
                heard = self.guests[peer].wait("broadcast", number, source_instance="c")
                self.assertEqual(heard["data"], f"from the old {version}")

    def test_what_is_on_record_of_them_is_understood(self) -> None:
        """Three writes a message, keys in their order, a source_instance that is not theirs to say."""
        for line in (
            b'{"data":{"version":2,"msg_type":"broadcast","data":"hello from guest 2"},"version":2,'
            b'"dest_addr":"cgcs.server_grp","source_addr":"cgcs.server_grp"}',
            b'{"data":{"version":2,"msg_type":"broadcast","data":"hello from guest 2","source_instance":"x"},"version":1,'
            b'"dest_addr":"cgcs.server_grp","source_addr":"cgcs.server_grp"}',
            b'{"data":"{\\"version\\":2,\\"msg_type\\":\\"broadcast\\",\\"data\\":\\"hello from guest 2\\"}","version":2,'
            b'"dest_addr":"cgcs.server_grp","source_addr":"cgcs.server_grp"}\r',
        ):
            for part in (b"\n", line, b"\n"):
                self.old.say(part)
        self.guests["a"].wait("broadcast", 3, source_instance="c", data="hello from guest 2")

    def test_it_is_answered_in_the_version_it_used_and_told_of_its_peers(self) -> None:
        for version in (1, 2):
            self.old.forget()
            query = {"version": version, "msg_type": "status_query", "seq": 7}
            self.old.say(envelope(query, CGCS, version=version))
            self.assertEqual(self.old.wait("status_response_done", seq=7)["version"], version)
            self.assertEqual(len(self.old.heard("status_response")), 3)
        self.write_inventory(a="state = paused")

        def updates() -> list[dict]:
            """Of its peers as they were when its channel came up it may be told as late."""
            told = [message["data"] for message in self.old.heard("notification")]
            return [data for data in told if data["event_type"] == "compute.instance.update"]

        told = wait_until(updates, "it is told of the update")[0]
        self.assertEqual((told["payload"]["instance_id"], told["payload"]["state"]), ("a", "paused"))
        self.assertEqual(told["priority"], "INFO")

    def test_3050_bytes_pass_and_one_more_is_refused(self) -> None:
        self.old.say(cgcs("broadcast", data="x" * 3050))
        self.assertEqual(len(self.guests["a"].wait("broadcast")["data"]), 3050)
        self.guests["a"].say(group("broadcast", data="y" * 3050))
        self.assertEqual(len(self.old.wait("broadcast")["data"]), 3050)
        self.old.say(cgcs("broadcast", data="x" * 3051))
        self.assertEqual(self.old.wait("nack")["orig_msg_type"], "broadcast")

    def test_what_it_cannot_be_told_is_counted_and_the_others_hear_it(self) -> None:
        self.guests["a"].say(group("broadcast", data="/w==", encoding="base64"))
        self.guests["b"].wait("broadcast")
        wait_until(
            lambda: self.metric(self.agents["compute-2"].http, "vitalwire_agent_group_undeliverable_total") == 1,
            "it is counted",
        )
        self.assertEqual(self.old.heard("broadcast"), [])

    def test_no_message_to_it_exceeds_4096_bytes(self) -> None:
        metadata = "\n".join(f"metadata = key{number}={'v' * 200}" for number in range(30))
        self.write_inventory(a=f"name = {'n' * 200}\n{metadata}")

        def reduced() -> list[dict]:
            payloads = [message["data"]["payload"] for message in self.old.heard("notification")]
            return [payload["reduced"] for payload in payloads if "reduced" in payload]

        wait_until(reduced, "a notification that does not fit is reduced")
        self.assertEqual(reduced()[0], ["metadata"])
        self.assertLessEqual(self.old.longest_line, 4096)

    def test_another_application_of_the_channel_is_ignored(self) -> None:
        self.old.say(envelope({"version": 2, "msg_type": "scale", "seq": 1}, "cgcs.scale"))
        self.old.forget()
        self.old.say(cgcs("status_query", seq=2))
        self.old.wait("status_response_done", seq=2)
        self.assertEqual(self.old.heard("nack"), [])

    def test_its_channel_is_shown(self) -> None:
        shown = http_json(self.controller.http, "/v1/groups/g")["guests"]
        channels = {guest["instance_id"]: guest.get("channels") for guest in shown}
        self.assertEqual(channels["c"], ["cgcs.messaging"])


if __name__ == "__main__":
    unittest.main()
