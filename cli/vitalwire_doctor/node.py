"""What is on this machine: files and rights, certificates, disk, ports, clocks, connections, libvirt."""

from email.utils import parsedate_to_datetime
import fnmatch
import grp
import http.client
import ipaddress
import os
from pathlib import Path
import pwd
import re
import shutil
import socket
import ssl
import time
from typing import Iterator
from urllib.parse import urlsplit

from vitalwire_doctor.daemon import (BAD, GOOD, NO_ANSWER, PATIENCE_SECONDS, WARNING, Daemon, Finding, Findings, first_line, get,
                                     http_address, request, run)

RENEWAL_DAYS = 30
# Of openssl verify: self-signed, or of an authority that is not in the file.
EXPIRED = 10
ISSUER_UNKNOWN = (2, 18, 19, 20, 21)
FREE_BYTES = 64 << 20
CLOCKS_DIFFER_SECONDS = 2
PUBLIC = ("ca", "certificate", "crl", "ca_file")
# Of a unit: what its processes may do to files.
SANDBOX = ("User", "Group", "SupplementaryGroups", "AmbientCapabilities", "CapabilityBoundingSet", "ProtectSystem", "ProtectHome",
           "PrivateTmp", "ReadWritePaths", "InaccessiblePaths")


def check_configuration(daemon: Daemon) -> Findings:
    done = run(daemon.program, "--config", daemon.config, "--check-config")
    if done.returncode == 0:
        yield Finding(daemon.name, "configuration", GOOD, str(daemon.config))
        return
    for line in (done.stderr or done.stdout or "no answer").splitlines():
        yield Finding(daemon.name, "configuration", BAD, line, f"correct {daemon.config}")


def unit_user(daemon: Daemon) -> tuple[str, set[int]]:
    """Who the unit runs as: its name, and the ids of its groups."""
    shown = run("systemctl", "show", f"vitalwire-{daemon.name}", "-p", "User", "-p", "Group").stdout
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    user = found.get("User") or "root"
    try:
        entry = pwd.getpwnam(user)
        return user, {entry.pw_gid, *(each.gr_gid for each in grp.getgrall() if user in each.gr_mem)}
    except KeyError:
        return user, set()


def check_unit(daemon: Daemon) -> Findings:
    if not Path("/run/systemd/system").exists():
        return
    unit = f"vitalwire-{daemon.name}"
    state = run("systemctl", "is-active", unit).stdout.strip()
    if state == "active":
        yield Finding(daemon.name, "service", GOOD, f"{unit} is active")
    else:
        yield Finding(daemon.name, "service", BAD, f"{unit} is {state or 'unknown'}", f"journalctl -u {unit} -n 30")
    if run("systemctl", "is-enabled", unit).stdout.strip() != "enabled":
        yield Finding(daemon.name, "service", WARNING, f"{unit} does not start at boot", f"systemctl enable {unit}")


def may_read(path: Path, user: str, groups: set[int]) -> bool:
    status = path.stat()
    if user == "root":
        return True
    if status.st_uid == pwd.getpwnam(user).pw_uid:
        return bool(status.st_mode & 0o400)
    return bool(status.st_mode & (0o040 if status.st_gid in groups else 0o004))


def readable(unit: str, user: str, groups: set[int], paths: list[str]) -> set[str]:
    """Those that the unit's processes may read: with its user, its groups, its capabilities and what it is kept from."""
    script = 'for path; do test -r "$path" && echo "$path"; done; true'
    shown = run("systemctl", "show", unit, *(f"--property={name}" for name in SANDBOX)).stdout
    kept = [f"--property={line}" for line in shown.splitlines() if not line.endswith("=")]
    if user != "root" and os.geteuid() == 0 and Path("/run/systemd/system").exists():
        done = run("systemd-run", "--quiet", "--wait", "--pipe", "--collect", *kept, "sh", "-c", script, "sh", *paths)
        if done.returncode == 0:
            return set(done.stdout.splitlines())
    return {path for path in paths if may_read(Path(path), user, groups)}


