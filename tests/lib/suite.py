"""The suite as it runs in production, in a folder of its own: one controller, any number of agents, an inspector.

Everything is as the programs' defaults have it but for the paths. With VITALWIRE_TEST_BUS=amqp in the environment agents
and controllers meet at a RabbitMQ, which is started with the first of them; else they use UNIX sockets.
"""

import atexit
import functools
import os
from pathlib import Path
import tempfile
import time
from typing import Any, Callable

from message_broker import CONTROLLER, Broker
from vmbed.guest import BOOT_SECONDS
from vmbed.initramfs import Payload, Service
from vmbed.inspector import Inspector
from vmbed.procs import PATIENCE_SECONDS, Daemon, ProcessTestCase, http_json, http_metrics, wait_until

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("VITALWIRE_BUILD", ROOT / "build" / "release"))

# Of guests in emulated machines: a loaded machine may stop one for a second.
INTERVAL_MS = 2000
SERVICE = "guest"  # of their payload
ILLNESS = "/run/illness"  # in the guest: unhealthy while it exists, for the reason in it

Wrap = Callable[[list[str | Path]], list[str | Path]]


def settings(**values: str | Path) -> list[str]:
    """--set arguments: settings(agent__host="a") is --set agent.host=a."""
    return [part for key, value in values.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]


@functools.cache
def common_broker() -> Broker | None:
    """Where all of this process's agents and controllers meet, if they do so at a broker."""
    if os.environ.get("VITALWIRE_TEST_BUS") != "amqp":
        return None
    folder = tempfile.TemporaryDirectory(prefix="vitalwire-broker-")
    broker = Broker(Path(folder.name))
    atexit.register(folder.cleanup)
    atexit.register(broker.close)
    return broker.start()


class Controller:
    """vitalwire-controller with one Doctor sink, the inspector.

    `bus`: settings of its own instead of the common ones; `more`: further settings, as settings() takes them.
    """

    def __init__(
        self,
        folder: Path,
        inspector: Inspector,
        bus: dict[str, str | Path] | None = None,
        wrap: Wrap = list,
        **more: str | Path,
    ) -> None:
        folder.mkdir()
        self._wrap = wrap
        self.name = folder.name
        self.bus = folder / "controller.sock"
        self.http = folder / "http.sock"
        self._log = folder / "controller.log"
        chosen: dict[str, str | Path] = {
            "controller__host": self.name,
            "controller__state": folder / "controller.db",
            **(bus or self._bus_settings()),
            "http__listen": f"unix:{self.http}",
            "inventory__file": folder / "inventory.conf",
            "sink__inspector__type": "doctor",
            "sink__inspector__url": f"http://{inspector.address}/events",
            **more,
        }
        self.state = Path(chosen["controller__state"])
        self.argv: list[str | Path] = [BUILD / "controller" / "vitalwire-controller", *settings(**chosen)]
        self.inventory = folder / "inventory.conf"
        self.inventory.write_text("")
        self.start()

    def _bus_settings(self) -> dict[str, str | Path]:
        broker = common_broker()
        if broker is None:
            return {"bus__listen": f"unix://{self.bus}"}
        return {"bus__listen": broker.url(CONTROLLER), "bus__password_file": broker.password_file}

    def link(self) -> str:
        """What agents call their link to it."""
        return f"amqp:{self.name}" if common_broker() else f"unix://{self.bus}"

    def write_inventory(self, text: str) -> None:
        """As an editor does: the file is whole at every moment."""
        aside = self.inventory.with_suffix(".new")
        aside.write_text(text)
        aside.replace(self.inventory)

    def start(self) -> None:
        self.daemon = Daemon(self._wrap(self.argv), self._log).wait_ready()

    def guests(self) -> list[dict[str, Any]]:
        return http_json(self.http, "/v1/guests")["guests"]

    def faults(self) -> list[dict[str, Any]]:
        """The open ones."""
        return http_json(self.http, "/v1/faults")["faults"]

    def status(self) -> dict[str, Any]:
        return http_json(self.http, "/v1/status")

    def close(self) -> None:
        self.daemon.kill()


