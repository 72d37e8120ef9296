"""The command line of ./cloud."""
import argparse
import os
import time
from pathlib import Path

from .cloud import SHARED, Cloud


def main() -> int:
    parser = argparse.ArgumentParser(
        description="A real OpenStack cloud on this machine, for the tests."
    )
    parser.add_argument("action", choices=["up", "down", "status"])
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path(os.environ.get(SHARED, "/tmp/vitalwire-cloud")),
        help=f"where it lives (default: {SHARED}, else /tmp/vitalwire-cloud)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="down: keep the data for a faster start"
    )
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root (libvirtd, namespaces)")
    return {"up": _up, "down": _down, "status": _status}[options.action](options)


def _up(options: argparse.Namespace) -> int:
    start = time.monotonic()
    cloud = Cloud(options.dir).up()
    print(f"# up after {time.monotonic() - start:.0f} s; for the tests and the openstack command:")
    print(f"export {SHARED}={cloud.home}")
    for name, value in cloud.admin.environment().items():
        print(f"export {name}={value}")
    return 0


def _down(options: argparse.Namespace) -> int:
    if options.dir.exists():
        Cloud(options.dir).down(options.keep)
    return 0


def _status(options: argparse.Namespace) -> int:
    if not options.dir.exists():
        print(f"{options.dir}: no cloud")
        return 1
    services = Cloud(options.dir).services()
    for name, service in services.items():
        print(f"{name:16} {service.pid or 'stopped'}")
    return 0 if all(service.pid for service in services.values()) else 1