def check_files(daemon: Daemon) -> Findings:
    user, groups = unit_user(daemon)
    named = [(section, key, value) for section, key, value in daemon.read() if key in (*PUBLIC, "key") or key.endswith("_file")]
    may = readable(f"vitalwire-{daemon.name}", user, groups, [value for _, _, value in named if Path(value).is_file()])
    for section, key, value in named:
        path = Path(value)
        name = f"[{section}] {key} {value}"
        try:
            if not path.is_file():
                yield Finding(daemon.name, "files", BAD, f"{name}: no such file", "vitalwire-certs makes certificates")
            elif value not in may:
                yield Finding(daemon.name, "files", BAD, f"{name}: {user} may not read it as the unit runs",
                              f"chown {user}: {value}; folders on the way: chmod o+x, none of /home, /root and /tmp")
            elif key not in PUBLIC and path.stat().st_mode & 0o004:
                yield Finding(daemon.name, "files", BAD, f"{name}: everybody may read it", f"chmod 0400 {value}")
            else:
                yield Finding(daemon.name, "files", GOOD, name)
        except (OSError, KeyError) as error:
            yield Finding(daemon.name, "files", BAD, f"{name}: {error}", "look at it as root")


def certificate_field(path: str, *options: str) -> str:
    return run("openssl", "x509", "-in", path, "-noout", *options).stdout.strip()


def own_names(daemon: Daemon) -> set[str]:
    """By which others may reach this host, or mean it."""
    names = {daemon.value(daemon.name, "host", ""), socket.gethostname(), socket.getfqdn()}
    names |= {urlsplit(url).hostname or "" for url in daemon.values("bus", "listen") if url.startswith("tcp:")}
    names |= {line.split()[3].partition("/")[0] for line in run("ip", "-o", "address").stdout.splitlines()}
    return {name.lower().rstrip(".") for name in names if name}


def names_of(path: str) -> list[str]:
    found = re.findall(r"(DNS|IP Address):([^,\s]+)", certificate_field(path, "-ext", "subjectAltName"))
    return [(str(ipaddress.ip_address(name)) if kind != "DNS" else name.lower().rstrip(".")) for kind, name in found]


def is_named(name: str, own: set[str]) -> bool:
    """The names in the certificate are often longer or shorter than the host's own."""
    label = name.partition(".")[0]
    return name in own or any(fnmatch.fnmatch(each, name) for each in own) or (
        not name.replace(".", "").isdigit() and any(each.partition(".")[0] == label for each in own))


def issuer_problem(path: str, authority: str) -> tuple[str, bool]:
    """What openssl finds wrong with the chain, which may be in the file; and whether all that is the issuer. `ca` says
    who signs the other side's certificates: ours may be of another authority, as the other side knows."""
    done = run("openssl", "verify", "-CAfile", authority, "-untrusted", path, path)
    error = re.search(r"^error (\d+) at .*?: *(.*)$", done.stderr + done.stdout, re.MULTILINE)
    if done.returncode == 0 or error is None:
        return ("" if done.returncode == 0 else first_line(done.stderr)), False
    # That it is over is told with its end.
    return ("" if int(error[1]) == EXPIRED else error[2]), int(error[1]) in ISSUER_UNKNOWN


