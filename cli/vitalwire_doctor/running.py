"""What the running daemon answers: its problems, its receivers, the cloud, and what becomes of a test event."""

import json
import re
import time
from typing import Any

from vitalwire_doctor.daemon import (BAD, GOOD, NO_ANSWER, RUNBOOK, WARNING, Daemon, Finding, Findings, ask, first_line, get,
                                     http_address, run)

TEST_EVENT_SECONDS = 15
SETTLED = ("acknowledged", "acknowledged_by_peer")
# How a daemon's problem begins, and the check that it belongs to; others are of its status.
PROBLEMS = (("the durable fault queue", "broker"), ("no controller is connected", "connection"),
            ("the inventory cannot be read from Nova", "nova"), ("Nova's notifications", "notifications"),
            ("the inventory cannot be read", "inventory"), ("the certificate", "certificate"), ("the HTTP interface", "ports"),
            ("the state cannot", "disk"), ("the store cannot", "disk"), ("sink ", "sink"))


def runbook_page(what: str) -> str:
    """Where the problem is explained; a page is titled as the problem, names in capitals."""
    for page in sorted((RUNBOOK / "problems").glob("*.md")):
        title = first_line(page.read_text()).removeprefix("# ")
        if re.fullmatch(re.sub(r"\b(?!HTTP)[A-Z]{3,}\b", ".+", re.escape(title)), what):
            return str(page)
    return str(RUNBOOK / "problems.md")


def check_of(problem: str, daemon: Daemon) -> str:
    """The check that a problem of the daemon belongs to."""
    if problem.startswith("no agent can come by"):
        return "broker" if daemon.over_broker() else "ports"
    return next((check for begin, check in PROBLEMS if problem.startswith(begin)), "status")


def check_status(daemon: Daemon) -> Findings:
    try:
        status = get(daemon, "/v1/status")
    except NO_ANSWER as error:
        yield Finding(daemon.name, "status", BAD, f"{http_address(daemon)}: {error}",
                      f"systemctl status vitalwire-{daemon.name}; is this run as root?")
        return
    problems = status.get("problems", [])
    for problem in problems:
        what = str(problem.get("what"))
        yield Finding(daemon.name, check_of(what, daemon), BAD, f"{what}: {problem.get('detail')}", runbook_page(what))
    if not problems:
        yield Finding(daemon.name, "status", GOOD, f"version {status.get('version')}, no problems")
    if daemon.over_broker() and not {"broker", "connection"} & {check_of(str(each.get("what")), daemon) for each in problems}:
        yield Finding(daemon.name, "broker", GOOD, "the broker takes the daemon's user, and its rights suffice")
    for sink in status.get("sinks", []):
        good = sink.get("state") == "ok"
        detail = f"{sink.get('name')} ({sink.get('type')}): {sink.get('state')} {sink.get('last_error', '')}".strip()
        yield Finding(daemon.name, "sink", GOOD if good else BAD, detail, "" if good else str(RUNBOOK / "sink_failing.md"))
    yield from check_versions(daemon, status)


def check_versions(daemon: Daemon, status: dict[str, Any]) -> Findings:
    installed = first_line(run(daemon.program, "--version").stdout).split()[-1:]
    if installed and installed[0] != status.get("version"):
        yield Finding(daemon.name, "version", WARNING, f"{status.get('version')} runs, {installed[0]} is installed",
                      f"systemctl restart vitalwire-{daemon.name}")
    if daemon.name != "controller":
        return
    for agent in get(daemon, "/v1/agents").get("agents", []):
        if agent.get("version") and agent["version"] != status.get("version"):
            yield Finding(daemon.name, "version", WARNING, f"agent {agent.get('host')} is {agent['version']}, the controller "
                          f"{status.get('version')}", "upgrade the older one")


def check_readiness(daemon: Daemon) -> Findings:
    """The guests that should be there, the agents that could come, and who is not watched."""
    if daemon.name != "controller":
        return
    try:
        ready = get(daemon, "/readyz", (200, 503))
        uncovered = get(daemon, "/v1/coverage?counts=1").get("counts", {}).get("uncovered", 0)
    except NO_ANSWER:
        return  # the status says so
    for part, remedy in (("inventory", "credentials and endpoint in [openstack], or the inventory's file"),
                         ("bus", "[bus] listen: is the port free, is the broker there?")):
        good = bool(ready.get(part))
        yield Finding(daemon.name, "readiness", GOOD if good else BAD, f"{part}: {'yes' if good else 'no'}",
                      "" if good else remedy)
    if uncovered:
        yield Finding(daemon.name, "coverage", WARNING, f"{uncovered} guests that should be watched are not",
                      "vitalwire coverage names them and why")


