"""The host's end of a native channel, played by a test: it speaks proto-spec/heartbeat.md line by line."""

import json
import socket
import time

from vmbed.procs import wait_until

ADDRESS = "vitalwire.heartbeat"
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
        assert envelope["source_addr"] == envelope["dest_addr"] == ADDRESS, envelope
        assert envelope["data"]["version"] == 1, envelope
        return envelope["data"]

    def register(self, session="session-1", interval=1000):
        init = self.receive("init")
        self.acknowledge(init, session, interval)
        return init

    def acknowledge(self, init, session, interval=1000):
        self.send("init_ack", invocation_id=init["invocation_id"], revision=0, session_id=session,
                  heartbeat_interval_ms=interval, response_deadline_ms=interval)

    def challenge(self, session="session-1"):
        """Asks and returns the answer."""
        self._last_challenge += 1
        self.send("challenge", session_id=session, heartbeat_challenge=self._last_challenge)
        answer = self.receive("challenge_response")
        assert answer["heartbeat_response"] == self._last_challenge, answer
        return answer

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


def message(msg_type, **fields):
    pdu = {"version": 1, "msg_type": msg_type, **fields}
    return b"\n" + json.dumps({"version": 2, "source_addr": ADDRESS, "dest_addr": ADDRESS, "data": pdu}).encode() + b"\n"
