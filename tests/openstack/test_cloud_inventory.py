#!/usr/bin/python3
"""The controller's inventory of a real Nova: what servers do, and parts of the cloud away."""

import contextlib
from pathlib import Path
import sys
import unittest
import uuid

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from cloudbed import account as accounts
from cloudbed import cloud as cloudbed
from cloudbed.controller import CloudController
from cloudbed.front import Front
from cloudbed.testcase import CloudTestCase
from vmbed import initramfs, kernel
from vmbed.guest import KERNEL_ARGS
from vmbed.procs import ProcessTestCase, wait_until

SPECS = {
    "vitalwire:heartbeat": "true",
    "vitalwire:messaging": "true",
    "vitalwire:heartbeat_detect_multiplier": "3",
}
POLICY = {"heartbeat": True, "messaging": True, "misses": 3, "channels": ["org.vitalwire.0"]}

NOT_LISTED = "the inventory cannot be read from Nova"
NOT_LISTENING = "Nova's notifications cannot be received"
# Nova's own programs take a while to find their broker again.
CLOUD_SECONDS = 120.0


def setUpModule():
    global cloud, admin, account, image, flavor
    cloud = CloudTestCase.cloud = unittest.enterModuleContext(cloudbed.for_tests())
    admin = cloud.admin
    account = accounts.open_account(cloud)
    name = f"inventory-{uuid.uuid4()}"
    linux = kernel.obtain()
    ramdisk = initramfs.build(initramfs.obeying_power_button(initramfs.Payload(), linux), linux)
    image = admin.upload_linux(name, linux.image, ramdisk, KERNEL_ARGS)
    flavor = admin.create_flavor(name, SPECS)


class InventoryTestCase(CloudTestCase, ProcessTestCase):
    def new_controller(self, start=True, **settings):
        controller = CloudController(self.dir / "controller", cloud, account, settings)
        self.addCleanup(controller.close)
        return controller.start().wait_loaded() if start else controller

    def wait_guest(self, controller, server, seconds=60.0, **expected):
        """Until the controller shows these values of a server."""
        return wait_until(
            lambda: expected.items() <= controller.guest(server).items(),
            f"the controller shows {server} with {expected}",
            seconds,
        )


class Servers(InventoryTestCase):
    def test_a_server_is_shown_as_nova_has_it(self):
        controller = self.new_controller()
        group = self.new_group()
        server = self.new_server(flavor, image, group)
        self.wait_guest(controller, server, cloud_state="active")

        shown = controller.guest(server)
        self.assertEqual((shown["group"], shown["host"]), (group, cloud.node.host))
        self.assertEqual((shown["display_name"], shown["policy"]), (admin.server(server)["name"], POLICY))
        (member,) = controller.members(group).values()
        of_nova = admin.server(server)
        for key, value in {
            "tenant_id": of_nova["tenant_id"],
            "hostname": of_nova["OS-EXT-SRV-ATTR:hostname"],
            "node": of_nova["OS-EXT-SRV-ATTR:hypervisor_hostname"],
            "launched_at": of_nova["OS-SRV-USG:launched_at"],
            "metadata": {},
        }.items():
            self.assertEqual(member.get(key, {}), value, key)

    def test_it_is_the_same_whether_it_was_listed_or_notified(self):
        notified = self.new_controller()
        group = self.new_group()
        server = self.new_server(flavor, image, group)
        self.wait_guest(notified, server, cloud_state="active")
        as_notified = (notified.guest(server), notified.members(group))
        notified.close()

        listed = CloudController(self.dir / "again", cloud, account)
        self.addCleanup(listed.close)
        listed.start().wait_loaded()
        self.assertEqual((listed.guest(server), listed.members(group)), as_notified)

    def test_a_group_comes_and_goes_with_its_members(self):
        controller = self.new_controller()
        group = self.new_group()
        wait_until(lambda: group in controller.groups(), "the group is known")
        server = self.new_server(flavor, image, group)
        self.wait_guest(controller, server, group=group)
        self.assertEqual(controller.groups()[group]["members"], 1)

        admin.delete_server(server)
        wait_until(lambda: controller.groups()[group]["members"] == 0, "the member is gone")
        self.assertEqual(controller.guest(server), {})
        admin.delete_server_group(group)
        wait_until(lambda: group not in controller.groups(), "the group is gone")

    def test_members_outlive_their_group(self):
        controller = self.new_controller()
        group = self.new_group()
        server = self.new_server(flavor, image, group)
        self.wait_guest(controller, server, group=group)
        admin.delete_server_group(group)
        self.wait_guest(controller, server, group="", cloud_state="active")

    def test_a_server_that_no_host_takes_is_shown_in_error(self):
        controller = self.new_controller()
        wants = {"capabilities:hypervisor_type": "nobody has it"}
        unfit = admin.create_flavor(f"unfit-{uuid.uuid4()}", wants)
        self.addCleanup(admin.call, "compute", "DELETE", f"/flavors/{unfit}")
        server = admin.create_server("unfit", unfit, image)
        self.addCleanup(admin.delete_server, server)
        self.wait_guest(controller, server, cloud_state="error", host="")


