#!/usr/bin/python3
"""What an operator does to servers of two compute nodes is no fault: real guests with the default detection time."""

from pathlib import Path
import sys
import unittest
import uuid

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed.client import OpenStack
from cloudbed.settings import PASSWORD
from cloudbed.two_nodes import TwoNodesTestCase
from vmbed.guest import BOOT_SECONDS
from vmbed.procs import wait_until


class Operations(TwoNodesTestCase):
    """One guest is acted upon; the other, of the same group, is left alone and beats all the time."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.first, cls.second = cls.nodes
        cls.group = cls.new_class_group()
        cls.bystander = cls.new_class_guest("bystander", cls.second, cls.group)
        cls.acted_on = cls.new_class_guest("acted-on", cls.first, cls.group)

    def setUp(self):
        for guest in (self.bystander, self.acted_on):
            self.recover(guest)
        super().setUp()

    def check(self, guest=None, node=None):
        """The guest beats, on that node, and nobody was notified of anything."""
        self.wait_beating(guest or self.acted_on, node)
        self.wait_beating(self.bystander)
        self.assert_untroubled()

    def act(self, action, status, argument=None):
        self.admin.act_and_wait(self.acted_on.server, action, status, argument)

    def other(self):
        """The node where the guest is not."""
        return self.second if self.acted_on.node is self.first else self.first

    def test_live_migration(self):
        target = self.other()
        where = {"host": target.host, "block_migration": "auto"}
        self.admin.act(self.acted_on.server, "os-migrateLive", where)
        self.admin.wait_for_host(self.acted_on.server, target.host)
        self.check(node=target)

    def test_cold_migration_and_its_revert(self):
        home, target = self.acted_on.node, self.other()
        self.act("migrate", "VERIFY_RESIZE")
        self.check(node=target)
        self.act("revertResize", "ACTIVE")
        self.check(node=home)

    def test_resize_to_other_extra_specs(self):
        target = self.other()
        specs = {"vitalwire:heartbeat": "true", "vitalwire:heartbeat_detect_multiplier": "2"}
        larger = self.admin.create_flavor(f"larger-{uuid.uuid4()}", specs, ram=192)
        self.act("resize", "VERIFY_RESIZE", {"flavorRef": larger})
        self.act("confirmResize", "ACTIVE")
        self.check(node=target)
        self.assertEqual(self.controller.guest(self.acted_on.server)["policy"]["misses"], 2)

    def test_hard_reboot(self):
        self.act("reboot", "ACTIVE", {"type": "HARD"})
        self.check()

    def test_shelve_and_unshelve(self):
        self.act("shelve", "SHELVED_OFFLOADED")
        self.act("unshelve", "ACTIVE")
        self.check(node=self.node_of(self.acted_on))

    def test_rescue_and_unrescue(self):
        self.act("rescue", "RESCUE", {})
        self.act("unrescue", "ACTIVE")
        self.check()

    def test_rename(self):
        name = f"renamed-{uuid.uuid4()}"
        path = f"/servers/{self.acted_on.server}"
        self.admin.call("compute", "PUT", path, {"server": {"name": name}})
        wait_until(
            lambda: self.controller.guest(self.acted_on.server)["display_name"] == name,
            "the controller shows the new name",
        )
        self.check()

    def test_delete(self):
        doomed = self.new_guest("doomed", self.first, self.group)
        self.wait_beating(doomed)
        self.admin.delete_server(doomed.server)
        wait_until(lambda: not self.agents[self.first.host].guest(doomed.server), "its agent knows it no more")
        self.check()
        self.assertEqual(self.controller.guest(doomed.server), {})


class Projects(TwoNodesTestCase):
    """Two projects have groups of one name, and guests on both nodes."""

    NAME = "web"

    def setUp(self):
        self.members = {project: self.new_members(project) for project in ("red", "blue")}
        for guest in self.members["red"] + self.members["blue"]:
            self.recover(guest)
        super().setUp()

    def new_members(self, project):
        """On each node one."""
        user = self.new_project(f"{project}-{uuid.uuid4()}")
        group = user.create_server_group(self.NAME)
        self.addCleanup(user.call, "compute", "DELETE", f"/os-server-groups/{group}")
        return [self.new_guest(project, node, group, user) for node in self.nodes]

    def new_project(self, name):
        """Its only user; an administrator, who may choose the node of a server."""
        project = {"name": name, "domain_id": "default"}
        made_project = self.admin.call("identity", "POST", "/projects", {"project": project})["project"]["id"]
        user = {"name": name, "password": PASSWORD, "domain_id": "default"}
        made_user = self.admin.call("identity", "POST", "/users", {"user": user})["user"]["id"]
        role = self.admin.call("identity", "GET", "/roles?name=admin")["roles"][0]["id"]
        grant = f"/projects/{made_project}/users/{made_user}/roles/{role}"
        self.admin.call("identity", "PUT", grant)
        return OpenStack(self.cloud.config.auth_url, name, PASSWORD, name)

    def test_a_broadcast_stays_in_its_group(self):
        groups = {self.controller.guest(guests[0].server)["group"]: guests for guests in self.members.values()}
        self.assertEqual(len(groups), 2)
        for number, (group, guests) in enumerate(groups.items()):
            self.controller.command("send", group, f"say word-{number}")
            one, other = guests
            self.wait_received(one, other, f"word-{number}")
            self.wait_received(other, one, f"word-{number}")
        # The first group's word came before the second's was sent: what goes astray has arrived.
        for guests in self.members.values():
            strangers = [guest for other in self.members.values() if other is not guests for guest in other]
            for guest in guests:
                for stranger in strangers:
                    self.assertEqual(guest.heard("broadcast", stranger.server), [])
                    self.assertEqual(guest.heard("notification", stranger.server), [])
        self.assert_untroubled()

    def wait_received(self, guest, sender, text):
        received = f"{guest.server} receives {text} of {sender.server}"
        wait_until(lambda: text in guest.heard("broadcast", sender.server), received, BOOT_SECONDS)


if __name__ == "__main__":
    unittest.main()
