"""The events this datasource understands, and the check that stands before the entity graph.

Vitrage answers 200 to any event at all, so the log line made here is the only place where a
sender's mistake is explained. Nothing in this file needs Vitrage.
"""
import re
import uuid

HEARTBEAT = "vitalwire.heartbeat"
HOST = "vitalwire.host"

RAISED = "down"
CLEARED = "up"

SEVERITIES = ("critical", "major", "warning")

# Event type -> alarm name -> severity when the sender gives none.
ALARMS = {
    HEARTBEAT: {
        "guest.heartbeat.lost": "critical",
        "guest.vm.crashed": "critical",
        "guest.unhealthy": "major",
        "guest.vm.stopped_by_host": "critical",
        "guest.watchdog.fired": "critical",
        "guest.running_twice": "critical",
        "guest.heartbeat.not_established": "warning",
    },
    HOST: {
        "agent.lost": "major",
    },
}

MAX_TEXT = 255  # free text is cut to what Vitrage's history table keeps of a name
HOSTNAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
FREE_TEXT = ("cause", "monitor_id", "monitor_event_id")


class BadEvent(ValueError):
    """What is wrong with an event, and what was expected."""


def parse(event):
    """Return the alarm in `event` as a flat dict of strings, or raise BadEvent.

    Keys: type, resource (instance uuid or host name), alarm, state, severity, time, and those of
    FREE_TEXT that were given.
    """
    if not isinstance(event, dict):
        raise BadEvent("the event is %s, expected an object" % type(event).__name__)
    event_type = _one_of(event, "type", ALARMS)
    details = event.get("details")
    if not isinstance(details, dict):
        raise BadEvent("'details' is %s, expected an object" % type(details).__name__)

    name = _one_of(details, "alarm", ALARMS[event_type])
    alarm = {
        "type": event_type,
        "resource": _instance(details) if event_type == HEARTBEAT else _host(details),
        "alarm": name,
        "state": _one_of(details, "state", (RAISED, CLEARED)),
        "severity": _one_of(
            {"severity": ALARMS[event_type][name], **details}, "severity", SEVERITIES
        ),
        "time": _text(event, "time"),
    }
    for key in FREE_TEXT:
        if key in details:
            alarm[key] = _text(details, key)
    return alarm


def _one_of(mapping, key, allowed):
    value = mapping.get(key)
    if not isinstance(value, str) or value not in allowed:
        raise BadEvent("%r is %s, expected one of: %s" % (key, _quoted(value), ", ".join(allowed)))
    return value


def _instance(details):
    value = details.get("instance_id")
    try:
        return str(uuid.UUID(value))
    except (AttributeError, TypeError, ValueError):
        raise BadEvent("'instance_id' is %s, expected the server's uuid" % _quoted(value)) from None


def _host(details):
    value = details.get("hostname")
    if not isinstance(value, str) or not HOSTNAME.fullmatch(value):
        raise BadEvent(
            "'hostname' is %s, expected the compute service's host name" % _quoted(value)
        )
    return value


def _text(mapping, key):
    value = mapping.get(key)
    if not isinstance(value, str):
        raise BadEvent("%r is %s, expected text" % (key, _quoted(value)))
    return value[:MAX_TEXT]


def _quoted(value):
    return repr(value)[:80]
