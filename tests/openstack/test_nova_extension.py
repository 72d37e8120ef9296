#!/usr/bin/python3
"""The Nova extension against the real Nova package (no services)."""

import http.server
import json
import logging
import os
from pathlib import Path
import socket
import subprocess
import sys
import tempfile
import threading
import time
from types import SimpleNamespace
import unittest
from unittest import mock
import xml.etree.ElementTree as ElementTree

PROJECT = Path(__file__).resolve().parents[2]
EXTENSION = PROJECT / "host" / "nova"
sys.path.insert(0, str(EXTENSION))

# The agent that a test plays runs on a thread.
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"

from nova import config
from nova import exception
from nova.api.validation.extra_specs import validators
from nova.compute import task_states
from nova.virt import vitalwire
from nova.virt.libvirt import config as vconfig
from nova.virt.libvirt import driver as libvirt_driver
from vitalwire_nova import channels
from vitalwire_nova import driver as extension


def setUpModule() -> None:
    config.parse_args(["nova-compute"], default_config_files=[], configure_db=False, init_rpc=False)
    logging.disable(logging.NOTSET)


class ChannelsAskedFor(unittest.TestCase):
    def test_none_without_our_keys(self):
        self.assertEqual(channels.wanted({"hw:cpu_policy": "shared"}), ([], []))

    def test_heartbeat_and_messaging_share_the_native_channel(self):
        specs = {"vitalwire:heartbeat": "true", "vitalwire:messaging": "true"}
        self.assertEqual(channels.wanted(specs).channels, ["org.vitalwire.0"])

    def test_cgcs_guests_get_one_channel_for_each_service(self):
        specs = {"sw:wrs:guest:heartbeat": "True", "sw:wrs:srv_grp_messaging": "true"}
        self.assertEqual(channels.wanted(specs).channels, ["cgcs.heartbeat", "cgcs.messaging"])

    def test_every_boolean_that_nova_takes_is_taken(self):
        validator = validators.VALIDATORS["hw:boot_menu"]
        for word in ("1", "t", "TRUE", "On", " y ", "yes", "0", "f", "False", "off", "n", "no"):
            validator.validate("hw:boot_menu", word)
            wanted = channels.wanted({"vitalwire:heartbeat": word})
            self.assertEqual(bool(wanted.channels), word.strip().lower() in channels.TRUE, word)
            self.assertEqual(wanted.problems, [], word)

    def test_a_bad_value_is_told_and_counts_as_not_asked_for(self):
        wanted = channels.wanted({"vitalwire:heartbeat": "maybe", "vitalwire:messaging": "true"})
        self.assertEqual(wanted.channels, ["org.vitalwire.0"])
        self.assertEqual(len(wanted.problems), 1)
        self.assertIn("vitalwire:heartbeat is 'maybe', expected a boolean", wanted.problems[0])


