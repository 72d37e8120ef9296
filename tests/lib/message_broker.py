"""RabbitMQ for tests of the bus: every user has the rights of the operator's guide and no more."""

import base64
import hashlib
import json
import os
from pathlib import Path
import signal
import subprocess

from cloudbed.cloud import free_ports
from cloudbed.infrastructure import Infrastructure
from cloudbed.services import kill_marked
from cloudbed.settings import Settings

INSTALLED = Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists()
PASSWORD = "secret"
CONTROLLER = "vitalwire-controller"  # the user of all controllers
HOSTS = tuple(f"compute-{number}" for number in range(1, 6))

Rights = tuple[str, str, str]  # configure, write, read


def controller_rights() -> Rights:
    own = r"vitalwire\.(faults|controller\..*)"
    return (
        rf"^vitalwire\.controllers$|^{own}$",
        rf"^amq\.default$|^{own}$",
        rf"^vitalwire\.controllers$|^{own}$",
    )


def agent_rights(host: str) -> Rights:
    own = rf"^vitalwire\.agent\.{host.replace('.', chr(92) + '.')}\.[0-9a-f]+$"
    return own, r"^vitalwire\.controllers$", own


class _Rabbit(Infrastructure):
    """With users from the start, and certificates as a way in."""

    def __init__(self, config: Settings, users: dict[str, Rights]) -> None:
        super().__init__(config)
        self._users = users

    def environment(self) -> dict[str, str]:
        return self._broker_environment()

    def _write_configuration(self) -> None:
        super()._write_configuration()
        (self._home / "rabbitmq" / "plugins").write_text("[rabbitmq_auth_mechanism_ssl].\n")
        (self._etc / "definitions.json").write_text(definitions(self._users))

    def _broker_settings(self) -> str:
        more = (
            f"load_definitions = {self._etc / 'definitions.json'}",
            "auth_mechanisms.1 = PLAIN",
            "auth_mechanisms.2 = EXTERNAL",
            "ssl_cert_login_from = common_name",
        )
        return super()._broker_settings() + "\n".join(more) + "\n"


def definitions(users: dict[str, Rights]) -> str:
    """For `load_definitions`: these users, and no others."""
    algorithm = "rabbit_password_hashing_sha256"
    return json.dumps({
        "users": [
            {"name": name, "password_hash": _hashed(PASSWORD), "hashing_algorithm": algorithm, "tags": ""}
            for name in users
        ],
        "vhosts": [{"name": "/"}],
        "permissions": [
            {"user": name, "vhost": "/", "configure": configure, "write": write, "read": read}
            for name, (configure, write, read) in users.items()
        ],
    })


def _hashed(password: str) -> str:
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


class Broker:
    """One RabbitMQ of its own, with a user for the controllers and one for each of HOSTS."""

    def __init__(self, home: Path, more_users: dict[str, Rights] | None = None) -> None:
        self.home = home
        for name in ("run", "log", "etc"):
            (home / name).mkdir(parents=True)
        config = Settings(home, free_ports(len(Settings.PORTS)))
        self.port, self.tls_port = config.ports["broker"], config.ports["broker_tls"]
        agents = {host: agent_rights(host) for host in HOSTS}
        self._rabbit = _Rabbit(config, {CONTROLLER: controller_rights(), **agents, **(more_users or {})})
        self._service = self._rabbit.rabbitmq
        self.password_file = home / "password"
        self.password_file.write_text(f"{PASSWORD}\n")

    @property
    def certificates(self) -> Path:
        """authority.pem, and what it has signed."""
        return self._rabbit.certificates

    def start(self) -> "Broker":
        self._rabbit.broker_up()
        return self

    def __enter__(self) -> "Broker":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._signal(signal.SIGCONT)
        self._service.stop(signal.SIGKILL)
        kill_marked(self.home)

    def kill(self) -> None:
        self._service.stop(signal.SIGKILL)

    def restore(self) -> None:
        """Whatever a test has done to it."""
        self.resume()
        self.start()

    def pause(self) -> None:
        """It answers nobody, and the kernel takes what is sent to it: as behind a partitioned network."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def control(self, *arguments: str) -> str:
        """What rabbitmqctl prints."""
        command = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "-n", "cloudbed@localhost", *arguments]
        environment = {**os.environ, **self._rabbit.environment()}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def _signal(self, number: int) -> None:
        if self._service.pid:
            os.killpg(self._service.pid, number)

    def url(self, user: str, tls: bool = False) -> str:
        scheme, port = ("amqps", self.tls_port) if tls else ("amqp", self.port)
        return f"{scheme}://{user}@127.0.0.1:{port}/"
