#!/usr/bin/python3
"""The controller's ways into the cloud: over TLS, past brokers that are away, and among messages that no Nova would
send."""

import json
from pathlib import Path
import sys
import unittest
import uuid

import amqp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed import account as accounts
from cloudbed import certificates
from cloudbed import cloud as cloudbed
from cloudbed.controller import CloudController
from cloudbed.front import Front
from cloudbed.settings import PASSWORD
from cloudbed.testcase import CloudTestCase
from vmbed.procs import ProcessTestCase, wait_until

NOT_LISTED = "the inventory cannot be read from Nova"
NOT_LISTENING = "Nova's notifications cannot be received"
TOPIC = "versioned_notifications.info"
# What Nova takes as a name: letters of the first plane, and JSON's own characters.
NAME = 'vnf "\N{CJK UNIFIED IDEOGRAPH-6F22}" \\ \N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET} <b>%s{}'
ODD_NAMES = ("\N{BRAIN}", "e\N{COMBINING ACUTE ACCENT}", "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe", "a\x1b[31m\nb", "\0", " ")


def setUpModule():
    global cloud, admin, account, image, flavor
    cloud = CloudTestCase.cloud = unittest.enterModuleContext(cloudbed.for_tests())
    admin = cloud.admin
    account = accounts.open_account(cloud)
    # These servers need not boot: what Nova says of them is enough.
    image = admin.upload_image(f"broker-{uuid.uuid4()}", "raw", bytes(1 << 20))
    flavor = admin.create_flavor(f"broker-{uuid.uuid4()}", {"vitalwire:heartbeat": "true"})


class LinkTestCase(CloudTestCase, ProcessTestCase):
    def new_controller(self, **notifications):
        # Polls far apart: what it knows then is from notifications.
        controller = CloudController(
            self.dir / "controller", cloud, account, {"inventory": {"type": "nova", "poll_interval": "1 d", "full_poll_interval": "1 d"}}
        )
        controller.configure("notifications", **notifications)
        self.addCleanup(controller.close)
        return controller

    def assert_hears(self, controller, server):
        for state in ("error", "active"):
            admin.act(server, "os-resetState", {"state": state})
            wait_until(lambda: controller.guest(server).get("cloud_state") == state, f"it receives {state}", 60)


class BrokerOverTls(LinkTestCase):
    def setUp(self):
        super().setUp()
        self.made = cloud.infrastructure.certificates
        port = cloud.config.ports["broker_tls"]
        self.brokers = f"amqps://{account.name}@localhost:1/ amqps://{account.name}@localhost:{port}/"
        self.equipment = {
            "ca_file": self.made / "authority.pem",
            "certificate": self.made / "client.pem",
            "key": self.made / "client.key",
        }

    def test_the_broker_that_is_there_is_found_and_trusted(self):
        controller = self.new_controller(url=self.brokers, **self.equipment).start().wait_loaded()
        self.assert_hears(controller, self.new_server(flavor, image))

    def test_a_broker_of_another_authority_is_not_trusted(self):
        certificates.issue(self.dir / "other")
        controller = self.new_controller(
            url=self.brokers, **{**self.equipment, "ca_file": self.dir / "other" / "authority.pem"}
        ).start()
        wait_until(lambda: "localhost" in controller.problems().get(NOT_LISTENING, ""), "the operator is told")
        self.assertEqual(controller.metric("nova_listening"), 0)

    def test_without_a_certificate_of_its_own_it_is_not_let_in(self):
        controller = self.new_controller(url=self.brokers, ca_file=self.equipment["ca_file"]).start()
        wait_until(lambda: NOT_LISTENING in controller.problems(), "the operator is told")
        self.assertEqual(controller.metric("nova_listening"), 0)


