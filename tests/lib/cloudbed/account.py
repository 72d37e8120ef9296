"""How a controller gets into the cloud: a user of Keystone's and one of RabbitMQ's, with passwords of their own."""
import uuid
from dataclasses import dataclass
from typing import Any

from .client import OpenStack
from .cloud import Cloud

# All that the controller needs of RabbitMQ: a queue of its own, bound to Nova's exchange.
BROKER_RIGHTS = (r"^vitalwire\..*", r"^vitalwire\..*", r"^(nova|vitalwire\..*)$")
PROJECT = "service"


@dataclass(frozen=True)
class Account:
    name: str
    password: str
    broker_password: str
    user_id: str
    broker: str  # URL without the password

    @property
    def secrets(self) -> list[str]:
        return [self.password, self.broker_password]


def open_account(cloud: Cloud) -> Account:
    """A new one, with the role admin in Keystone and the least rights in RabbitMQ."""
    name = f"vitalwire-{uuid.uuid4()}"
    password, broker_password = uuid.uuid4().hex, uuid.uuid4().hex
    user = {"name": name, "password": password, "domain_id": "default"}
    user_id = _identity(cloud.admin, "POST", "/users", {"user": user})["user"]["id"]
    role = _identity(cloud.admin, "GET", "/roles?name=admin")["roles"][0]["id"]
    project = _identity(cloud.admin, "GET", f"/projects?name={PROJECT}")["projects"][0]["id"]
    _identity(cloud.admin, "PUT", f"/projects/{project}/users/{user_id}/roles/{role}")
    cloud.infrastructure.add_broker_user(name, *BROKER_RIGHTS, password=broker_password)
    port = cloud.config.ports["broker"]
    return Account(name, password, broker_password, user_id, f"amqp://{name}@127.0.0.1:{port}/")


def set_password(cloud: Cloud, account: Account, password: str) -> None:
    _identity(cloud.admin, "PATCH", f"/users/{account.user_id}", {"user": {"password": password}})


def application_credential(cloud: Cloud, account: Account) -> tuple[str, str]:
    """Id and secret of a new one of that user's."""
    user = OpenStack(cloud.config.auth_url, account.name, account.password, PROJECT)
    path = f"/users/{account.user_id}/application_credentials"
    made = _identity(user, "POST", path, {"application_credential": {"name": "controller"}})
    credential = made["application_credential"]
    return credential["id"], credential["secret"]


def _identity(client: OpenStack, method: str, path: str, body: Any = None) -> Any:
    return client.call("identity", method, path, body)
