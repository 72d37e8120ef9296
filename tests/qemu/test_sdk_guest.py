#!/usr/bin/python3
"""An application that is written to guest_heartbeat_api.h, in a real guest, with the libraries and the path that it expects."""

import json
from pathlib import Path
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from suite import BUILD, GuestTestCase, vitalwired_payload
from vmbed import initramfs, kernel
from vmbed.guest import Guest, Model
from vmbed.initramfs import Payload, Service
from vmbed.procs import http_request

GUEST = "db-1"
APPLICATION = "application"
HEALTH = "/run/health"
SDK = BUILD / "guest" / "sdk"
LIBRARIES = ("libguest_heartbeat_api.so.3", "libguest_common_api.so.3")
CONFIGURATION = "/etc/vitalwire/vitalwired.conf"
INTERVAL_MS = 2000  # a loaded machine may stop an emulated one for a second


class SdkGuest(GuestTestCase):
    guest_id = GUEST

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        found = kernel.obtain()
        cls.model = Model(found, initramfs.build(cls.payload(), found))

    @classmethod
    def payload(cls) -> Payload:
        program = cls.class_dir / APPLICATION
        source = ROOT / "tests" / "process" / "sdk_heartbeat_application.c"
        include = [f"-I{ROOT}/include", f"-I{ROOT}/include/vitalwire/sdk"]
        # So that the image's builder finds them; in the guest they are where the linker looks.
        libraries = [f"-Wl,-rpath,{SDK}", *(SDK / name for name in LIBRARIES)]
        subprocess.run(["cc", "-D_GNU_SOURCE", *include, source, "-o", program, *libraries], check=True)
        guest = vitalwired_payload(GUEST)
        files = {
            **guest.files,
            "/usr/bin/application": program,
            **{f"/lib/{name}": SDK / name for name in LIBRARIES},
            CONFIGURATION: f"{guest.files[CONFIGURATION]}[sdk]\nheartbeat_socket = /var/run/.guest_heartbeat_api\n",
        }
        application = Service(APPLICATION, ("/usr/bin/application", "db", HEALTH, str(INTERVAL_MS)))
        lines = (*guest.init_lines, "mkdir -p /var", "ln -sfn /run /var/run")
        return Payload(files=files, services=(*guest.services, application), init_lines=lines)

    def setUp(self) -> None:
        super().setUp()
        self.agent = self.start_agent("compute-1")
        channels = self.agent.channels
        self.guest = self.enterContext(Guest(GUEST, self.model, channels, channels.parent))
        self.guest.boot_from_snapshot().wait_ready()
        self.agent.wait_state(GUEST, "registered")
        self.agent.wait_beats(GUEST)

    def vote(self, event: str) -> dict:
        body = json.dumps({"event": event, "vote": True}).encode()
        return json.loads(http_request(self.agent.http, f"/v1/guests/{GUEST}/actions", "POST", body, 60)[1])

    def test_its_ill_health_is_the_guests_with_its_reason_and_the_action_that_it_wants(self) -> None:
        self.guest.ctl(f"echo stop disk full > {HEALTH}.new && mv {HEALTH}.new {HEALTH}")
        details = self.wait_down("unhealthy")
        self.assertEqual((details["reason"], details["corrective_action"]), ("sdk application db: disk full", "stop"))
        self.guest.ctl(f"rm {HEALTH}")
        self.wait_up("unhealthy")

    def test_one_that_hangs_makes_the_guest_unhealthy_until_it_goes_on(self) -> None:
        self.guest.signal_service(APPLICATION, "STOP")
        details = self.wait_down("unhealthy")
        self.assertEqual(details["reason"], f"sdk application db: did not answer within {2 * INTERVAL_MS} ms")
        self.assertEqual(details["corrective_action"], "reboot")
        self.guest.signal_service(APPLICATION, "CONT")
        self.wait_up("unhealthy")

    def test_it_votes(self) -> None:
        answer = self.vote("stop")
        self.assertEqual(answer["decision"], "reject")
        self.assertIn("db: busy", answer["reason"])


if __name__ == "__main__":
    unittest.main()