def check_certificates(daemon: Daemon) -> Findings:
    path, authority = daemon.value("bus", "certificate"), daemon.value("bus", "ca")
    if not path or not Path(path).is_file():
        return
    problem, other_issuer = issuer_problem(path, authority)
    if problem and not other_issuer:
        yield Finding(daemon.name, "certificate", BAD, f"{path}: {problem}", "issue it again, and look at the clock")
    shown = f"{path}: {certificate_field(path, '-enddate')}"
    if other_issuer:
        shown += f", {certificate_field(path, '-issuer')}: not in {authority}, so the other side's ca has to be another"
    for days, result in ((0, BAD), (RENEWAL_DAYS, WARNING)):
        if run("openssl", "x509", "-in", path, "-noout", "-checkend", str(days * 86400)).returncode != 0:
            yield Finding(daemon.name, "certificate", result, shown, "renew it")
            break
    else:
        yield Finding(daemon.name, "certificate", GOOD, shown)
    names = names_of(path)
    host = daemon.value(daemon.name, "host", socket.gethostname())
    listed = ", ".join(names) or "no name"
    if daemon.name == "agent" and host.lower().rstrip(".") not in names:
        yield Finding(daemon.name, "certificate", BAD, f"{path} is for {listed}, this host is {host}", f"vitalwire-certs --agent {host}")
    if daemon.name == "controller" and not any(is_named(name, own_names(daemon)) for name in names):
        yield Finding(daemon.name, "certificate", WARNING, f"{path} is for {listed}, this host is {host}",
                      f"right only if agents reach it by that name; else vitalwire-certs --controller {host}")