class Agent:
    """vitalwire-agent of one compute node; `wrap` makes it run elsewhere (libvirtbed.Host.command)."""

    def __init__(
        self,
        folder: Path,
        host: str,
        controller: Controller | list[Controller],
        source: dict[str, str | Path] | None = None,
        wrap: Wrap = list,
        bus: dict[str, str | Path] | None = None,
        **more: str | Path,
    ) -> None:
        folder.mkdir()
        controllers = controller if isinstance(controller, list) else [controller]
        self.host = host
        self.channels = folder / "channels"
        self.http = folder / "agent.sock"
        self._log = folder / "agent.log"
        self._wrap = wrap
        chosen: dict[str, str | Path] = {
            "agent__host": host,
            "agent__state": folder / "agent.db",
            "agent__listen": f"unix:{self.http}",
            **(bus or self._bus_settings(host, controllers)),
            **(source or {"source__directory__path": self.channels}),
            **more,
        }
        self.argv: list[str | Path] = [BUILD / "host" / "vitalwire-agent", *settings(**chosen)]
        self.channels.mkdir()
        self.start()

    def _bus_settings(self, host: str, controllers: list[Controller]) -> dict[str, str | Path]:
        broker = common_broker()
        if broker is None:
            return {"bus__controller": " ".join(f"unix://{one.bus}" for one in controllers)}
        return {"bus__controller": broker.url(host), "bus__password_file": broker.password_file}

    def start(self) -> None:
        self.daemon = Daemon(self._wrap(self.argv), self._log).wait_ready()

    def stop(self) -> None:
        status = self.daemon.stop()
        if status != 0:
            raise RuntimeError(f"the agent ended with status {status}")
        self.daemon.kill()  # releases what we hold of it

    def close(self) -> None:
        self.daemon.kill()

    def status(self) -> dict[str, Any]:
        return http_json(self.http, "/v1/status")

    def faults(self) -> list[dict[str, Any]]:
        """The open ones, and those that are over and not yet known to be delivered."""
        return http_json(self.http, "/v1/faults?all=1")["faults"]

    def problems(self) -> list[str]:
        """What the agent says is wrong now."""
        return [f"{entry['what']}: {entry['detail']}" for entry in self.status()["problems"]]

    def metric(self, name: str) -> float:
        return http_metrics(self.http)[name]

    def guest(self, guest: str) -> dict[str, Any]:
        """What the agent says of a guest; empty if it knows none of that name."""
        known = http_json(self.http, "/v1/guests")["guests"]
        return next((entry for entry in known if entry["guest"] == guest), {})

    def wait_state(self, guest: str, state: str, deadline: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Until the guest is registered, unhealthy, lost, held, crashed or unregistered."""

        def there() -> dict[str, Any]:
            self.daemon.require_running()
            entry = self.guest(guest)
            return entry if entry.get("state") == state else {}

        return wait_until(there, f"agent {self.host} says guest {guest} is {state}", deadline)

    def wait_beats(self, guest: str, count: int = 2) -> None:
        """Until the guest has given that many more answers in time."""
        before = self.guest(guest)
        wait_until(
            lambda: self._answered_since(guest, before) >= count,
            f"guest {guest} answers {count} more challenges",
        )

    def _answered_since(self, guest: str, before: dict[str, Any]) -> int:
        """Zero also after a new registration, until it has answered more than before."""
        return self.guest(guest).get("responses", 0) - before.get("responses", 0)

    def faults_opened(self) -> dict[str, int]:
        """Faults opened since the agent started: kind to number, without those that never were."""
        name = "vitalwire_agent_faults_opened_total"
        metrics = http_metrics(self.http)
        kinds = {key: int(value) for key, value in metrics.items() if key.startswith(name)}
        return {key.split('"')[1]: value for key, value in kinds.items() if value}


def fault_event(guest: str, kind: str, status: str) -> Callable[[dict[str, Any]], bool]:
    """Matches what the inspector is told of a fault: status `down` when it opens or changes, `up` when it is cleared."""
    wanted = {"instance_id": guest, "kind": kind, "status": status}
    return lambda event: wanted.items() <= event["details"].items()


def vitalwired_payload(name: str) -> Payload:
    """A guest of that host name which runs vitalwired as the service SERVICE, with a check of ILLNESS."""
    program = "/usr/sbin/vitalwired"
    configuration = f"""
        [heartbeat]
        interval = {INTERVAL_MS}ms
        [check application]
        command = test ! -e {ILLNESS} || {{ cat {ILLNESS}; exit 1; }}
        interval = 1s
        timeout = 60s
    """
    return Payload(
        files={program: BUILD / "guest" / "vitalwired", "/etc/vitalwire/vitalwired.conf": configuration},
        services=(Service(SERVICE, (program,)),),
        init_lines=(f"hostname {name}",),
    )


class GuestTestCase(ProcessTestCase):
    """What is seen of one guest (`guest_id`) at the inspector and at the agents."""

    guest_id: str
    detect_multiplier = 1
    controller_settings: dict[str, str | Path] = {}

    def setUp(self) -> None:
        self.inspector = self.enterContext(Inspector())
        self.controller = Controller(self.dir / "controller", self.inspector, **self.controller_settings)
        self.addCleanup(self.controller.close)

    def start_agent(self, host: str, source: dict[str, str | Path] | None = None, wrap: Wrap = list) -> Agent:
        agent = Agent(self.dir / host, host, self.controller, source, wrap)
        self.addCleanup(agent.close)
        return agent

    def wait_down(self, kind: str) -> dict[str, Any]:
        """The details of the fault as the inspector was told of it."""
        matches = fault_event(self.guest_id, kind, "down")
        return self.inspector.wait_event(matches, f"{kind} of {self.guest_id}")["details"]

    def wait_up(self, kind: str, deadline: float = BOOT_SECONDS) -> dict[str, Any]:
        matches = fault_event(self.guest_id, kind, "up")
        return self.inspector.wait_event(matches, f"the end of {kind} of {self.guest_id}", deadline)["details"]

    def guest_events(self) -> list[dict[str, Any]]:
        """The details of what the inspector was told of guests; of a lost agent it is told as well."""
        return [event["details"] for event in self.inspector.events() if "instance_id" in event["details"]]

    def assert_told(self, *expected: tuple[str, str]) -> None:
        """The inspector was told exactly of these faults, in order: (kind, down or up)."""
        self.assertEqual([(event["kind"], event["status"]) for event in self.guest_events()], list(expected))

    def assert_no_fault(self, *agents: Agent) -> None:
        for agent in agents:
            self.assertEqual(agent.faults_opened(), {})
        self.assertEqual(self.guest_events(), [])

    def outlast_deadlines(self) -> None:
        """A guest that is not held would be lost in this time."""
        time.sleep((self.detect_multiplier + 1.5) * INTERVAL_MS / 1000)
