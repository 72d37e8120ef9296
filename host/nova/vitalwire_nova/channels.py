"""Which channels a flavor asks for. Nothing in this file needs Nova."""
from collections import namedtuple

# The native channel carries heartbeat and messaging; cgcs guests have one for each.
NATIVE = "org.vitalwire.0"
EXTRA_SPECS = {
    "vitalwire:heartbeat": NATIVE,
    "vitalwire:messaging": NATIVE,
    "sw:wrs:guest:heartbeat": "cgcs.heartbeat",
    "sw:wrs:srv_grp_messaging": "cgcs.messaging",
}

# The words Nova itself takes for a boolean extra spec.
TRUE = frozenset(("1", "t", "true", "on", "y", "yes"))
FALSE = frozenset(("0", "f", "false", "off", "n", "no"))

Wanted = namedtuple("Wanted", "channels problems")


def wanted(extra_specs):
    """Return the channel names asked for, in a fixed order, and a text for each bad value.

    A bad value counts as not asked for: it must not keep a server from booting.
    """
    channels, problems = [], []
    for key, channel in EXTRA_SPECS.items():
        value = extra_specs.get(key)
        if value is None:
            continue
        word = str(value).strip().lower()
        if word not in TRUE | FALSE:
            problems.append(
                "extra spec %s is %r, expected a boolean such as true or false" % (key, value)
            )
        elif word in TRUE and channel not in channels:
            channels.append(channel)
    return Wanted(channels, problems)


def may_vote(extra_specs):
    """False where the flavor lets its guests reject nothing."""
    return str(extra_specs.get("vitalwire:action_votes", "true")).strip().lower() not in FALSE


def socket_path(channel, instance_name):
    """The socket's path on the compute node. It follows Nova's own for the QEMU guest agent, so it
    stays the same over every start, reboot and migration of the server."""
    return "/var/lib/libvirt/qemu/%s.%s.sock" % (channel, instance_name)