def metrics(daemon: Daemon) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in ask(daemon, "/metrics").splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def check_openstack(daemon: Daemon) -> Findings:
    """Nova and Keystone, and Nova's notifications: whether they arrive, and not only whether they could."""
    if daemon.name != "controller" or daemon.value("inventory", "type") != "nova":
        return
    try:
        problems = [str(each.get("what")) for each in get(daemon, "/v1/status").get("problems", [])]
        loaded, counted = bool(get(daemon, "/readyz", (200, 503)).get("inventory")), metrics(daemon)
    except NO_ANSWER:
        return
    cloud = daemon.value("openstack", "cloud", "CLOUD")
    if "nova" not in [check_of(what, daemon) for what in problems]:
        yield Finding(daemon.name, "nova", GOOD if loaded else BAD,
                      "Keystone and Nova answer, the inventory is read" if loaded else "the inventory has not been read yet",
                      f"openstack --os-cloud {cloud} server list --all-projects")
    if not daemon.values("notifications", "url"):
        yield Finding(daemon.name, "notifications", WARNING, "none are read: changes are seen by polls alone",
                      "[notifications] url, operator-guide.md section 6")
    elif "notifications" not in [check_of(what, daemon) for what in problems]:
        arrived = int(counted.get("vitalwire_controller_nova_notifications_total", 0))
        yield Finding(daemon.name, "notifications", GOOD if arrived else WARNING,
                      f"{arrived} of Nova's have arrived since the start",
                      "lock and unlock a server: is there none then, see [notifications] in nova.conf, operator-guide.md section 6")


def deliveries(daemon: Daemon, fault: str) -> dict[str, dict[str, Any]]:
    entry = get(daemon, f"/v1/faults/{fault}")
    return {each["sink"]: {**each, "done": each["state"] in SETTLED and each["revision"] >= entry["revision"]
                           or each["state"] in ("suppressed", "held", "skipped")} for each in entry["deliveries"]}


def delivered(daemon: Daemon, fault: str) -> dict[str, dict[str, Any]]:
    """What became of it once every sink has it, or after a while."""
    until = time.monotonic() + TEST_EVENT_SECONDS
    while True:
        found = deliveries(daemon, fault)
        if all(each["done"] for each in found.values()) or time.monotonic() >= until:
            return found
        time.sleep(0.1)


def check_test_event(daemon: Daemon) -> Findings:
    """An alarm that nothing is the cause of, through each sink."""
    if daemon.name != "controller":
        return
    try:
        fault = json.loads(ask(daemon, "/v1/test-event", "POST"))["fault"]
        found = delivered(daemon, fault)
        ask(daemon, f"/v1/faults/{fault}/clear", "POST", "vitalwire-doctor has seen what became of it")
        sinks = get(daemon, "/v1/status").get("sinks", [])
    except NO_ANSWER as error:
        yield Finding(daemon.name, "test event", BAD, f"cannot be sent: {error}", "run it as root, on a controller that works")
        return
    for sink in sinks:
        name = f"{sink['name']} ({sink['type']})"
        delivery = found.get(sink["name"])
        if delivery is None:
            yield Finding(daemon.name, "test event", WARNING, f"{name}: acts on servers, and is sent none",
                          "only a real fault tests it: systemctl kill --signal=STOP vitalwired, in a server of no use")
        elif delivery["state"] in ("suppressed", "held"):
            yield Finding(daemon.name, "test event", WARNING, f"{name}: {delivery['state']}, its policies or a maintenance",
                          "name test_event in the kinds of one of its policies, or end the maintenance")
        elif delivery["state"] == "skipped":
            yield Finding(daemon.name, "test event", WARNING, f"{name}: skipped, {delivery['last_error']}", "vitalwire-sinks(5)")
        elif delivery["done"]:
            yield Finding(daemon.name, "test event", GOOD, f"{name}: acknowledged")
        else:
            yield Finding(daemon.name, "test event", BAD, f"{name}: not acknowledged in {TEST_EVENT_SECONDS} s, "
                          f"{delivery['last_error'] or delivery['state']}", str(RUNBOOK / "sink_failing.md"))
