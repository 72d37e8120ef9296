#!/usr/bin/python3
"""A server group of real machines on two compute nodes: vitalwired, its applications, and a cgcs guest."""

import json
from pathlib import Path
import shlex
import sys
from typing import Any
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from suite import BUILD, Agent, Controller
from vmbed import initramfs, kernel, python
from vmbed.guest import BOOT_SECONDS, Guest, Machine, Model
from vmbed.initramfs import Payload, Service
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, wait_until

PLACES = {"web-1": "compute-1", "web-2": "compute-2", "old-1": "compute-2"}
HEARD = "/run/heard"
# Until the agent has its policies, and after every restart of it, a message may be refused.
SEND = "vitalwire-group send -t 30"


def native_payload() -> Payload:
    listen = f"while true; do vitalwire-group listen -j >> {HEARD}; sleep 1; done"
    programs = {
        "/usr/sbin/vitalwired": "vitalwired",
        "/usr/bin/vitalwire-group": "vitalwire-group",
        "/lib/libvitalwire.so.1": "lib/libvitalwire.so.1",
    }
    return Payload(
        files={
            **{path: BUILD / "guest" / name for path, name in programs.items()},
            "/etc/vitalwire/vitalwired.conf": "[heartbeat]\ninterval = 2s\n",
        },
        services=(Service("daemon", ("/usr/sbin/vitalwired",)), Service("listen", ("/bin/sh", "-c", listen))),
    )


def cgcs_payload() -> Payload:
    program = "/usr/bin/cgcs_group_guest"
    script = Path(__file__).with_name("cgcs_group_guest.py")
    return Payload(files=python.program(script, program), services=(Service("guest", (program,)),))


