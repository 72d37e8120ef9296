"""Masakari: its API and the engine that stops and starts servers."""
import signal

from . import masakari_program, settings
from .programs import PYTHON
from .services import Service, http_answers, once, run
from .settings import Settings

# Of Masakari's own 180: how long it takes a notification for a duplicate of one like it.
DUPLICATE_SECONDS = 30


class Masakari:
    def __init__(self, config: Settings) -> None:
        self._config = config
        self._home = config.home
        self._root = config.home / "masakari"
        url = config.url("masakari")
        self.services = {
            "masakari-api": Service(
                self._home, "masakari-api", self._argv("api"), ready=lambda: http_answers(url)
            ),
            "masakari-engine": Service(self._home, "masakari-engine", self._argv("engine")),
        }

    def up(self) -> None:
        self._root.mkdir(exist_ok=True)
        sections = self._config.masakari(self._root, DUPLICATE_SECONDS)
        settings.write(self._root / "masakari.conf", sections)
        sync = [*self._argv("manage"), "db", "sync"]
        once(self._home, "masakari-schema", lambda: run(self._home, sync))
        for service in self.services.values():
            service.start()
        for service in self.services.values():
            service.wait_ready()

    def down(self) -> None:
        for service in self.services.values():
            service.stop(signal.SIGKILL)  # they take their time otherwise

    def _argv(self, command: str) -> list[object]:
        conf = ["--config-file", self._root / "masakari.conf"]
        return [PYTHON, "-P", masakari_program.__file__, command, *conf]  # -P: our masakari.py is none of it
