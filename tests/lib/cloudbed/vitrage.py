"""Vitrage, with the datasource that this project ships, in the cloud's broker and database."""
from pathlib import Path

from vmbed.procs import wait_until

from . import settings
from .client import OpenStack, Refused
from .programs import wsgi_service
from .services import START_SECONDS, Service, once, run
from .settings import Settings

DAEMONS = ("vitrage-graph", "vitrage-notifier", "vitrage-persistor")
PACKAGED = Path("/etc/vitrage")
API_SCRIPT = Path("/usr/lib/python3/dist-packages/vitrage/api/app.wsgi")


class Vitrage:
    def __init__(self, config: Settings, datasource: Path) -> None:
        self._config = config
        self._home = config.home
        self._datasource = datasource
        self._root = config.home / "vitrage"
        # Its API reads no other file than the one in the home directory (or in /etc).
        self._env = {"HOME": str(self._root), "PYTHONPATH": str(datasource)}
        self.services = {
            name: Service(self._home, name, [f"/usr/bin/{name}"], self._env) for name in DAEMONS
        }
        self.services["vitrage-api"] = wsgi_service(
            config, "vitrage-api", "vitrage", API_SCRIPT, "/", self._env
        )

    def up(self) -> None:
        self._write_configuration()
        once(self._home, "vitrage", lambda: run(self._home, ["vitrage-dbsync"], env=self._env))
        for service in self.services.values():
            service.start()
        self.services["vitrage-api"].wait_ready()

    def wait_up(self, admin: OpenStack) -> None:
        """Waits until vitrage-graph has its graph; the first time, adds the project's templates."""
        wait_until(lambda: _answers(admin), "Vitrage answers about alarms", START_SECONDS)
        once(self._home, "templates", lambda: self._add_templates(admin))

    def _add_templates(self, admin: OpenStack) -> None:
        add = ["openstack", "rca", "template", "add", "--type", "standard", "--path"]
        for path in sorted((self._datasource / "templates").glob("*.yaml")):
            run(self._home, [*add, path], env=admin.environment())
        active = "Vitrage's templates are active"
        wait_until(lambda: _templates_are_active(admin), active, START_SECONDS)

    def _write_configuration(self) -> None:
        values = self._root / "datasources_values"
        values.mkdir(parents=True, exist_ok=True)
        for source in (PACKAGED / "datasources_values", self._datasource / "datasources_values"):
            run(self._home, ["cp", "-r", f"{source}/.", values])
        settings.write(self._root / ".vitrage" / "vitrage.conf", self._config.vitrage(values))


def _answers(admin: OpenStack) -> bool:
    try:
        admin.alarms()
    except Refused:
        return False
    return True


def _templates_are_active(admin: OpenStack) -> bool:
    templates = admin.call("rca", "GET", "/v1/template")
    return all(template["status"] == "ACTIVE" for template in templates)
