"""How the services' programs are started: Debian's own files, without their service managers."""
from pathlib import Path
from typing import Mapping

from .services import LOOPBACK, Service, http_answers
from .settings import Settings

PYTHON = "/usr/bin/python3"

_UWSGI = (
    "uwsgi-core --plugins python3 --master --processes 1 --threads 1 --enable-threads --lazy-apps"
    " --buffer-size 65535 --die-on-term --need-app --disable-logging"
)


def console(module: str, name: str) -> list[str]:
    """A command whose code is installed; Debian's package of the command would set up much more."""
    script = f"import sys; sys.argv[0] = {name!r}; from {module} import main; sys.exit(main())"
    return [PYTHON, "-c", script]


def nova(command: str, *arguments: object) -> list[object]:
    return [*console(f"nova.cmd.{command}", f"nova-{command}"), *arguments]


def wsgi_service(
    config: Settings, name: str, port: str, script: Path, path: str, env: Mapping[str, str]
) -> Service:
    """An API under uwsgi, ready when `path` answers."""
    argv = [*_UWSGI.split(), "--add-header", "Connection: close"]
    argv += ["--http-socket", f"{LOOPBACK}:{config.ports[port]}", "--wsgi-file", script]
    return Service(config.home, name, argv, env, lambda: http_answers(config.url(port, path)))
