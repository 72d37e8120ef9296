"""A small OpenStack client: enough for the tests, standard library only."""
import hashlib
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from vmbed.procs import wait_until


MICROVERSION = "2.93"
BOOT_SECONDS = 240.0  # of an emulated guest, while the machine does much else


class Refused(Exception):
    """An answer that was not asked for; its status and body."""

    def __init__(self, request: str, status: int, body: Any) -> None:
        super().__init__(f"{request}: {status} {body}")
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


def send(
    method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One HTTP request; `body` is JSON unless it is bytes. Any status is an answer."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"Content-Type": "application/json", **(headers or {})}, method=method
    )
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        text = response.read()
        return Answer(response.status, response.headers, _parsed(text))


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text.decode(errors="backslashreplace")


class OpenStack:
    """A user of the cloud. Every call expects success and raises Refused otherwise."""

    def __init__(self, auth_url: str, user: str, password: str, project: str) -> None:
        self._auth_url = auth_url
        self.user, self.password, self.project = user, password, project
        self.token = ""
        self.endpoints: dict[str, str] = {}
        self.authenticate()

    def authenticate(self) -> None:
        domain = {"id": "default"}
        user = {"name": self.user, "domain": domain, "password": self.password}
        answer = send(
            "POST",
            f"{self._auth_url}/auth/tokens",
            {
                "auth": {
                    "identity": {"methods": ["password"], "password": {"user": user}},
                    "scope": {"project": {"name": self.project, "domain": domain}},
                }
            },
        )
        if answer.status != 201:
            raise Refused("authenticate", answer.status, answer.body)
        self.token = answer.headers["X-Subject-Token"]
        self.project_id = answer.body["token"]["project"]["id"]
        self.endpoints = {
            service["type"]: endpoint["url"]
            for service in answer.body["token"]["catalog"]
            for endpoint in service["endpoints"]
            if endpoint["interface"] == "public"
        }
        self.endpoints["identity"] = self._auth_url

    def call(self, service: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The body of a successful answer."""
        url = self.endpoints[service] + path
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        microversion = {"OpenStack-API-Version": f"compute {MICROVERSION}"}
        answer = send(method, url, body, {"X-Auth-Token": self.token, **microversion, **names})
        if answer.status >= 300:
            raise Refused(f"{method} {url}", answer.status, answer.body)
        return answer.body

    # Images

    def upload_image(self, name: str, disk_format: str, data: bytes, **properties: str) -> str:
        """Returns the image's id."""
        container = disk_format if disk_format in ("aki", "ari") else "bare"
        image = self.call(
            "image",
            "POST",
            "/v2/images",
            {
                "name": name,
                "disk_format": disk_format,
                "container_format": container,
                "visibility": "public",
                **properties,
            },
        )
        self.call(
            "image",
            "PUT",
            f"/v2/images/{image['id']}/file",
            data,
            Content_Type="application/octet-stream",
        )
        return image["id"]

    def upload_linux(
        self, name: str, kernel: Path, ramdisk: Path, command_line: str, **properties: str
    ) -> str:
        """An image that boots the kernel directly, all of it in the ramdisk; the disk is empty."""
        return self.upload_image(
            name,
            "raw",
            bytes(1 << 20),
            os_command_line=command_line,
            kernel_id=self.upload_image(f"{name}-kernel", "aki", kernel.read_bytes()),
            ramdisk_id=self.upload_image(f"{name}-ramdisk", "ari", ramdisk.read_bytes()),
            **properties,
        )

    def shared_linux(self, kernel: Path, ramdisk: Path, command_line: str) -> str:
        """As upload_linux; what was uploaded once is used again by all."""
        content = hashlib.sha256(kernel.read_bytes() + ramdisk.read_bytes() + command_line.encode())
        name = f"linux-{content.hexdigest()[:24]}"
        found = self.call("image", "GET", f"/v2/images?name={name}&status=active")["images"]
        return found[0]["id"] if found else self.upload_linux(name, kernel, ramdisk, command_line)

    # Flavors and groups

    def create_flavor(
        self, name: str, extra_specs: Mapping[str, str] | None = None, ram: int = 160
    ) -> str:
        """Returns the flavor's id."""
        flavor = {"name": name, "ram": ram, "vcpus": 1, "disk": 0}
        created = self.call("compute", "POST", "/flavors", {"flavor": flavor})["flavor"]["id"]
        if extra_specs:
            self.set_extra_specs(created, extra_specs)
        return created

    def set_extra_specs(self, flavor: str, specs: Mapping[str, str]) -> None:
        body = {"extra_specs": dict(specs)}
        self.call("compute", "POST", f"/flavors/{flavor}/os-extra_specs", body)

    def create_server_group(self, name: str, policy: str = "soft-anti-affinity") -> str:
        group = {"name": name, "policy": policy}
        return self.call("compute", "POST", "/os-server-groups", {"server_group": group})[
            "server_group"
        ]["id"]

    def delete_server_group(self, group: str) -> None:
        """Deletes it, if it is there."""
        groups = self.call("compute", "GET", "/os-server-groups")["server_groups"]
        if any(each["id"] == group for each in groups):
            self.call("compute", "DELETE", f"/os-server-groups/{group}")

    # Servers

    def create_server(
        self, name: str, flavor: str, image: str, group: str | None = None, host: str = ""
    ) -> str:
        """Asks for a server, on that host if one is named, and returns its uuid at once."""
        request: dict[str, Any] = {
            "server": {"name": name, "flavorRef": flavor, "imageRef": image, "networks": "none"}
        }
        if host:
            request["server"]["availability_zone"] = f"nova:{host}"
        if group:
            request["os:scheduler_hints"] = {"group": group}
        return self.call("compute", "POST", "/servers", request)["server"]["id"]

    def server(self, server: str) -> dict[str, Any]:
        return self.call("compute", "GET", f"/servers/{server}")["server"]

    def act(self, server: str, action: str, argument: Any = None) -> None:
        self.call("compute", "POST", f"/servers/{server}/action", {action: argument})

    def act_and_wait(self, server: str, action: str, status: str, argument: Any = None) -> None:
        self.act(server, action, argument)
        self.wait_for_status(server, status)

    def wait_for_status(
        self, server: str, status: str, seconds: float = BOOT_SECONDS
    ) -> dict[str, Any]:
        """Waits until no task is under way and the status is as wanted."""

        def settled() -> dict[str, Any] | None:
            found = self.server(server)
            if found["OS-EXT-STS:task_state"] is not None:
                return None
            if found["status"] == "ERROR" != status:
                fault = self.server(server).get("fault")  # Nova adds it a moment later
                raise RuntimeError(f"server {server} is in ERROR: {fault}")
            return found if found["status"] == status else None

        return wait_until(settled, f"server {server} is {status}", seconds)

    def is_settled(self, server: str) -> bool:
        """It is built, and no task is under way."""
        found = self.server(server)
        return found["status"] != "BUILD" and found["OS-EXT-STS:task_state"] is None

    def wait_for_host(self, server: str, host: str) -> None:
        """Waits until it runs there, and no task is under way."""

        def is_there() -> bool:
            found = self.server(server)
            where, task = found["OS-EXT-SRV-ATTR:host"], found["OS-EXT-STS:task_state"]
            return (where, task, found["status"]) == (host, None, "ACTIVE")

        wait_until(is_there, f"server {server} is ACTIVE on {host}", BOOT_SECONDS)

    def delete_server(self, server: str) -> None:
        """Deletes it, if it is there, and waits until it is gone."""

        def gone() -> bool:
            try:
                self.server(server)
            except Refused as refused:
                return refused.status == 404
            return False

        if not gone():
            self.call("compute", "DELETE", f"/servers/{server}")
            wait_until(gone, f"server {server} is deleted", BOOT_SECONDS)

    # Vitrage

    def post_event(self, event: Mapping[str, Any]) -> None:
        self.call("rca", "POST", "/v1/event", dict(event))

    def alarms(self) -> list[dict[str, Any]]:
        return self.call("rca", "GET", "/v1/alarm?all_tenants=1")

    def environment(self) -> dict[str, str]:
        """For the command-line client."""
        return {
            "OS_AUTH_URL": self._auth_url,
            "OS_USERNAME": self.user,
            "OS_PASSWORD": self.password,
            "OS_PROJECT_NAME": self.project,
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_REGION_NAME": "RegionOne",
            "OS_IDENTITY_API_VERSION": "3",
        }