class Driver(unittest.TestCase):
    """The driver between Nova's own classes; only libvirt itself is not there."""

    def setUp(self):
        extension.CONF.set_override("virt_type", "qemu", "libvirt")
        self.addCleanup(extension.CONF.clear_override, "virt_type", "libvirt")
        self.guest = vconfig.LibvirtConfigGuest()
        self.guest.virt_type = "qemu"

    def test_nova_loads_the_driver_by_its_configured_name(self):
        self.assertTrue(issubclass(vitalwire.VitalwireLibvirtDriver, libvirt_driver.LibvirtDriver))

    def test_the_flavor_gets_its_channel(self):
        domain = self.domain_of({"vitalwire:heartbeat": "true"})
        (channel,) = domain.findall("devices/channel")
        self.assertEqual(channel.get("type"), "unix")
        self.assertEqual(channel.find("target").get("name"), "org.vitalwire.0")
        self.assertEqual(
            channel.find("source").get("path"),
            "/var/lib/libvirt/qemu/org.vitalwire.0.instance-00000001.sock",
        )

    def test_a_flavor_without_our_keys_is_left_alone(self):
        domain = self.domain_of({})
        self.assertEqual(domain.findall("devices/channel"), [])

    def test_a_channel_that_is_there_already_is_not_added_twice(self):
        present = vconfig.LibvirtConfigGuestChannel()
        present.type, present.target_name = "unix", "org.vitalwire.0"
        present.source_path = "/run/elsewhere.sock"
        self.guest.add_device(present)
        domain = self.domain_of({"vitalwire:heartbeat": "true"})
        self.assertEqual(len(domain.findall("devices/channel")), 1)

    def test_novas_own_channel_stays_the_first(self):
        """Masakari's monitor of guest agents looks at the first one only."""
        present = vconfig.LibvirtConfigGuestChannel()
        present.type, present.target_name = "unix", "org.qemu.guest_agent.0"
        present.source_path = "/run/novas.sock"
        self.guest.add_device(present)
        domain = self.domain_of({"vitalwire:heartbeat": "true"})
        names = [target.get("name") for target in domain.findall("devices/channel/target")]
        self.assertEqual(names, ["org.qemu.guest_agent.0", "org.vitalwire.0"])

    def test_an_encrypted_guest_gets_a_controller_that_uses_the_iommu(self):
        self.guest.launch_security = vconfig.LibvirtConfigGuestSEVLaunchSecurity()
        self.guest.launch_security.cbitpos = self.guest.launch_security.reduced_phys_bits = 1
        domain = self.domain_of({"vitalwire:heartbeat": "true"})
        controller = domain.find("devices/controller[@type='virtio-serial']")
        self.assertEqual(controller.find("driver").get("iommu"), "on")

    def test_a_container_gets_no_channel_and_the_log_says_why(self):
        extension.CONF.set_override("virt_type", "lxc", "libvirt")
        with self.assertLogs(extension.LOG.logger, "WARNING") as log:
            domain = self.domain_of({"vitalwire:heartbeat": "true"})
        self.assertEqual(domain.findall("devices/channel"), [])
        self.assertIn("virt_type is lxc, expected one of: kvm, qemu", log.output[0])

    def test_a_failure_of_ours_leaves_novas_domain_and_is_logged(self):
        instance = SimpleNamespace(uuid="4e9a", name="instance-00000001", flavor=None)
        with self.assertLogs(extension.LOG.logger, "ERROR") as log:
            domain = self.domain_of_instance(instance)
        self.assertEqual(domain.findall("devices/channel"), [])
        self.assertIn("the server boots as with plain Nova", log.output[0])

    def test_an_unknown_nova_is_left_plain_and_the_log_says_so(self):
        with mock.patch.object(extension, "incompatibility", return_value="something differs"):
            with self.assertLogs(extension.LOG.logger, "ERROR") as log:
                domain = self.domain_of({"vitalwire:heartbeat": "true"})
        self.assertEqual(domain.findall("devices/channel"), [])
        self.assertIn("something differs. Servers boot as with plain Nova", log.output[0])

    def test_a_nova_that_was_not_tested_is_told_once_at_the_start(self):
        with mock.patch.object(extension.version, "version_string", return_value="31.0.0"):
            with self.assertLogs(extension.LOG.logger, "WARNING") as log:
                domain = self.domain_of({"vitalwire:heartbeat": "true"})
        self.assertEqual(len(domain.findall("devices/channel")), 1)
        self.assertEqual(len(log.output), 1)
        self.assertIn("Nova 31.0.0, which this extension was not tested with", log.output[0])

    def domain_of(self, extra_specs):
        """The domain XML of a server whose flavor has these extra specs."""
        flavor = SimpleNamespace(extra_specs=extra_specs)
        return self.domain_of_instance(
            SimpleNamespace(uuid="4e9a", name="instance-00000001", flavor=flavor)
        )

    def domain_of_instance(self, instance):
        base = mock.patch.object(
            libvirt_driver.LibvirtDriver,
            "_get_guest_config",
            autospec=True,
            return_value=self.guest,
        )
        driver = self.new_driver()
        with base:
            guest = driver._get_guest_config(instance, [], None, {})
        return ElementTree.fromstring(guest.to_xml())

    def new_driver(self):
        return vitalwire.VitalwireLibvirtDriver(virtapi=None)


