#!/usr/bin/python3
"""A Vitalwire guest for the heartbeat, from proto-spec/ alone: device.md, base-layer.md, heartbeat.md."""
import argparse, contextlib, errno, glob, json, os, pathlib, re, select, signal, socket, sys, time

ADDRESS, MAX_LINE, MAX_REASON = "vitalwire.heartbeat", 8190, 224  # bytes
T_INIT, T_SPACE, T_WAIT, T_SILENCE, LATE = (1, 2, 5), 1, 60, 5, 0.5  # seconds; heartbeat.md, section 3

def integer(low, high):
    return lambda value: type(value) is int and low <= value <= high  # type(): a bool is no integer

INT, MS, TEXT = integer(0, 2**31 - 1), integer(1, 3600000), lambda value: isinstance(value, str)
SESSION = lambda value: TEXT(value) and re.fullmatch("[A-Za-z0-9-]{1,64}", value)
PDUS = {"init_ack": {"invocation_id": INT, "revision": INT, "session_id": SESSION, "heartbeat_interval_ms": MS, "response_deadline_ms": MS},
        "challenge": {"session_id": SESSION, "heartbeat_challenge": INT}, "exit": {"session_id": SESSION},
        "action_notify": {"session_id": SESSION, "invocation_id": INT, "timeout_ms": integer(0, 600000), "event_type": re.compile("stop|reboot|suspend|(un)?pause|resume|(resize|live_migrate|cold_migrate|maintenance)_(begin|end)").fullmatch, "notification_type": re.compile("(ir)?revocable").fullmatch},
        "nack": {"code": TEXT, "log_msg": TEXT, "orig_msg_type": TEXT}}
OPTIONAL = {"nack": {"session_id": SESSION, "min_detection_time_ms": MS, "min_interval_ms": MS}}
FINAL = {"not_enabled", "bad_field", "unknown_msg_type", "unavailable", "interval_too_small", "unknown_address", "unsupported_version"}  # only an operator ends them

def decode(line):
    """The PDU in a line; None if it is malformed, wrong or not for us. A guest never answers what is wrong."""
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        message = json.loads(line.decode()) if len(line) <= MAX_LINE else None
        pdu = json.loads(message["data"]) if isinstance(message["data"], str) else message["data"]
        ours = integer(1, 2)(message["version"]) and message["dest_addr"] == ADDRESS and integer(1, 1)(pdu["version"])
        rules = list(PDUS[pdu["msg_type"]].items()) + [item for item in OPTIONAL.get(pdu["msg_type"], {}).items() if item[0] in pdu]
        return pdu if ours and all(rule(pdu[key]) for key, rule in rules) else None

