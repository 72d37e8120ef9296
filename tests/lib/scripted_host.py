"""The host's end of a native channel, played by a test: it speaks heartbeat.md and server-group.md line by line."""

import json
import socket
import time

from vmbed.procs import wait_until

ADDRESS = "vitalwire.heartbeat"
GROUP = "vitalwire.group"
PATIENCE = 30.0  # emulated guests on a loaded machine are slow


class Host:
    """The host's end of the channel, played by the test."""

    def __init__(self, path):
        self._path = path
        self._last_challenge = 1000
        self.connect()

    def connect(self):
        """As the host does: a newline first."""
        self._socket = socket.socket(socket.AF_UNIX)
        wait_until(lambda: self._socket.connect_ex(str(self._path)) == 0, "the guest listens")
        self._buffer = b""
        self._group = []  # messages of the server group that came while others were waited for
        self.send_bytes(b"\n")

    def disconnect(self):
        self._socket.close()

    def send_bytes(self, data):
        self._socket.sendall(data)

    def send(self, msg_type, **fields):
        self.send_bytes(message(msg_type, **fields))

    def receive(self, msg_type=None, deadline=PATIENCE):
        """The next PDU (of that type); AssertionError if none comes in time."""
        end = time.monotonic() + deadline
        while True:
            while b"\n" not in self._buffer:
                self._socket.settimeout(max(end - time.monotonic(), 0.001))
                try:
                    data = self._socket.recv(65536)
                except TimeoutError:
                    raise AssertionError(f"no {msg_type or 'message'} within {deadline:g} s") from None
                if not data:
                    raise AssertionError("the guest closed the connection")
                self._buffer += data
            line, self._buffer = self._buffer.split(b"\n", 1)
            pdu = self._check(line) if line else None
            if pdu and msg_type in (None, pdu["msg_type"]):
                return pdu

    def receive_group(self, msg_type, deadline=PATIENCE):
        """The next PDU of the server group, which must be of that type. Heartbeats before it are dropped."""
        end = time.monotonic() + deadline
        while not self._group:
            try:
                self.receive("nothing that exists", min(0.05, end - time.monotonic()))
            except AssertionError:
                if time.monotonic() > end:
                    raise AssertionError(f"no {msg_type} within {deadline:g} s") from None
        pdu = self._group.pop(0)
        assert pdu["msg_type"] == msg_type, pdu
        return pdu

    def send_group(self, msg_type, **fields):
        self.send_bytes(message(msg_type, GROUP, **fields))

    def answer_query(self, *members):
        """Answers the next query with these states; more than the mandatory fields as a dict."""
        seq = self.receive_group("status_query")["seq"]
        for each in members:
            self.send_group("status_response", seq=seq, data=each if isinstance(each, dict) else member(each))
        self.send_group("status_response_done", seq=seq, count=len(members))

    def receive_all(self, seconds):
        """What comes in that time."""
        end, found = time.monotonic() + seconds, []
        while True:
            try:
                found.append(self.receive(deadline=end - time.monotonic()))
            except AssertionError:
                return found

    def _check(self, line):
        envelope = json.loads(line)
        assert envelope["version"] == 2, envelope
        assert envelope["source_addr"] == envelope["dest_addr"], envelope
        assert envelope["source_addr"] in (ADDRESS, GROUP), envelope
        assert envelope["data"]["version"] == 1, envelope
        if envelope["source_addr"] == ADDRESS:
            return envelope["data"]
        self._group.append(envelope["data"])
        return None

    def register(self, session="session-1", interval=1000):
        init = self.receive("init")
        self.acknowledge(init, session, interval)
        return init

    def acknowledge(self, init, session, interval=1000, deadline=None, revision=0):
        self.send("init_ack", invocation_id=init["invocation_id"], revision=revision, session_id=session,
                  heartbeat_interval_ms=interval, response_deadline_ms=deadline or interval)

    def challenge(self, session="session-1"):
        """Asks and returns the answer."""
        self._last_challenge += 1
        self.send("challenge", session_id=session, heartbeat_challenge=self._last_challenge)
        answer = self.receive("challenge_response")
        assert answer["heartbeat_response"] == self._last_challenge, answer
        return answer

    def ask(self, event, vote=True, session="session-1", timeout_ms=60000):
        """Asks before an action of the cloud, or notifies of it; the answer is an `action_response`."""
        self._last_challenge += 1
        self.send("action_notify", session_id=session, invocation_id=self._last_challenge, event_type=event,
                  notification_type="revocable" if vote else "irrevocable", timeout_ms=timeout_ms)

    def serve(self, session, interval=60000):
        """Registers the guest, also a slow one that repeats its init, until it has answered a challenge.
        With a long interval the guest is content without further challenges."""
        while True:
            pdu = self.receive()
            if pdu["msg_type"] == "challenge_response" and pdu["heartbeat_response"] == self._last_challenge:
                return pdu
            if pdu["msg_type"] == "init":
                self.acknowledge(pdu, session, interval)
                self._last_challenge += 1
                self.send("challenge", session_id=session, heartbeat_challenge=self._last_challenge)

    def nack(self, code, **fields):
        self.send("nack", **{"code": code, "log_msg": "said by the test", "orig_msg_type": "init", **fields})


def member(instance, state="active", **fields):
    return {"instance_id": instance, "display_name": f"name of {instance}", "state": state, "state_description": "",
            **fields}


def message(msg_type, address=ADDRESS, **fields):
    pdu = {"version": 1, "msg_type": msg_type, **fields}
    return b"\n" + json.dumps({"version": 2, "source_addr": address, "dest_addr": address, "data": pdu}).encode() + b"\n"
