#!/usr/bin/python3
"""Guests are asked before Nova acts on them: real Nova, libvirt and guests on two compute nodes."""

from dataclasses import replace
from pathlib import Path
import re
import sys
from typing import Any
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed import vnf
from cloudbed.compute import ComputeNode
from cloudbed.two_nodes import TwoNodesTestCase
from suite import BUILD
from vmbed.guest import BOOT_SECONDS
from vmbed.initramfs import Payload, Service
from vmbed.procs import wait_until

BOUND_SECONDS = 6  # of the agents; the guests declare more
REASON = "last member of its group"

# "EVENT revocable stop"; does as the operator's last "vote WORD" says.
EVENT_SCRIPT = f"""#!/bin/sh
echo "EVENT $1 $2" > /dev/console
case "$1 $(cat /run/vote)" in
"revocable reject") echo {REASON}; exit 1 ;;
"revocable hang") sleep 1d ;;
esac
exit 0
"""
# "ROLE standby: why;active: why;", the last ones, again and again: a guest that migrates begins another console.
PAIR = """#!/bin/sh
: > /run/roles
while sleep 1; do echo "ROLE $(tail -n 6 /run/roles | tr '\\n' ';')" > /dev/console; done &
exec active_standby --beat 1000 --lease 8000 > /run/roles
"""


class Votes(TwoNodesTestCase):
    """Two guests of a group, of which one is active; Nova acts on that one."""

    agent_settings = {"heartbeat__action_timeout_max": f"{BOUND_SECONDS} s"}

    @classmethod
    def payload(cls) -> Payload:
        guest = vnf.payload("")
        path = "/etc/vitalwire/vitalwired.conf"
        actions = "event_script = /etc/vitalwire/on-event\nvote_time = 20 s\nsuspend_notice = 20 s\n"
        files = {
            path: f"{guest.files[path]}[actions]\n{actions}",
            "/etc/vitalwire/on-event": EVENT_SCRIPT,
            "/usr/bin/active_standby": BUILD / "guest" / "examples" / "active_standby",
            "/usr/bin/pair": PAIR,
        }
        pair = Service("pair", ("/usr/bin/pair",))
        return replace(guest, files={**guest.files, **files}, services=(*guest.services, pair))

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.group = cls.new_class_group()
        cls.pair = [cls.new_class_guest(f"member-{node.host}", node, cls.group) for node in cls.nodes]

    def setUp(self) -> None:
        for guest in self.pair:
            if self.admin.server(guest.server)["status"] == "SHUTOFF":
                self.admin.act_and_wait(guest.server, "os-start", "ACTIVE")
            self.recover(guest)
        wait_until(lambda: sorted(map(self.role, self.pair)) == ["active", "standby"], "one is active", BOOT_SECONDS)
        self.active, self.other = sorted(self.pair, key=self.role)
        self.vote("yes")
        self.events_before = len(self.active.lines("EVENT"))
        super().setUp()

    # ---- given

    def vote(self, word: str) -> None:
        """What the guests' event scripts do from now on."""
        self.controller.command("send", self.group, f"vote {word}")
        for guest in self.pair:
            wait_until(lambda: guest.heard("broadcast", "operator")[-1:] == [f"vote {word}"], f"it heard {word}")

    def roles(self, guest: vnf.Guest) -> list[str]:
        return "".join(guest.lines("ROLE")[-1:]).split(";")[:-1]

    def role(self, guest: vnf.Guest) -> str:
        return "".join(self.roles(guest)[-1:]).split(":")[0]

    def events(self) -> list[str]:
        """What its event script was asked in this test."""
        return self.active.lines("EVENT")[self.events_before :]

    # ---- when

    def target(self) -> dict[str, Any]:
        host = next(node.host for node in self.nodes if node is not self.active.node)
        return {"host": host, "block_migration": "auto"}

    def act(self, action: str, argument: Any = None) -> None:
        self.admin.act(self.active.server, action, argument)

    def await_migrated(self, host: str) -> None:
        self.admin.wait_for_host(self.active.server, host)
        self.wait_beating(self.active, next(node for node in self.nodes if node.host == host))

    # ---- then

    def waited_seconds(self, node: ComputeNode, event: str) -> float:
        """How long the agent there waited for the guest's answer, in all."""
        log = (self.dir / node.host / "agent.log").read_text()
        asked = [line for line in log.splitlines() if self.active.server in line and event in line and "waited_ms" in line]
        return int(re.search(r"waited_ms\W+(\d+)", asked[-1])[1]) / 1000

    def failed_action(self) -> str:
        """What Nova shows of the newest action, which failed: `openstack server event show`."""
        path = f"/servers/{self.active.server}/os-instance-actions"
        newest = self.admin.call("compute", "GET", path)["instanceActions"][0]
        found = self.admin.call("compute", "GET", f"{path}/{newest['request_id']}")["instanceAction"]
        return "\n".join(str(event.get("details")) for event in found["events"] if event["result"] == "Error")

    def assert_stays(self, event: str) -> None:
        """ACTIVE where it is, and nobody was notified of a fault."""
        wait_until(self.events, "the guest is asked")
        node = self.active.node
        self.admin.wait_for_status(self.active.server, "ACTIVE")
        self.assertEqual(self.node_of(self.active), node)
        self.wait_beating(self.active)
        self.assertEqual(self.events()[0], f"revocable {event}")
        self.assertNotIn(f"irrevocable {event}", self.events())
        self.assert_untroubled()

    def test_a_stop_that_the_guest_rejects_leaves_it_active_and_names_its_reason(self) -> None:
        self.vote("reject")
        self.act("os-stop")
        wait_until(lambda: REASON in self.failed_action(), "Nova shows the guest's reason")
        self.assertIn("The guest rejects stop", self.failed_action())
        self.assert_stays("stop")

    def test_a_live_migration_that_the_guest_rejects_leaves_it_where_it_is(self) -> None:
        self.vote("reject")
        self.act("os-migrateLive", self.target())
        self.assert_stays("live_migrate_begin")

    def test_a_stop_that_the_guest_accepts_is_carried_out(self) -> None:
        self.act("os-stop")
        self.admin.wait_for_status(self.active.server, "SHUTOFF")
        self.assertEqual(self.events(), ["revocable stop", "irrevocable stop"])
        wait_until(lambda: self.role(self.other) == "active", "the other is active")
        self.assertEqual(self.errors(), set())

    def test_a_guest_that_hangs_in_its_vote_delays_a_live_migration_by_the_bound_at_most(self) -> None:
        self.vote("hang")
        source, target = self.active.node, self.target()
        self.act("os-migrateLive", target)
        wait_until(lambda: self.events() == ["revocable live_migrate_begin"], "the guest is asked")
        self.await_migrated(target["host"])
        self.assertLess(self.waited_seconds(source, "live_migrate_begin"), BOUND_SECONDS + 1)
        self.assert_untroubled()

    def test_the_active_hands_over_before_its_live_migration_begins(self) -> None:
        target = self.target()
        self.act("os-migrateLive", target)
        self.await_migrated(target["host"])
        # Nova begins when the guest has answered, and it has not answered before.
        ready = "standby: ready for live_migrate_begin, the peer is active"
        wait_until(lambda: ready in self.roles(self.active), "it answered when the other was active")
        self.assertEqual((self.role(self.active), self.role(self.other)), ("standby", "active"))
        self.assert_untroubled()


if __name__ == "__main__":
    unittest.main()