def check_disk(daemon: Daemon) -> Findings:
    state = Path(daemon.value(daemon.name, "state", daemon.default_state))
    folder = next(each for each in (state.parent, *state.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        yield Finding(daemon.name, "disk", BAD, f"{folder}: {free >> 20} MB are free", "make room")
    elif os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield Finding(daemon.name, "disk", BAD, f"{folder} is read-only", "look at dmesg")
    else:
        yield Finding(daemon.name, "disk", GOOD, f"{folder}: {free >> 20} MB are free")


def listens(daemon: Daemon) -> Iterator[tuple[str, str, int]]:
    """What is listened on by TCP: the section, and the address."""
    for section, key, value in daemon.read():
        if key != "listen":
            continue
        for word in value.split():
            found = re.fullmatch(r"(?:(?:tls|tcp)://)?\[?([^/]*?)\]?:(\d+)/?", word)
            if found and not word.startswith(("unix:", "amqp")):
                yield section, found[1], int(found[2])


def is_taken(host: str, port: int) -> bool:
    """Whether anybody listens there."""
    here = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        socket.create_connection((here, port), PATIENCE_SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


def check_ports(daemon: Daemon) -> Findings:
    try:
        request(http_address(daemon), "/healthz")
        answers = True
    except (OSError, ValueError, http.client.HTTPException):
        answers = False
    for section, host, port in listens(daemon):
        name = f"[{section}] {host}:{port}"
        try:
            taken = is_taken(host, port)
        except OSError as error:
            yield Finding(daemon.name, "ports", BAD, f"{name}: {error}", "listen has to name an address of this host")
            continue
        if answers and not taken:
            yield Finding(daemon.name, "ports", BAD, f"{name}: nobody listens",
                          f"systemctl reload vitalwire-{daemon.name}, and look at its log")
        elif taken and not answers:
            yield Finding(daemon.name, "ports", BAD, f"{name}: another program listens there", f"ss -tlnp 'sport = {port}'")
        else:
            yield Finding(daemon.name, "ports", GOOD, f"{name}: {'listens' if taken else 'free'}")


def clocks(daemon: Daemon) -> Iterator[tuple[str, float]]:
    """Other controllers, and by how many seconds their clocks are ahead of this one."""
    if daemon.name == "agent":
        for link in get(daemon, "/v1/status").get("links", []):
            if "clock_ahead_ms" in link:
                yield f"{link['name']}, connected since {link['since']}", link["clock_ahead_ms"] / 1000
    for url in daemon.values("peers", "url"):
        parts = urlsplit(url)
        address = f"{'https:' if parts.scheme == 'https' else ''}{parts.hostname}:{parts.port or 8990}"
        try:
            date = request(address, "/healthz").headers["Date"]
            yield url, parsedate_to_datetime(date).timestamp() - time.time()
        except (OSError, TypeError, ValueError, http.client.HTTPException):
            pass  # a peer that does not answer is a problem of the status


def check_clock(daemon: Daemon) -> Findings:
    shown = run("timedatectl", "show", "-p", "NTPSynchronized", "--value").stdout.strip()
    if shown == "yes":
        yield Finding(daemon.name, "clock", GOOD, "synchronized")
    else:
        yield Finding(daemon.name, "clock", WARNING, "not synchronized" if shown else "timedatectl does not say whether it is "
                      "synchronized", "run chrony or systemd-timesyncd")
    try:
        others = list(clocks(daemon))
    except NO_ANSWER:
        return  # the status says so
    for other, ahead in others:
        good = abs(ahead) < CLOCKS_DIFFER_SECONDS
        yield Finding(daemon.name, "clock", GOOD if good else BAD,
                      f"{other}: {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this host's",
                      "" if good else "timedatectl on both: run chrony or systemd-timesyncd")


def connect(url: str, daemon: Daemon) -> str:
    """What the handshake shows: empty if the connection is good."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(parts.path)
        return ""
    port = parts.port or {"amqps": 5671, "amqp": 5672, "tls": 8992}.get(parts.scheme, 8991)
    with socket.create_connection((parts.hostname or "", port), timeout=PATIENCE_SECONDS) as plain:
        if parts.scheme not in ("tls", "amqps"):
            return ""
        context = ssl.create_default_context(cafile=daemon.value("bus", "ca") or None)
        if daemon.value("bus", "certificate"):
            context.load_cert_chain(daemon.value("bus", "certificate"), daemon.value("bus", "key"))
        with context.wrap_socket(plain, server_hostname=parts.hostname) as secured:
            # With TLS 1.3 the rejection of our certificate comes with the first data.
            secured.settimeout(1)
            try:
                if parts.scheme == "tls" and secured.recv(1) == b"":
                    return "closes the connection after the handshake: it rejects this host's certificate"
            except TimeoutError:
                pass
    return ""


def check_connections(daemon: Daemon) -> Findings:
    key = "controller" if daemon.name == "agent" else "listen"
    for url in daemon.values("bus", key):
        if url == "none":
            continue
        if daemon.name == "controller" and not url.startswith("amqp"):
            continue  # readiness answers for what it listens on
        shown = re.sub(r"//[^@/]*@", "//", url)
        started = time.monotonic()
        try:
            wrong = connect(url, daemon)
        except (OSError, ValueError) as error:
            wrong = str(error)
        if wrong:
            yield Finding(daemon.name, "connection", BAD, f"{shown}: {wrong}", "address, firewall, certificate, clock")
        else:
            took = (time.monotonic() - started) * 1000
            yield Finding(daemon.name, "connection", GOOD, f"{shown}: {took:.0f} ms")


def check_libvirt(daemon: Daemon) -> Findings:
    uris = daemon.values("source libvirt", "uri")
    if daemon.name != "agent" or not (uris or any(section == "source libvirt" for section, _, _ in daemon.read())):
        return
    uri = uris[0] if uris else "qemu:///system"
    if not shutil.which("virsh"):
        yield Finding(daemon.name, "libvirt", WARNING, "virsh is not installed: not examined", "apt install libvirt-clients")
        return
    listed = run("virsh", "--readonly", "-c", uri, "list", "--uuid")
    if listed.returncode != 0:
        yield Finding(daemon.name, "libvirt", BAD, f"{uri}: {first_line(listed.stderr)}", "systemctl status libvirtd")
        return
    domains = listed.stdout.split()
    yield Finding(daemon.name, "libvirt", GOOD, f"{uri}: {len(domains)} domains run")
    for domain in domains:
        described = run("virsh", "--readonly", "-c", uri, "dumpxml", domain).stdout
        if "org.vitalwire.0" not in described and "cgcs.heartbeat" not in described:
            yield Finding(daemon.name, "libvirt", WARNING, f"domain {domain} has no channel",
                          "hard-reboot it if its flavor enables heartbeat")
