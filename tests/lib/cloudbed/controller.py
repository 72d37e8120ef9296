"""vitalwire-controller with the inventory of a cloud."""
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Mapping, Sequence

from suite import BUILD
from vmbed.procs import Daemon, http_json, http_metrics, http_request, wait_until

from .account import PROJECT, Account
from .cloud import Cloud

VITALWIRE = BUILD / "cli" / "vitalwire"
PROGRAM = BUILD / "controller" / "vitalwire-controller"

Section = Mapping[str, object]


class CloudController:
    """Started by `start`. Its queue at RabbitMQ is named after the account: one controller for each.

    settings  sections that add to its configuration, or replace what is in it by default
    """

    def __init__(
        self,
        folder: Path,
        cloud: Cloud,
        account: Account,
        settings: Mapping[str, Section] | None = None,
    ) -> None:
        folder.mkdir()
        self.bus = folder / "controller.sock"
        self.socket = folder / "http.sock"  # whose clients are operators
        self.log = folder / "controller.log"
        self.state = folder / "controller.db"
        self._configuration = folder / "controller.conf"
        self._write(folder / "keystone.password", account.password)
        self._write(folder / "rabbitmq.password", account.broker_password)
        self._sections: dict[str, Section] = {
            "controller": {"host": account.name, "state": self.state, "log_level": "debug"},
            "bus": {"listen": f"unix://{self.bus}"},
            "http": {"listen": f"127.0.0.1:0 unix:{self.socket}"},
            "inventory": {"type": "nova"},
            "openstack": {
                "auth_url": cloud.config.auth_url,
                "username": account.name,
                "user_domain_id": "default",
                "password_file": folder / "keystone.password",
                "project_name": PROJECT,
                "project_domain_id": "default",
            },
            "notifications": {
                "url": account.broker,
                "password_file": folder / "rabbitmq.password",
            },
            **(settings or {}),
        }

    def configure(self, section: str, **values: object) -> None:
        self._sections[section] = {**self._sections.get(section, {}), **values}

    def replace(self, section: str, values: Section | None) -> None:
        """None: without that section."""
        self._sections.pop(section, None)
        if values is not None:
            self._sections[section] = values

    def start(self) -> "CloudController":
        """Returns when it runs; see wait_loaded."""
        lines = []
        for section, values in self._sections.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
        self._write(self._configuration, "\n".join(lines))
        # What a shell has set for the openstack command is none of its business.
        clean = [word for name in os.environ if name.startswith("OS_") for word in ("-u", name)]
        argv = ["env", *clean, PROGRAM, "--config", self._configuration]
        self.log.unlink(missing_ok=True)
        self.daemon = Daemon(argv, self.log).wait_ready()
        # Its log is written by a thread: the line may come after the word that it runs.
        self.http = wait_until(lambda: re.findall(r'\bhttp="?(\d[^\s"]+)', self.log.read_text()), "it logs its address")[-1]
        return self

    def wait_loaded(self) -> "CloudController":
        """Until it knows the inventory and receives Nova's notifications."""
        wait_until(lambda: http_request(self.http, "/readyz")[0] == 200, "the controller is ready")
        listening = "vitalwire_controller_nova_listening"
        wait_until(lambda: http_metrics(self.http)[listening], "it receives Nova's notifications")
        return self

    def close(self) -> None:
        if hasattr(self, "daemon"):
            self.daemon.kill()

    # What it says

    def page(self, path: str) -> Any:
        return http_json(self.http, path)

    def guests(self) -> dict[str, dict[str, Any]]:
        """By id; as the operator's command shows them."""
        return {guest["guest"]: guest for guest in self.command("guests")["guests"]}

    def guest(self, guest: str) -> dict[str, Any]:
        return self.guests().get(guest, {})

    def groups(self) -> dict[str, dict[str, Any]]:
        return {group["id"]: group for group in self.command("groups")["groups"]}

    def members(self, group: str) -> dict[str, dict[str, Any]]:
        """Their states as peers see them, by id."""
        members = self.page(f"/v1/groups/{group}")["guests"]
        return {member["instance_id"]: member for member in members}

    def problems(self) -> dict[str, str]:
        return {each["what"]: each["detail"] for each in self.command("status")["problems"]}

    def faults(self) -> list[dict[str, Any]]:
        return self.page("/v1/faults?all=1")["faults"]

    def metric(self, name: str) -> float:
        return http_metrics(self.http)[f"vitalwire_controller_{name}"]

    def command(self, *arguments: str) -> Any:
        """What `vitalwire --json` prints; a problem that it reports is no failure."""
        done = subprocess.run(
            [VITALWIRE, "--controller", f"unix:{self.socket}", "--json", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"vitalwire {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout)

    def everything_it_tells(self) -> dict[str, bytes]:
        """Whatever of it others could come to see."""
        pages = ("/metrics", "/v1/status", "/v1/guests", "/v1/faults?all=1", "/v1/groups", "/readyz")
        told = {page: http_request(self.http, page)[1] for page in pages}
        process = Path(f"/proc/{self.daemon.pid}")
        for name in ("cmdline", "environ", "comm"):
            told[f"process list: {name}"] = (process / name).read_bytes()
        told["log"] = self.log.read_bytes()
        told["state"] = b"".join(path.read_bytes() for path in _with_journal(self.state))
        return told

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text + "\n")
        path.chmod(0o600)


def _with_journal(path: Path) -> Sequence[Path]:
    return sorted(path.parent.glob(f"{path.name}*"))