class PartsAway(InventoryTestCase):
    """What is known stays, the operator is told, and it recovers."""

    def test_rabbitmq_restarts(self):
        controller = self.new_controller(inventory={"type": "nova", "poll_interval": "1 d", "full_poll_interval": "1 d"})
        server = self.new_server(flavor, image)
        self.wait_guest(controller, server, cloud_state="active")

        polls = controller.metric("nova_polls_total")
        broker = cloud.infrastructure.rabbitmq
        self.addCleanup(cloud.node.wait_reports, admin)
        self.addCleanup(lambda: broker.start().wait_ready())
        broker.stop()
        wait_until(lambda: NOT_LISTENING in controller.problems(), "the operator is told")
        self.wait_guest(controller, server, cloud_state="active")

        broker.start().wait_ready()
        wait_until(lambda: NOT_LISTENING not in controller.problems(), "it listens again", CLOUD_SECONDS)
        wait_until(lambda: controller.metric("nova_polls_total") > polls, "it polls for what it missed")
        heard = controller.metric("nova_notifications_total")
        wait_until(lambda: self.told_of_a_change(controller, server), "a change arrives", CLOUD_SECONDS)
        self.assertEqual(controller.metric("nova_polls_total"), polls + 1)
        self.assertGreater(controller.metric("nova_notifications_total"), heard)

    def told_of_a_change(self, controller, server):
        """Nova may tell of none until its own programs have found the broker again."""
        with contextlib.suppress(TimeoutError):
            for state in ("error", "active"):
                admin.act(server, "os-resetState", {"state": state})
                self.wait_guest(controller, server, 10, cloud_state=state)
            return True
        return False

    def test_nova_api_is_away(self):
        controller = self.new_controller(inventory={"type": "nova", "poll_interval": "1 s"})
        server = self.new_server(flavor, image)
        self.wait_guest(controller, server, cloud_state="active")

        api = cloud.control.services["nova-api"]
        api.stop()
        self.addCleanup(lambda: api.start().wait_ready())
        wait_until(lambda: NOT_LISTED in controller.problems(), "the operator is told")
        self.assertIn("what it listed last still counts", controller.problems()[NOT_LISTED])
        self.wait_guest(controller, server, cloud_state="active")

        api.start().wait_ready()
        wait_until(lambda: NOT_LISTED not in controller.problems(), "it polls again")
        self.wait_guest(controller, server, cloud_state="active")

    def test_keystone_is_not_there_when_the_controller_starts(self):
        server = self.new_server(flavor, image)
        with Front(cloud.config.url("identity")) as keystone:
            keystone.refuse_with = 503
            controller = self.new_controller(start=False)
            controller.configure("openstack", auth_url=f"{keystone.url}/v3")
            controller.start()
            wait_until(lambda: NOT_LISTED in controller.problems(), "the operator is told")
            self.assertIn("Keystone: HTTP 503: not now", controller.problems()[NOT_LISTED])

            keystone.refuse_with = 0
            wait_until(lambda: not controller.problems(), "it gets in")
            self.wait_guest(controller, server, cloud_state="active")

    def test_a_token_that_nova_refuses_is_renewed(self):
        endpoint = cloud.config.url("compute")
        with Front(cloud.config.url("identity")) as keystone, Front(endpoint) as nova:
            controller = self.new_controller(start=False, inventory={"type": "nova", "poll_interval": "1 s"})
            controller.configure(
                "openstack", auth_url=f"{keystone.url}/v3", endpoint=f"compute {nova.url}/v2.1"
            )
            server = self.new_server(flavor, image)
            controller.start().wait_loaded()
            self.wait_guest(controller, server, cloud_state="active")

            keystone.refuse_with = 503
            nova.refuse_with = 401
            wait_until(lambda: NOT_LISTED in controller.problems(), "the operator is told")
            self.wait_guest(controller, server, cloud_state="active")

            nova.refuse_with = 0
            self.assertIn(NOT_LISTED, controller.problems())  # there is no token yet
            keystone.refuse_with = 0
            wait_until(lambda: NOT_LISTED not in controller.problems(), "it polls again")
            self.wait_guest(controller, server, cloud_state="active")

    def test_the_password_is_wrong_for_a_while(self):
        controller = self.new_controller(start=False)
        server = self.new_server(flavor, image)
        accounts.set_password(cloud, account, uuid.uuid4().hex)
        self.addCleanup(accounts.set_password, cloud, account, account.password)
        controller.start()
        wait_until(lambda: NOT_LISTED in controller.problems(), "the operator is told")
        self.assertIn("Keystone: HTTP 401", controller.problems()[NOT_LISTED])

        accounts.set_password(cloud, account, account.password)
        self.wait_guest(controller, server, cloud_state="active")
        wait_until(lambda: not controller.problems(), "all is well")

    def test_the_broker_does_not_let_it_in(self):
        controller = self.new_controller(start=False)
        controller.configure("notifications", url=account.broker.replace("//", "//not-"))
        controller.start()
        wait_until(lambda: NOT_LISTENING in controller.problems(), "the operator is told")
        self.assertIn("ACCESS_REFUSED", controller.problems()[NOT_LISTENING])