class Channel:
    """The port, or a UNIX socket in its place (device.md, section 7). OSError: the host went away."""
    def __init__(self, where):
        self.path, self.fd, self.listener = where.removeprefix("unix:"), None, None
        if self.path != where:
            pathlib.Path(self.path).unlink(missing_ok=True)  # left by an earlier life
            self.listener = socket.create_server(self.path, family=socket.AF_UNIX)

    def find(self):
        nodes = {pathlib.Path(name).read_text().strip(): "/dev/" + name.split("/")[-2] for name in glob.glob("/sys/class/virtio-ports/*/name")}
        return nodes.get(os.path.basename(self.path), self.path)  # with or without udev

    def connect(self):
        self.buffer = self.out = b""
        if self.listener:
            self.host = self.listener.accept()[0]  # the one before is closed with its object
            self.host.setblocking(False)
            self.fd = self.host.fileno()
        while self.fd is None:
            with contextlib.suppress(OSError):  # not there yet, or held by another process
                self.fd = os.open(self.find(), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            time.sleep(1 if self.fd is None else 0)
        while not self.listener and self.wait(0) & select.POLLHUP:
            os.read(self.fd, 65536)  # fails when the port was unplugged
            time.sleep(0.2)  # poll says hang-up at once and always: do not spin

    def wait(self, seconds):
        poll = select.poll()
        poll.register(self.fd, select.POLLIN | (select.POLLOUT if self.out else 0))
        return sum(event for _, event in poll.poll(seconds * 1000))

    def lines(self):
        data = os.read(self.fd, 65536)
        if not data:
            raise ConnectionResetError("no host")
        *lines, rest = (self.buffer + data).split(b"\n")
        self.buffer = rest[:MAX_LINE + 2]  # enough to know that it is too long
        return [line.removesuffix(b"\r") for line in lines]

    def send(self, message=b""):
        self.out = message or self.out  # the newest is worth most; its newline ends what was cut off
        with contextlib.suppress(BlockingIOError):  # poll tells when to go on
            self.out = self.out[os.write(self.fd, self.out):]

class Guest:
    """The table of heartbeat.md, section 3. Each of its timers ends in an `init`, so there is one: `due`."""
    def __init__(self, options):
        self.channel, self.options, self.state, self.invocation = Channel(options.channel), options, "disconnected", time.time_ns() % 2**31
        self.session = None  # the known one: answered in every state
        self.minimum, self.changed, self.wanted = 0, False, None  # the host's; settings changed since the last init; settings to adopt

    def enter(self, state, due, why=""):
        if state != self.state:
            print(f"{state} {ascii(str(why)[:MAX_REASON]) if why else ''}", file=sys.stderr, flush=True)
        self.state, self.due = state, due

    def send(self, **pdu):
        self.channel.send(b"\n%s\n" % json.dumps({"version": 2, "source_addr": ADDRESS, "dest_addr": ADDRESS, "data": {"version": 1, **pdu}}).encode())

    def init(self, now):
        self.invocation, self.asked, self.tries = (self.invocation + 1) % 2**31, now, self.tries + 1
        self.enter("registering", now + T_INIT[min(self.tries, 3) - 1])
        self.changed, self.declared = False, max(self.options.detection_time, self.minimum)
        time_ms = self.declared  # for a host of revision 0 half of it as the interval
        self.send(msg_type="init", invocation_id=self.invocation, revision=1, name=self.options.name, detection_time_ms=time_ms, heartbeat_interval_ms=time_ms // 2)

    def health(self):
        with contextlib.suppress(OSError), open(self.options.health_file, "rb") as file:
            return {"healthy": False, "reason": file.readline(MAX_REASON).decode(errors="ignore").strip()}
        return {"healthy": True}

    def receive(self, pdu, now):
        kind, code, registered = pdu["msg_type"], pdu.get("code"), self.state == "registered"
        last = pdu["invocation_id"] == self.invocation if "invocation_id" in pdu else pdu.get("orig_msg_type") == "init"
        refused = kind == "nack" and last and self.state == "registering"
        ours, soon = self.session and pdu.get("session_id") == self.session, max(now, self.asked + T_SPACE)
        least = pdu.get("min_detection_time_ms", 2 * pdu.get("min_interval_ms", 0))
        if kind == "init_ack" and last and self.state in ("registering", "registered") and pdu["revision"] <= 1:
            self.session, self.silence = pdu["session_id"], max(pdu["heartbeat_interval_ms"] / 500, T_SILENCE)
            if not self.changed:
                self.tries = 0
                self.enter("registered", now + self.silence)
        elif kind == "challenge" and ours:
            self.challenge, self.due = pdu["heartbeat_challenge"], now + self.silence if registered else self.due
        elif kind == "action_notify" and ours:  # only a guest that declares times for it is asked; this one always agrees
            echo = {key: pdu[key] for key in ("session_id", "invocation_id", "event_type", "notification_type")}
            self.send(msg_type="action_response", vote_result="accept" if pdu["notification_type"] == "revocable" else "complete", **echo)
        elif code == "no_session" and pdu.get("session_id", self.session) != self.session:
            pass  # crossed the init_ack
        elif code == "no_session" or kind == "challenge" and registered:
            self.session = self.session if kind == "challenge" else None
            self.enter("registering", soon, "no session")
        elif refused and code == "rate_limited":
            self.due = now + T_INIT[-1]
        elif refused and code == "interval_too_small" and least > self.declared:
            self.minimum, self.due = least, soon
        elif refused and code in FINAL or kind == "exit" and ours:
            self.session = self.session if refused else None
            self.enter("waiting", now + T_WAIT, pdu.get("log_msg", pdu.get("reason")))

    def adopt(self):
        """Takes new settings; true if they differ."""
        differ, self.options, self.wanted = self.wanted not in (None, self.options), self.wanted or self.options, None
        self.minimum = 0 if differ else self.minimum
        return differ

    def stop(self, *_):
        with contextlib.suppress(OSError):  # the host may be gone
            if self.session:
                self.send(msg_type="exit", session_id=self.session, reason="stopped")
        sys.exit(0)

    def serve(self):
        self.channel.connect()
        self.adopt()
        self.tries = 0
        self.init(time.monotonic())
        while True:
            self.challenge, now = None, time.monotonic()
            planned = min(max(self.due, now), now + 1)  # a second: new settings do not end the wait
            events = self.channel.wait(planned - now + 0.001)
            now = time.monotonic()
            if now > planned + LATE and self.state == "registered":
                self.due = now + self.silence  # it was us who were away
            if self.adopt():  # the known session is answered until the host has acknowledged them
                self.changed = True
                self.enter("registering", max(now, self.asked + T_SPACE), "new settings")
            for pdu in filter(None, map(decode, self.channel.lines() if events & ~select.POLLOUT else [])):
                self.receive(pdu, now)
            if self.challenge is not None and self.session:  # the newest of those read
                self.send(msg_type="challenge_response", session_id=self.session, heartbeat_response=self.challenge, **self.health())
            elif now >= self.due:
                self.tries = self.tries if self.state == "registering" else 0
                self.init(now)
            elif events & select.POLLOUT:
                self.channel.send()

    def run(self):
        while True:
            try:
                self.serve()
            except OSError as error:
                self.session = None
                self.enter("disconnected", 0, error)
                if error.errno == errno.ENODEV:  # unplugged; otherwise the port stays open for the next host
                    self.channel.fd = os.close(self.channel.fd)

def settings():
    parser = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@", epilog="@FILE is a file with one argument a line; SIGHUP: it is read again.")
    parser.add_argument("--channel", default="org.vitalwire.0", help="the port, by name or device, or unix:PATH: a socket to listen on")
    parser.add_argument("--name", default=socket.gethostname(), help="1 to 64 bytes, for displays")
    parser.add_argument("--detection-time", type=int, default=900, metavar="MS", help="in which a failure is detected, 200 to 3600000 ms")
    parser.add_argument("--health-file", default="", metavar="PATH", help="unhealthy while it exists; its first line is the reason")
    options = parser.parse_args()
    if not integer(200, 3600000)(options.detection_time) or not 1 <= len(options.name.encode()) <= 64:
        parser.error("--detection-time must be 200 to 3600000, --name 1 to 64 bytes")
    return options

def reload(guest):
    with contextlib.suppress(SystemExit):  # wrong arguments: it said so, and goes on with those it has
        guest.wanted = settings()

if __name__ == "__main__":
    guest = Guest(settings())
    signal.signal(signal.SIGTERM, guest.stop)
    signal.signal(signal.SIGHUP, lambda *_: reload(guest))
    guest.run()
