"""The control plane: Keystone, Placement, Glance and Nova, from empty databases."""
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Sequence

from . import networks, settings
from .client import OpenStack
from .programs import PYTHON, console, nova, wsgi_service
from .services import Service, http_answers, once, run
from .settings import PASSWORD, REGION, Settings

SERVICE_USERS = ("nova", "glance", "placement", "neutron", "vitrage", "vitalwire")


class ControlPlane:
    def __init__(self, config: Settings, nova_extension: Path) -> None:
        self._config = config
        self._home = config.home
        self._etc = config.home / "etc"
        self._nova_conf = ["--config-file", self._etc / "nova" / "nova.conf"]
        self._keystone = self._api(
            "keystone", "identity", "keystone.server.wsgi:initialize_public_application", "/v3"
        )
        others = (
            self._neutron(),
            self._api("placement", "placement", "placement.wsgi:init_application"),
            self._api("glance", "image", "glance.common.wsgi_app:init_app"),
            Service(self._home, "nova-conductor", nova("conductor", *self._nova_conf)),
            Service(self._home, "nova-scheduler", nova("scheduler", *self._nova_conf)),
            self._api(
                "nova-api",
                "compute",
                "nova.api.openstack.compute.wsgi:init_application",
                PYTHONPATH=str(nova_extension),
            ),
        )
        self.services = {service.name: service for service in (self._keystone, *others)}

    def up(self) -> None:
        self._write_configuration()
        once(self._home, "schemas", self._create_schemas)
        self._keystone.start().wait_ready()
        once(self._home, "catalog", self._fill_catalog)
        for service in self.services.values():
            service.start()
        for service in self.services.values():
            service.wait_ready()

    def map_hosts(self) -> None:
        """Makes new compute nodes known to the scheduler."""
        self._run(nova("manage", *self._nova_conf, "cell_v2", "discover_hosts"))

    # Services

    def _api(self, name: str, port: str, app: str, path: str = "/", **env: str) -> Service:
        """`app` is module:factory."""
        module, factory = app.split(":")
        script = self._etc / f"{name}.wsgi"
        script.write_text(f"from {module} import {factory}\napplication = {factory}()\n")
        where = {
            "OS_KEYSTONE_CONFIG_FILES": str(self._etc / "keystone" / "keystone.conf"),
            "OS_PLACEMENT_CONFIG_DIR": str(self._etc / "placement"),
            "OS_GLANCE_CONFIG_DIR": str(self._etc / "glance"),
            "OS_NOVA_CONFIG_DIR": str(self._etc / "nova"),
        }
        return wsgi_service(self._config, name, port, script, path, {**where, **env})

    def _neutron(self) -> Service:
        url = self._config.url("network")
        argv = [PYTHON, networks.__file__, self._config.ports["network"]]
        return Service(self._home, "neutron", argv, ready=lambda: http_answers(url))

    # Configuration and data

    def _write_configuration(self) -> None:
        config, etc = self._config, self._etc
        settings.write(etc / "keystone" / "keystone.conf", config.keystone())
        settings.write(etc / "placement" / "placement.conf", config.placement())
        settings.write(etc / "glance" / "glance-api.conf", config.glance())
        settings.write(etc / "glance" / "glance-api-paste.ini", config.glance_paste())
        settings.write(etc / "nova" / "nova.conf", config.nova("controller", self._home / "nova"))
        settings.write(etc / "nova" / "api-paste.ini", config.nova_paste())
        for name in ("nova", "glance/images", "glance/tasks", "glance/staging"):
            (self._home / name).mkdir(parents=True, exist_ok=True)

    def _create_schemas(self) -> None:
        steps = (self._keystone_schema, self._small_schemas, self._nova_schema)
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(step) for step in steps]:
                done.result()

    def _keystone_schema(self) -> None:
        keystone = ["keystone-manage", "--config-file", self._etc / "keystone" / "keystone.conf"]
        owner = ["--keystone-user", "root", "--keystone-group", "root"]
        for keys in ("fernet", "credential"):
            (self._home / "keystone" / keys).mkdir(parents=True, mode=0o700, exist_ok=True)
            self._run([*keystone, f"{keys}_setup", *owner])
        self._run([*keystone, "db_sync"])
        admin = ["--bootstrap-password", PASSWORD, "--bootstrap-region-id", REGION]
        for interface in ("public", "internal", "admin"):
            admin += [f"--bootstrap-{interface}-url", self._config.auth_url]
        self._run([*keystone, "bootstrap", *admin])

    def _small_schemas(self) -> None:
        placement = self._etc / "placement"
        self._run(
            ["placement-manage", "--config-dir", placement, "db", "sync"],
            OS_PLACEMENT_CONFIG_DIR=str(placement),
        )
        glance = ["--config-file", self._etc / "glance" / "glance-api.conf"]
        self._run([*console("glance.cmd.manage", "glance-manage"), *glance, "db_sync"])

    def _nova_schema(self) -> None:
        manage = nova("manage", *self._nova_conf)
        cell0 = ["--database_connection", self._config.database("nova_cell0")]
        self._run([*manage, "api_db", "sync"])
        self._run([*manage, "cell_v2", "map_cell0", *cell0])
        self._run([*manage, "cell_v2", "create_cell", "--name", "cell1"])
        self._run([*manage, "db", "sync"])

    def _fill_catalog(self) -> None:
        admin = OpenStack(self._config.auth_url, "admin", PASSWORD, "admin")
        _create(admin, "project", name="service", domain_id="default")
        for name in SERVICE_USERS:
            _add_service_user(admin, name)
        for kind, url in self._config.endpoints.items():
            _add_endpoint(admin, kind, url)

    def add_service(self, admin: OpenStack, user: str, kind: str, url: str) -> None:
        """For a service that not every cloud has."""
        _add_service_user(admin, user)
        _add_endpoint(admin, kind, url)

    def _run(self, argv: Sequence[object], **env: str) -> None:
        run(self._home, argv, env=env)


def _add_service_user(admin: OpenStack, name: str) -> None:
    """With the role admin in the project `service`."""
    role = admin.call("identity", "GET", "/roles?name=admin")["roles"][0]["id"]
    project = admin.call("identity", "GET", "/projects?name=service")["projects"][0]["id"]
    user = _create(admin, "user", name=name, password=PASSWORD, domain_id="default")
    admin.call("identity", "PUT", f"/projects/{project}/users/{user}/roles/{role}")


def _add_endpoint(admin: OpenStack, kind: str, url: str) -> None:
    service = _create(admin, "service", type=kind, name=kind)
    for interface in ("public", "internal", "admin"):
        where = {"url": url, "region_id": REGION, "interface": interface}
        _create(admin, "endpoint", service_id=service, **where)


def _create(admin: OpenStack, kind: str, **fields: str) -> str:
    return admin.call("identity", "POST", f"/{kind}s", {kind: fields})[kind]["id"]
