"""The rooms of the house: every folder of the product, the lowest first. Each includes only those before it."""

from pathlib import PurePath

ORDER = [
    "src/base",
    "src/model",
    "src/wire",
    "src/heartbeat",
    "src/group",
    "src/runtime",
    "src/runtime/amqp",
    "src/runtime/http",
    "src/bus",
    "guest",
    "guest/lib",
    "guest/sdk",
    "host/core",
    "host/bus",
    "host/channels",
    "host/http",
    "host/sources",
    "host/sources/qmp",
    "host/sources/directory",
    "host/sources/libvirt",
    "host",
    "controller/model",
    "controller/fleet",
    "controller/delivery",
    "controller/alarms",
    "controller/groups",
    "controller/core",
    "controller/bus",
    "controller/openstack",
    "controller/sinks/tacker",
    "controller/sinks",
    "controller/sources",
    "controller/state",
    "controller/http",
    "controller",
    "cli",
]

# No socket, no file, no clock: what is in here runs in the simulator and the fuzzers as in production.
PURE = {
    "src/base",
    "src/model",
    "src/wire",
    "src/heartbeat",
    "src/group",
    "host/core",
    "controller/model",
    "controller/fleet",
    "controller/delivery",
    "controller/alarms",
    "controller/groups",
    "controller/core",
}
# The side of the delivery that does the I/O.
NOT_PURE = {"sink_worker", "sink_context"}
# What pure rooms use of the others: messages as structs, the reader of a section, and the board of problems, which
# stamps with the wall clock unless it is given one.
PURE_ENOUGH = {"bus/json.hpp", "bus/limits.hpp", "bus/messages.hpp", "runtime/config.hpp", "runtime/config_values.hpp",
               "runtime/problems.hpp", "runtime/unreadable_rows.hpp"}


def room(path: PurePath) -> str:
    """"src/wire" for src/wire/x.hpp."""
    return path.parent.as_posix()


def file_of(name: str) -> PurePath:
    """The file of an include in quotes: those of src/ are named without it."""
    path = PurePath("src", name)
    return path if room(path) in ORDER else PurePath(name)


def is_pure(path: PurePath) -> bool:
    return room(path) in PURE and path.stem not in NOT_PURE