class WaysIn(InventoryTestCase):
    def test_an_application_credential_of_clouds_yaml(self):
        identity, secret = accounts.application_credential(cloud, account)
        clouds = self.dir / "clouds.yaml"
        clouds.write_text(
            f"""
clouds:
  site:
    auth_type: v3applicationcredential
    region_name: RegionOne
    auth:
      auth_url: {cloud.config.auth_url}
      application_credential_id: {identity}
      application_credential_secret: {secret}
"""
        )
        server = self.new_server(flavor, image)
        controller = self.new_controller(openstack={"cloud": "site", "clouds_file": clouds})
        self.assertEqual(controller.guest(server)["cloud_state"], "active")
        self.assert_told_nobody(controller, [secret])

    def test_secrets_are_told_nobody(self):
        with Front(cloud.config.url("identity")) as keystone:
            controller = self.new_controller(start=False, inventory={"type": "nova", "poll_interval": "1 s"})
            controller.configure("openstack", auth_url=f"{keystone.url}/v3")
            controller.start().wait_loaded()
            self.wait_for_trouble(controller)
            self.assertTrue(keystone.tokens)
            self.assert_told_nobody(controller, [*account.secrets, *keystone.tokens])

    def wait_for_trouble(self, controller):
        """What goes wrong is what is logged."""
        api = cloud.control.services["nova-api"]
        api.stop()
        self.addCleanup(lambda: api.start().wait_ready())
        wait_until(lambda: NOT_LISTED in controller.problems(), "Nova's API is missed")
        api.start().wait_ready()
        wait_until(lambda: NOT_LISTED not in controller.problems(), "it polls again")

    def assert_told_nobody(self, controller, secrets):
        for place, told in controller.everything_it_tells().items():
            self.assertTrue(told, place)
            for secret in secrets:
                self.assertNotIn(secret.encode(), told, place)


if __name__ == "__main__":
    unittest.main()