class GroupGuests(ProcessTestCase):
    """web-1 on compute-1 and web-2 on compute-2, with vitalwired; a test adds old-1 when it needs a cgcs guest."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        found = kernel.obtain()

        def model(payload: Payload, channel: str) -> Model:
            return Model(found, initramfs.build(payload, found), Machine(channels=(channel,)))

        cls.native = model(native_payload(), "org.vitalwire.0")
        cls.cgcs = model(cgcs_payload(), "cgcs.messaging")

    def setUp(self) -> None:
        inspector = self.enterContext(Inspector())
        self.controller = Controller(self.dir / "controller", inspector)
        self.addCleanup(lambda: self.controller.close())
        self.write_inventory()
        self.agents = {}
        for host in ("compute-1", "compute-2"):
            self.agents[host] = Agent(self.dir / host, host, self.controller)
            self.addCleanup(self.agents[host].close)
        self.web_1 = self.start_guest("web-1", self.native)
        self.web_2 = self.start_guest("web-2", self.native)
        for guest in (self.web_1, self.web_2):
            guest.wait_ready()
            self.agents[PLACES[guest.name]].wait_state(guest.name, "registered", BOOT_SECONDS)
            wait_until(lambda each=guest: self.status(each), f"{guest.name} is served", BOOT_SECONDS, pause=0.5)

    def write_inventory(self, places: dict[str, str] | None = None, **states: str) -> None:
        lines = ["[group web]\nproject = p"]
        for name, host in {**PLACES, **(places or {})}.items():
            state = states.get(name.replace("-", "_"), "active")
            lines.append(f"[guest {name}]\nhost = {host}\ngroup = web\nstate = {state}")
        aside = self.controller.inventory.with_suffix(".new")
        aside.write_text("\n".join(lines) + "\n")
        aside.rename(self.controller.inventory)

    def start_guest(self, name: str, model: Model, host: str = "") -> Guest:
        agent = self.agents[host or PLACES[name]]
        guest = self.enterContext(Guest(name, model, agent.channels, agent.channels.parent))
        return guest.boot_from_snapshot()

    # ---- in the guests

    def status(self, guest: Guest) -> list[dict[str, Any]]:
        """Of the whole group; empty while it cannot be had."""
        result = guest.control.run("vitalwire-group status -j -t 10")
        return [json.loads(line) for line in result.output.splitlines()] if result.status == 0 else []

    def say(self, guest: Guest, text: str) -> None:
        guest.ctl(f"{SEND} {shlex.quote(text)}")

    def heard(self, guest: Guest, kind: str) -> list[dict[str, Any]]:
        lines = guest.ctl(f"cat {HEARD}").splitlines()
        return [entry for entry in map(json.loads, lines) if entry["type"] == kind]

    def texts(self, guest: Guest, source: Guest) -> list[str]:
        return [m["data"] for m in self.heard(guest, "broadcast") if m["source_instance"] == source.name]

    def wait_text(self, guest: Guest, source: Guest, text: str) -> None:
        wait_until(lambda: text in self.texts(guest, source), f"{guest.name} receives {text!r} of {source.name}", pause=0.2)

    # ---- tests

    def test_guests_on_two_hosts_hear_each_other(self) -> None:
        self.say(self.web_1, "from one")
        self.say(self.web_2, "from two")
        self.wait_text(self.web_2, self.web_1, "from one")
        self.wait_text(self.web_1, self.web_2, "from two")
        self.assertEqual(self.texts(self.web_1, self.web_1), [])

    def test_any_bytes_arrive(self) -> None:
        self.web_1.ctl(f"printf '\\0\\377\\n' | {SEND}")
        wait_until(lambda: self.heard(self.web_2, "broadcast"), "web-2 receives them", pause=0.2)
        heard = self.heard(self.web_2, "broadcast")[0]
        self.assertEqual((heard["encoding"], heard["data"]), ("base64", "AP8K"))

    def test_status_has_every_member(self) -> None:
        states = {state["instance_id"]: state for state in self.status(self.web_1)}
        self.assertEqual({name: state["host"] for name, state in states.items()}, PLACES)
        self.assertEqual(states["web-2"]["heartbeat"], "healthy")

    def test_a_guest_hears_that_its_peers_daemon_hangs_and_of_a_change_in_the_cloud(self) -> None:
        def told() -> list[tuple[str, str]]:
            states = [message["data"] for message in self.heard(self.web_1, "notification")]
            return [(state["state"], state["heartbeat"]) for state in states if state["instance_id"] == "web-2"]

        self.web_2.signal_service("daemon", "STOP")
        wait_until(lambda: ("active", "lost") in told(), "web-1 is told that web-2 is lost", pause=0.2)
        self.write_inventory(web_2="paused")
        wait_until(lambda: ("paused", "lost") in told(), "web-1 is told that web-2 is paused", pause=0.2)

    def test_a_guest_that_migrated_goes_on_hearing_and_nothing_comes_twice(self) -> None:
        self.say(self.web_1, "before")
        self.wait_text(self.web_2, self.web_1, "before")
        agent = self.agents["compute-1"]
        destination = self.enterContext(Guest("web-2", self.native, agent.channels, agent.channels.parent))
        self.web_2.migrate_to(destination)
        self.write_inventory(places={"web-2": "compute-1"})
        self.web_2.close()
        agent.wait_state("web-2", "registered", BOOT_SECONDS)
        self.say(self.web_1, "after")
        self.wait_text(destination, self.web_1, "after")
        self.assertEqual(self.texts(destination, self.web_1), ["before", "after"])
        wait_until(lambda: self.status(destination), "web-2 is served where it is", pause=0.5)

    def test_service_resumes_when_the_agent_was_killed_and_nothing_comes_twice(self) -> None:
        self.say(self.web_1, "before")
        self.wait_text(self.web_2, self.web_1, "before")
        self.agents["compute-2"].close()
        self.agents["compute-2"].start()
        self.agents["compute-2"].wait_state("web-2", "registered", BOOT_SECONDS)
        self.say(self.web_1, "after")
        self.wait_text(self.web_2, self.web_1, "after")
        self.assertEqual(self.texts(self.web_2, self.web_1), ["before", "after"])

    def test_an_cgcs_guest_takes_part(self) -> None:
        old = self.start_guest("old-1", self.cgcs).wait_ready()
        wait_until(lambda: self.agents["compute-2"].guest("old-1"), "its agent knows it")
        self.say(self.web_1, "ping 1")
        self.wait_text(self.web_1, old, "pong 1")
        self.wait_text(self.web_2, old, "pong 1")


if __name__ == "__main__":
    unittest.main()