class Agent(http.server.ThreadingHTTPServer):
    """Answers as vitalwire-agent does."""

    address_family = socket.AF_UNIX
    daemon_threads = True

    def __init__(self, path: str) -> None:
        self.asked: list = []
        self.answer: tuple[int, object] = (200, {"decision": "proceed", "answer": "accept"})
        super().__init__(path, Handler)

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        status, answer = self.server.answer
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


class Asked(unittest.TestCase):
    """The driver between Nova's own classes and an agent; what Nova's own driver does is recorded."""

    ASKED = "/v1/guests/4e9a/actions"

    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.agent = Agent(f"{folder}/agent.sock")
        self.addCleanup(self.agent.server_close)
        threading.Thread(target=self.agent.serve_forever, daemon=True).start()
        self.addCleanup(self.agent.shutdown)
        self.configure("agent_socket", f"{folder}/agent.sock")
        self.driver = vitalwire.VitalwireLibvirtDriver(virtapi=None)
        flavor = SimpleNamespace(extra_specs={"vitalwire:heartbeat": "true"}, flavorid="1")
        self.instance = SimpleNamespace(
            uuid="4e9a", name="instance-00000001", flavor=flavor, task_state=task_states.POWERING_OFF
        )
        self.done: list[str] = []
        for name in (
            "power_off", "reboot", "pause", "unpause", "suspend", "resume", "live_migration",
            "post_live_migration_at_destination", "rollback_live_migration_at_source", "migrate_disk_and_power_off",
            "finish_migration", "finish_revert_migration",
        ):
            self.record(name)

    def record(self, name: str) -> None:
        done = mock.patch.object(
            libvirt_driver.LibvirtDriver, name, autospec=True, side_effect=lambda *_, **__: self.done.append(name)
        )
        self.enterContext(done)

    def configure(self, option: str, value: object) -> None:
        extension.CONF.set_override(option, value, "vitalwire")
        self.addCleanup(extension.CONF.clear_override, option, "vitalwire")

    def reject(self, reason: str = "last member") -> None:
        self.agent.answer = (200, {"decision": "reject", "answer": "reject", "reason": reason})

    def events(self) -> list[str]:
        self.assertEqual({path for path, _ in self.agent.asked}, {self.ASKED} if self.agent.asked else set())
        return [body["event"] for _, body in self.agent.asked]

    def test_an_action_that_the_guest_accepts_is_carried_out(self) -> None:
        self.driver.power_off(self.instance, 60, 10)
        self.assertEqual(self.agent.asked, [(self.ASKED, {"event": "stop", "vote": True})])
        self.assertEqual(self.done, ["power_off"])

    def test_a_rejected_stop_is_not_carried_out_and_names_the_reason(self) -> None:
        self.reject()
        with self.assertRaisesRegex(exception.NovaException, "The guest rejects stop: last member"):
            self.driver.power_off(self.instance, 60, 10)
        self.assertEqual(self.done, [])

    def test_power_off_for_another_purpose_is_not_asked_about(self) -> None:
        self.reject()
        self.driver.power_off(self.instance)
        self.instance.task_state = task_states.RESIZE_MIGRATING
        self.driver.power_off(self.instance, 60, 10)
        self.assertEqual((self.done, self.events()), (["power_off"] * 2, []))

    def test_only_a_soft_reboot_is_asked_about(self) -> None:
        self.reject()
        with self.assertRaisesRegex(exception.NovaException, "rejects reboot"):
            self.driver.reboot(None, self.instance, None, "SOFT")
        self.driver.reboot(None, self.instance, None, "HARD")
        self.assertEqual((self.done, self.events()), (["reboot"], ["reboot"]))

    def test_where_nova_would_put_the_server_into_error_it_is_rolled_back(self) -> None:
        self.reject()
        other = SimpleNamespace(flavorid="2")
        for event, act in (
            ("suspend", lambda: self.driver.suspend(None, self.instance)),
            ("cold_migrate_begin",
             lambda: self.driver.migrate_disk_and_power_off(None, self.instance, "dest", self.instance.flavor, None)),
            ("resize_begin", lambda: self.driver.migrate_disk_and_power_off(None, self.instance, "dest", other, None)),
        ):
            with self.subTest(event), self.assertRaises(exception.InstanceFaultRollback) as raised:
                act()
            self.assertIn(f"rejects {event}: last member", raised.exception.inner_exception.format_message())
        self.assertEqual(self.done, [])

    def test_a_rejected_live_migration_is_recovered_from_and_leaves_a_fault(self) -> None:
        self.reject()
        recover = mock.Mock()
        with mock.patch.object(extension.compute_utils, "add_instance_fault_from_exc") as fault:
            self.driver.live_migration("context", self.instance, "dest", mock.Mock(), recover, False, "data")
        recover.assert_called_once_with("context", self.instance, "dest", "data")
        self.assertIn("last member", fault.call_args.args[2].format_message())
        self.assertEqual(self.done, [])

    def test_the_guest_is_notified_when_it_is_over(self) -> None:
        migration = SimpleNamespace(migration_type="resize")
        self.driver.unpause(self.instance)
        self.driver.resume(None, self.instance, None)
        self.driver.post_live_migration_at_destination(None, self.instance, None)
        self.driver.rollback_live_migration_at_source(None, self.instance, None)
        self.driver.finish_migration(None, migration, self.instance, None, None, None, None, None)
        self.driver.finish_revert_migration(None, self.instance, None, SimpleNamespace(migration_type="migration"))
        self.assertEqual(
            self.events(),
            ["unpause", "resume", "live_migrate_end", "live_migrate_end", "resize_end", "cold_migrate_end"],
        )
        self.assertEqual(len(self.done), 6)

    def test_the_operator_lets_no_guest_vote(self) -> None:
        self.configure("action_votes", False)
        self.driver.pause(self.instance)
        extension.CONF.clear_override("action_votes", "vitalwire")
        self.instance.flavor.extra_specs["vitalwire:action_votes"] = "false"
        self.driver.pause(self.instance)
        self.assertEqual([body["vote"] for _, body in self.agent.asked], [False, False])

    def test_a_server_without_our_channel_is_not_asked(self) -> None:
        self.reject()
        self.instance.flavor.extra_specs.clear()
        self.driver.pause(self.instance)
        self.assertEqual((self.done, self.events()), (["pause"], []))

    def test_whatever_goes_wrong_on_the_way_is_consent(self) -> None:
        for answer in ((503, {"error": "too many"}), (200, []), (200, {}), (404, "?")):
            with self.subTest(answer):
                self.agent.answer = answer
                with self.assertLogs(extension.LOG.logger, "DEBUG"):
                    extension.LOG.debug("at least one line")
                    self.driver.pause(self.instance)
        self.configure("agent_socket", "/nonexistent")
        with self.assertLogs(extension.LOG.logger, "WARNING") as log:
            self.driver.pause(self.instance)
        self.assertIn("the guest is not asked about pause: /nonexistent", log.output[0])
        self.assertEqual(self.done, ["pause"] * 5)

    def test_an_agent_that_hangs_delays_by_the_bound_and_is_consent(self) -> None:
        path = f"{self.enterContext(tempfile.TemporaryDirectory())}/hangs.sock"
        hangs = self.enterContext(socket.socket(socket.AF_UNIX))
        hangs.bind(path)
        hangs.listen()  # connections are taken, and nobody serves them
        self.configure("agent_socket", path)
        self.configure("action_timeout", 1)
        begun = time.monotonic()
        with self.assertLogs(extension.LOG.logger, "WARNING") as log:
            self.driver.pause(self.instance)
        self.assertEqual(self.done, ["pause"])
        self.assertIn("timed out", log.output[0])
        self.assertLess(time.monotonic() - begun, 10)


