#!/usr/bin/python3
"""A server group over two compute nodes: what guests say reaches their peers and nobody else, through the controller."""

import base64
import json
from pathlib import Path
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from raw_guest import group
from server_group import GROUPS, GroupTestCase
from vmbed.procs import http_json, http_request, wait_until


class Broadcast(GroupTestCase):
    def test_it_reaches_every_other_member_and_nobody_else(self) -> None:
        self.guests["a"].say(group("broadcast", data="hello"))
        for peer in "bc":
            heard = self.guests[peer].wait("broadcast")
            self.assertEqual((heard["source_instance"], heard["data"]), ("a", "hello"))
        self.settle(self.guests["a"])
        for outsider in ("a", "x", "loner"):
            self.assertEqual(self.guests[outsider].heard("broadcast"), [], outsider)

    def test_nothing_a_guest_says_makes_it_another_or_reaches_another_group(self) -> None:
        a = self.guests["a"]
        for keys in (
            {"source_instance": "x"},
            {"guests": ["x"], "group": "other"},
            {"dest_instance": "x", "operator": True},
            {"source_instance": "operator", "operator": True},
        ):
            a.say(group("broadcast", data="forged", **keys))
        for peer in "bc":
            self.guests[peer].wait("broadcast", 4)
            for heard in self.guests[peer].heard("broadcast"):
                self.assertEqual(heard["source_instance"], "a")
                self.assertFalse(heard.get("operator", False))
        self.settle(self.guests["x"])
        self.assertEqual(self.guests["x"].heard("broadcast"), [])

    def test_any_3050_bytes_arrive_and_one_more_is_refused(self) -> None:
        payload = bytes(range(256)) * 11 + b"\xff" * 234
        self.assertEqual(len(payload), 3050)
        a, c = self.guests["a"], self.guests["c"]
        a.say(group("broadcast", encoding="base64", data=base64.b64encode(payload).decode()))
        self.assertEqual(base64.b64decode(c.wait("broadcast")["data"]), payload)
        a.say(group("broadcast", data="x" * 3050))
        self.assertEqual(c.wait("broadcast", 2)["data"], "x" * 3050)
        for seq, data in ((5, {"data": "x" * 3051}), (6, {"data": base64.b64encode(b"x" * 3051).decode()})):
            a.say(group("broadcast", **data, seq=seq, encoding="base64" if seq == 6 else "utf8"))
            refused = a.wait("nack", code="too_large", seq=seq)
            self.assertEqual((refused["orig_msg_type"], refused["max_payload"]), ("broadcast", 3050))

    def test_the_order_of_a_sender_is_kept(self) -> None:
        for number in range(80):
            self.guests["a"].say(group("broadcast", data=str(number)))
        self.guests["c"].wait("broadcast", 80)
        self.assertEqual([m["data"] for m in self.guests["c"].heard("broadcast")], [str(n) for n in range(80)])

    def test_a_peer_on_the_same_host_hears_exactly_what_one_elsewhere_hears(self) -> None:
        a, b, c = (self.guests[name] for name in "abc")
        a.say(group("broadcast", data='text "quoted"\n\u0000\u20ac'))
        a.say(group("broadcast", data=base64.b64encode(b"\xff\x00").decode(), encoding="base64"))
        self.write_inventory(a="state = paused\nmetadata = role=db")
        for peer in (b, c):
            peer.wait("notification")
            peer.wait("broadcast", 2)
        for kind in ("broadcast", "notification"):
            self.assertEqual(b.heard(kind), c.heard(kind))

    def test_a_guest_in_no_group_is_told_so(self) -> None:
        wait_until(lambda: self.refused_code("loner") == "not_in_group", "the loner is told", pause=0.1)

    def refused_code(self, name: str) -> str:
        """Why the guest may not ask; empty when it may."""
        guest = self.guests[name]
        guest.forget()
        guest.say(group("status_query", seq=1))
        wait_until(lambda: guest.heard("nack") or guest.heard("status_response_done"), "an answer")
        return guest.heard("nack")[0]["code"] if guest.heard("nack") else ""

    def test_a_guest_for_which_messaging_is_off_is_told_so(self) -> None:
        self.write_inventory(a="messaging = no")
        wait_until(lambda: self.refused_code("a") == "not_enabled", "a is told", pause=0.1)
        self.guests["b"].say(group("broadcast", data="hello"))
        self.guests["c"].wait("broadcast", source_instance="b")
        self.assertEqual(self.guests["a"].heard("broadcast"), [])


