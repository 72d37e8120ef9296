#!/usr/bin/python3
"""Server groups while controllers, agents and channels fail: nothing twice, nothing cut, nothing lost in silence."""

from pathlib import Path
import signal
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from raw_guest import RawGuest, group
from server_group import GroupTestCase
from vmbed.procs import wait_until


def numbers(guest: RawGuest, source: str) -> list[int]:
    return [int(m["data"]) for m in guest.heard("broadcast") if m["source_instance"] == source]


class FailureTestCase(GroupTestCase):
    def count_until_heard(self, sender: RawGuest, first: int, *peers: RawGuest) -> int:
        """Broadcasts growing numbers until all peers hear the latest; returns the next number."""
        number = first
        while True:
            sender.say(group("broadcast", data=str(number)))
            number += 1
            try:
                for peer in peers:
                    wait_until(lambda each=peer: number - 1 in numbers(each, sender.id), "heard", deadline=1)
                return number
            except TimeoutError:
                self.assertLess(number, first + 60, "service does not resume")

    def assert_once_and_in_order(self, *peers: RawGuest, source: str = "a") -> None:
        for peer in peers:
            heard = numbers(peer, source)
            self.assertEqual(heard, sorted(set(heard)), peer.id)


class OneController(FailureTestCase):
    def test_a_controller_that_is_away_is_told_at_once_and_service_resumes_by_itself(self) -> None:
        a, c = self.guests["a"], self.guests["c"]
        self.controller.close()
        wait_until(lambda: not self.links("compute-1")[0]["up"], "the link ends")
        a.say(group("broadcast", data="lost", seq=8))
        self.assertEqual(a.wait("nack", code="unavailable", seq=8)["orig_msg_type"], "broadcast")
        a.say(group("status_query", seq=9))
        self.assertEqual(a.wait("nack", code="unavailable", seq=9)["orig_msg_type"], "status_query")
        self.controller.start()
        self.wait_served(a, c)
        a.say(group("broadcast", data="back"))
        c.wait("broadcast")
        self.assertEqual([m["data"] for m in c.heard("broadcast")], ["back"])

    def test_a_change_while_the_controller_was_away_is_told_and_nothing_else(self) -> None:
        self.guests["c"].register()
        self.guests["a"].wait("notification")
        self.controller.close()
        self.guests["a"].forget()
        self.write_inventory(c="state = stopped")
        self.controller.start()
        self.assertEqual(self.guests["a"].wait("notification")["data"]["state"], "stopped")
        self.wait_served(self.guests["b"])
        told = [(m["data"]["instance_id"], m["data"]["state"]) for m in self.guests["a"].heard("notification")]
        self.assertEqual(set(told), {("c", "stopped")})

    def test_a_controller_that_hangs_is_told_before_its_link_is_given_up(self) -> None:
        a = self.guests["a"]
        self.controller.daemon.signal(signal.SIGSTOP)
        self.addCleanup(self.controller.daemon.signal, signal.SIGCONT)
        a.say(group("broadcast", data="x", seq=1))
        a.say(group("status_query", seq=2))
        for seq in (1, 2):
            refused = a.wait("nack", code="unavailable", seq=seq)
            self.assertEqual(refused["log_msg"], "the controller did not answer in time")

    def test_nothing_comes_twice_when_an_agent_is_killed_and_started_again(self) -> None:
        a, b, c = (self.guests[name] for name in "abc")
        number = self.count_until_heard(a, 0, b, c)
        for host in ("compute-2", "compute-1"):
            self.agents[host].close()
            self.agents[host].start()
            number = self.count_until_heard(a, number, b, c)
        self.assert_once_and_in_order(b, c)

    def test_half_a_message_of_a_channel_that_ended_is_never_completed(self) -> None:
        a, c = self.guests["a"], self.guests["c"]
        whole = group("broadcast", data="half and half")
        a.say(whole[:60])
        a.hang_up()
        a.say(whole[60:] + group("broadcast", data="whole"))
        c.wait("broadcast", data="whole")
        self.assertEqual([m["data"] for m in c.heard("broadcast")], ["whole"])

    def test_a_guest_that_starts_anew_is_not_taken_for_the_one_before(self) -> None:
        """Another guest listens where the first did: its bytes are its own from the first one on."""
        a, c = self.guests["a"], self.guests["c"]
        a.say(group("broadcast", data="unfinished")[:70])
        a.close()
        again = self.guest("a")
        again.say(b'","data":"stolen"}}\n' + group("broadcast", data="mine"))
        c.wait("broadcast", data="mine")
        self.assertEqual([m["data"] for m in c.heard("broadcast")], ["mine"])

    def test_what_waited_for_a_guest_that_hung_up_does_not_reach_the_next_one_in_pieces(self) -> None:
        c = self.guests["c"]
        c.stop_reading()
        for _ in range(4):
            for name in "ab":
                for _ in range(10):
                    self.guests[name].say(group("broadcast", data="z" * 3000))
        self.settle(self.guests["a"])
        self.settle(self.guests["b"])
        c.close()
        again = self.guest("c")
        self.wait_served(again)
        self.guests["a"].say(group("broadcast", data="clean"))
        again.wait("broadcast", data="clean")  # what it reads is whole lines, or its reader has failed


class TwoControllers(FailureTestCase):
    CONTROLLERS = 2

    def lead_of(self, host: str) -> int:
        return next(index for index, one in enumerate(self.controllers) if self.leads(host, one.link()))

    def leads(self, host: str, name: str) -> bool:
        return any(link["primary"] and link["name"] == name for link in self.links(host))

    def test_the_other_controller_takes_over_and_nothing_comes_twice(self) -> None:
        a, b, c = (self.guests[name] for name in "abc")
        number = self.count_until_heard(a, 0, b, c)
        for _ in range(2):
            lead = self.controllers[self.lead_of("compute-1")]
            for _ in range(10):
                a.say(group("broadcast", data=str(number)))
                number += 1
            lead.close()
            number = self.count_until_heard(a, number, b, c)
            lead.start()
            wait_until(lambda: all(link["up"] for link in self.links("compute-1")), "it is back")
            wait_until(lambda: all(link["up"] for link in self.links("compute-2")), "it is back")
        self.assert_once_and_in_order(b, c)

    def test_a_change_is_told_once_though_both_controllers_see_it(self) -> None:
        self.write_inventory(c="state = paused")
        self.guests["a"].wait("notification")
        self.write_inventory(c="state = active")
        wait_until(lambda: self.told("a")[-1:] == ["active"], "the second change")
        self.settle(self.guests["a"])
        self.assertEqual(self.told("a"), ["paused", "active"])

    def told(self, guest: str) -> list[str]:
        return [message["data"]["state"] for message in self.guests[guest].heard("notification")]


if __name__ == "__main__":
    unittest.main()