class Compatibility(unittest.TestCase):
    def test_this_nova_can_be_extended(self):
        self.assertIsNone(extension.incompatibility(libvirt_driver.LibvirtDriver, vconfig))

    def test_a_nova_without_the_hook_is_named(self):
        self.assertIn("has no _get_guest_config", extension.incompatibility(object, vconfig))

    def test_a_hook_with_other_arguments_is_named(self):
        class Other:
            def _get_guest_config(self, context, instance):
                pass

        self.assertIn("first argument", extension.incompatibility(Other, vconfig))

    def test_a_config_without_channels_is_named(self):
        found = extension.incompatibility(libvirt_driver.LibvirtDriver, SimpleNamespace())
        self.assertIn("LibvirtConfigGuestChannel", found)

    def test_a_channel_without_a_field_is_named(self):
        fields = SimpleNamespace(type=None, source_path=None)
        other = SimpleNamespace(LibvirtConfigGuestChannel=lambda: fields)
        found = extension.incompatibility(libvirt_driver.LibvirtDriver, other)
        self.assertIn("no target_name", found)


class ExtraSpecs(unittest.TestCase):
    """Nova's own registry, which found our validators by the entry point."""

    GOOD = {
        "heartbeat": ("true", "False", "1", "no"),
        "messaging": ("on", "off"),
        "heartbeat_guest_agent": ("true", "0"),
        "heartbeat_detect_multiplier": ("1", "10"),
        "heartbeat_min_interval_ms": ("100", "3600000"),
        "detection_time": ("200", "3600000"),
        "establish_timeout_s": ("10", "3600"),
        "messages_per_second": ("1", "10000"),
        "bytes_per_second": ("1024", "10485760"),
        "corrective_action": ("none", "log", "reboot", "stop"),
        "action_votes": ("true", "no"),
    }
    BAD = {
        "heartbeat": ("maybe", ""),
        "messaging": ("2",),
        "heartbeat_guest_agent": ("qemu-ga",),
        "heartbeat_detect_multiplier": ("0", "11", "two", "1.5"),
        "heartbeat_min_interval_ms": ("99", "3600001"),
        "detection_time": ("199", "3600001", "900 ms"),
        "establish_timeout_s": ("9", "3601"),
        "messages_per_second": ("0", "10001"),
        "bytes_per_second": ("1023", "10485761"),
        "corrective_action": ("Reboot", "panic"),
        "action_votes": ("sometimes",),
    }

    def test_good_values_pass(self):
        for key, values in self.GOOD.items():
            for value in values:
                with self.subTest(key=key, value=value):
                    validators.validate(f"vitalwire:{key}", value)

    def test_bad_values_are_refused(self):
        for key, values in self.BAD.items():
            for value in values:
                with self.subTest(key=key, value=value):
                    with self.assertRaises(exception.ValidationError):
                        validators.validate(f"vitalwire:{key}", value)

    def test_a_misspelt_key_is_refused(self):
        with self.assertRaisesRegex(exception.ValidationError, "vitalwire:hartbeat"):
            validators.validate("vitalwire:hartbeat", "true")

    def test_keys_of_cgcs_guests_stay_free(self):
        validators.validate("sw:wrs:guest:heartbeat", "true")

    def test_every_key_is_documented(self):
        readme = (EXTENSION / "README.md").read_text()
        for key in self.GOOD:
            self.assertIn(f"`vitalwire:{key}`", readme)


class Installation(unittest.TestCase):
    def test_one_file_beside_novas_own_is_enough(self):
        """nova.virt is a namespace: the driver is found in a directory that Nova's path names."""
        script = (
            "import sys, nova.virt\n"
            f"nova.virt.__path__.append({str(EXTENSION / 'nova' / 'virt')!r})\n"
            f"sys.path.append({str(EXTENSION)!r})\n"
            "from nova.virt.vitalwire import VitalwireLibvirtDriver\n"
        )
        done = subprocess.run(
            ["/usr/bin/python3", "-c", script], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