class State(GroupTestCase):
    def test_a_query_is_answered_with_every_member_and_their_number(self) -> None:
        c = self.guests["c"]
        c.say(group("status_query", seq=3))
        self.assertEqual(c.wait("status_response_done", seq=3)["count"], 3)
        states = {m["data"]["instance_id"]: m["data"] for m in c.heard("status_response")}
        self.assertEqual(set(states), {"a", "b", "c"})
        self.assertEqual((states["c"]["host"], states["c"]["state"]), ("compute-2", "active"))

    def test_editing_the_inventory_tells_the_peers_and_nobody_else(self) -> None:
        self.write_inventory(c="state = paused")
        for peer in "ab":
            state = self.guests[peer].wait("notification")["data"]
            self.assertEqual((state["instance_id"], state["state"]), ("c", "paused"))
        for other in ("c", "x", "loner"):
            self.assertEqual(self.guests[other].heard("notification"), [], other)

    def test_the_states_of_a_member_arrive_in_order(self) -> None:
        states = ["paused", "active", "suspended", "active", "stopped", "error"]
        for state in states:
            self.write_inventory(c=f"state = {state}")
            wait_until(lambda: self.told("a")[-1:] == [state], f"a is told {state}")
        self.assertEqual(self.told("a"), states)

    def told(self, guest: str) -> list[str]:
        return [message["data"]["state"] for message in self.guests[guest].heard("notification")]

    def test_peers_are_told_when_a_member_is_lost_and_back(self) -> None:
        a, c = self.guests["a"], self.guests["c"]

        def heartbeats() -> list[str]:
            return [m["data"]["heartbeat"] for m in a.heard("notification") if m["data"]["instance_id"] == "c"]

        c.register()
        wait_until(lambda: heartbeats()[-1:] == ["healthy"], "a receives that c is healthy")
        c.answering = False
        wait_until(lambda: heartbeats()[-1:] == ["lost"], "a receives that c is lost")
        c.answering = True
        wait_until(lambda: heartbeats()[-1:] == ["healthy"], "a receives that c is back")

    def test_who_leaves_hears_nothing_more_and_is_deleted_for_those_who_stay(self) -> None:
        self.write_inventory(groups={**GROUPS, "c": "other"}, c="project = p2")
        self.assertEqual(self.guests["a"].wait("notification")["data"]["state"], "deleted")
        self.assertEqual(self.guests["x"].wait("notification")["data"]["instance_id"], "c")
        self.guests["a"].say(group("broadcast", data="among us"))
        self.guests["b"].wait("broadcast")
        self.guests["c"].say(group("broadcast", data="to my new group"))
        self.assertEqual(self.guests["x"].wait("broadcast")["source_instance"], "c")
        self.assertEqual(self.guests["c"].heard("broadcast"), [])
        self.assertEqual(self.guests["a"].heard("broadcast"), [])

    def test_a_guest_that_moved_is_reached_where_it_is(self) -> None:
        moved = self.guest("c", host="compute-1")
        moved.wait("nack", code="no_session")
        self.guests["c"].close()
        self.write_inventory(places={"c": "compute-1"})
        self.guests["a"].wait("notification")
        self.guests["a"].say(group("broadcast", data="hello"))
        self.assertEqual(moved.wait("broadcast")["data"], "hello")
        self.wait_served(moved)


class Operator(GroupTestCase):
    def test_a_test_message_reaches_all_members_and_is_marked(self) -> None:
        answer = http_request(self.controller.http, "/v1/groups/g/send", method="POST", body=b"test")
        self.assertEqual(json.loads(answer[1]), {"group": "g", "guests": 3})
        for member in "abc":
            heard = self.guests[member].wait("broadcast")
            self.assertEqual((heard["source_instance"], heard["operator"], heard["data"]), ("operator", True, "test"))
        self.settle(self.guests["x"])
        self.assertEqual(self.guests["x"].heard("broadcast"), [])

    def test_a_message_that_nobody_can_get_is_refused(self) -> None:
        for path, body, status in (("/v1/groups/none/send", b"x", 404), ("/v1/groups/g/send", b"x" * 3051, 413)):
            self.assertEqual(http_request(self.controller.http, path, method="POST", body=body)[0], status)

    def test_groups_members_and_counters_are_shown(self) -> None:
        before = http_json(self.controller.http, "/v1/groups/g")
        self.guests["a"].say(group("broadcast", data="x"))
        self.guests["c"].wait("broadcast")
        self.assertEqual({g["id"] for g in http_json(self.controller.http, "/v1/groups")["groups"]}, {"g", "other"})
        shown = http_json(self.controller.http, "/v1/groups/g")
        self.assertEqual(shown["broadcasts"] - before["broadcasts"], 1)
        self.assertEqual(shown["deliveries"] - before["deliveries"], 2)
        members = {guest["instance_id"]: guest for guest in shown["guests"]}
        self.assertEqual({name: m["host"] for name, m in members.items()}, {n: self.place(n) for n in "abc"})
        self.assertEqual(members["a"]["channels"], ["org.vitalwire.0"])

    def place(self, name: str) -> str:
        return "compute-2" if name == "c" else "compute-1"

    def test_metrics_count_both_ways(self) -> None:
        self.guests["a"].say(group("broadcast", data="x"))
        self.guests["c"].wait("broadcast")
        self.assertEqual(self.metric(self.agents["compute-1"].http, "vitalwire_agent_group_broadcasts_total"), 1)
        self.assertGreater(self.metric(self.agents["compute-2"].http, "vitalwire_agent_group_deliveries_total"), 0)
        self.assertEqual(self.metric(self.controller.http, "vitalwire_controller_group_broadcasts_total"), 1)
        self.assertEqual(self.metric(self.controller.http, "vitalwire_controller_group_deliveries_total"), 2)


if __name__ == "__main__":
    unittest.main()
