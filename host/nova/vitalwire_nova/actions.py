"""Asks a guest, through the agent of this host, before Nova acts on it. Nothing in this file needs Nova."""
from collections import namedtuple
import http.client
import json
import socket

# `rejected`: the guest's reason, or None; `problem`: why it could not be asked, or None.
Answer = namedtuple("Answer", "rejected problem")

MAX_ANSWER = 65536


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path, guest, event, vote, timeout):
    """Return what the guest answers. What goes wrong on the way to it is consent: only a guest rejects."""
    connection = _Connection(path, timeout)
    try:
        body = json.dumps({"event": event, "vote": vote})
        connection.request(
            "POST", "/v1/guests/%s/actions" % guest, body, {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        answer = json.loads(response.read(MAX_ANSWER))
        if response.status != 200:
            return Answer(None, "%d %s" % (response.status, answer.get("error", "")))
        if answer.get("decision") != "reject":
            return Answer(None, None)
        return Answer(str(answer.get("reason") or "it gives no reason"), None)
    except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
        return Answer(None, "%s: %s" % (path, error or type(error).__name__))
    finally:
        connection.close()