class ServicesOverTls(LinkTestCase):
    def setUp(self):
        super().setUp()
        certificates.issue(self.dir / "made")
        self.keystone = self.enterContext(Front(cloud.config.url("identity"), self.dir / "made"))
        self.nova = self.enterContext(Front(cloud.config.url("compute"), self.dir / "made"))

    def test_they_are_trusted_by_their_authority(self):
        controller = self.start(cacert=self.dir / "made" / "authority.pem").wait_loaded()
        server = self.new_server(flavor, image)
        wait_until(lambda: controller.guest(server).get("cloud_state") == "active", "it is shown", 60)
        self.assertIn("POST /v3/auth/tokens", self.keystone.requests)
        self.assertTrue(self.nova.requests)

    def test_another_authority_is_not_trusted_and_gets_no_password(self):
        controller = self.start()
        wait_until(lambda: "certificate" in controller.problems().get(NOT_LISTED, "").lower(), "the operator is told")
        self.assertEqual(self.keystone.requests, [])

    def start(self, **openstack):
        controller = self.new_controller()
        controller.configure(
            "openstack",
            auth_url=f"{self.keystone.url}/v3",
            endpoint=f"compute {self.nova.url}/v2.1",
            **openstack,
        )
        return controller.start()


def oslo(inner):
    """As oslo.messaging wraps a message: JSON in a string in JSON."""
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)})


def notification(event_type, payload):
    return oslo({"message_id": str(uuid.uuid4()), "event_type": event_type, "payload": payload, "priority": "INFO"})


def update(**fields):
    fields = {"uuid": str(uuid.uuid4()), "state": "active", "host": "compute-9", **fields}
    return notification("instance.update", {"nova_object.data": fields})


UNREADABLE = (
    "",
    "no JSON",
    "[]",
    "{}",
    '{"oslo.message": 7}',
    '{"oslo.message": "no JSON"}',
    '{"oslo.message": "[]"}',
    '{"oslo.message": "{\\"event_type\\": \\"instance.update\\"}"',
    '{"oslo.message": "' + "[" * 10_000,
    "\xff\xfe",
    update(uuid="../../etc/passwd"),
    update(uuid=7),
    notification("instance.update", None),
    notification("keypair.create.end", []),
    notification("server_group.add_member", {"nova_object.data": {"uuid": ""}}),
    oslo({"message_id": "x", "event_type": "instance.update", "payload": {"filler": "x" * (2 << 20)}}),
    "x" * (30 << 20),
)
OF_NO_USE = (
    notification("instance.teleport.end", {"nova_object.data": {}}),
    notification("\N{BRAIN}" * 500, {}),
)


class BadInput(LinkTestCase):
    def publish(self, *bodies):
        port = cloud.config.ports["broker"]
        with amqp.Connection(f"127.0.0.1:{port}", userid="cloudbed", password=PASSWORD) as connection:
            channel = connection.channel()
            for body in bodies:
                channel.basic_publish(amqp.Message(body), exchange="nova", routing_key=TOPIC)

    def test_what_cannot_be_read_is_counted_and_told_once_and_the_next_is_heard(self):
        controller = self.new_controller().start().wait_loaded()
        server = self.new_server(flavor, image)
        self.assert_hears(controller, server)
        before = controller.guests()
        malformed = controller.metric("nova_notifications_malformed_total")

        self.publish(*UNREADABLE, *OF_NO_USE)
        wait_until(
            lambda: controller.metric("nova_notifications_malformed_total") == malformed + len(UNREADABLE),
            "all are counted",
        )
        self.assertEqual(controller.guests(), before)
        self.assertEqual(controller.log.read_text().count("a notification could not be read"), 1)
        self.assert_hears(controller, server)

    def test_clocks_do_not_matter(self):
        controller = self.new_controller().start().wait_loaded()
        server = str(uuid.uuid4())
        for state, when in (("active", "2099-01-01T00:00:00Z"), ("stopped", "1970-01-01T00:00:00Z"), ("paused", "soon")):
            self.publish(update(uuid=server, state=state, launched_at=when, updated_at=when))
            wait_until(lambda: controller.guest(server).get("cloud_state") == state, f"it is {state}")

    def test_a_name_may_be_any_text(self):
        controller = self.new_controller().start().wait_loaded()
        server = admin.create_server(NAME, flavor, image)
        self.addCleanup(admin.delete_server, server)
        wait_until(lambda: controller.guest(server).get("display_name") == NAME, "it is shown by its name", 60)
        # Until then Nova itself publishes updates, with the name that it has.
        wait_until(lambda: controller.guest(server).get("cloud_state") == "active", "it has started", 120)
        for name in ODD_NAMES:
            self.publish(update(uuid=server, display_name=name))
            wait_until(lambda: controller.guest(server).get("display_name") == name, f"it is {name!r}")


if __name__ == "__main__":
    unittest.main()
