"""Aodh with its listener and notifier, and Ceilometer's notification agent, which brings it what Nova notifies of."""
import signal
from pathlib import Path

from . import settings
from .programs import wsgi_service
from .services import Service, once, run
from .settings import Settings

API_SCRIPT = Path("/usr/share/aodh-common/app.wsgi")
PIPELINE = """---
sources:
    - name: events
      events: ["*"]
      sinks: [alarms]
sinks:
    - name: alarms
      publishers:
          - notifier://?topic=alarm.all
"""


class Aodh:
    def __init__(self, config: Settings) -> None:
        self._config = config
        self._home = config.home
        self._root = config.home / "aodh"
        # Its API reads no other file than the one in the home directory (or in /etc).
        self._conf = self._root / ".aodh" / "aodh.conf"
        self._ceilometer = self._root / "ceilometer.conf"
        env = {"HOME": str(self._root)}
        self.services = {
            "aodh-api": wsgi_service(config, "aodh-api", "aodh", API_SCRIPT, "/", env),
            **{
                name: Service(self._home, name, [f"/usr/bin/{name}", "--config-file", conf], env)
                for name, conf in (
                    ("aodh-listener", self._conf),
                    ("aodh-notifier", self._conf),
                    ("ceilometer-agent-notification", self._ceilometer),
                )
            },
        }

    def up(self) -> None:
        pipeline = self._root / "event_pipeline.yaml"
        settings.write(self._conf, self._config.aodh())
        settings.write(self._ceilometer, self._config.ceilometer(pipeline))
        pipeline.write_text(PIPELINE)
        sync = ["/usr/bin/aodh-dbsync", "--config-file", self._conf]
        once(self._home, "aodh-schema", lambda: run(self._home, sync))
        for service in self.services.values():
            service.start()
        self.services["aodh-api"].wait_ready()

    def down(self) -> None:
        for service in self.services.values():
            service.stop(signal.SIGKILL)  # they take their time otherwise
