"""Asks a guest, through the agent of this host, before Nova acts on it. Nothing in this file needs Nova."""
from collections import namedtuple
import contextlib
import http.client
import io
import json
import socket
import time

# `rejected`: the guest's reason, or None; `problem`: why it could not be asked, or None.
Answer = namedtuple("Answer", "rejected problem")

MAX_ANSWER = 65536


class _Received:
    """What came, as a socket that http.client reads from."""

    def __init__(self, data):
        self._data = data

    def makefile(self, _mode):
        return io.BytesIO(self._data)


def _left(deadline):
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout("timed out")
    return left


def _exchange(path, request, timeout):
    """Return all that is answered until the other side closes. The time is that of the whole exchange: a bound of each
    read alone would let an agent that sends a byte now and then keep Nova for hours."""
    deadline = time.monotonic() + timeout
    received = b""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        connection.sendall(request)
        while len(received) <= MAX_ANSWER:
            connection.settimeout(_left(deadline))
            more = connection.recv(MAX_ANSWER)
            if not more:
                break
            received += more
    return received


def ask(path, guest, event, vote, timeout):
    """Return what the guest answers. What goes wrong on the way to it is consent: only a guest rejects."""
    body = json.dumps({"event": event, "vote": vote})
    request = (
        "POST /v1/guests/%s/actions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (guest, len(body), body)
    )
    try:
        response = http.client.HTTPResponse(_Received(_exchange(path, request.encode(), timeout)))
        response.begin()
        answer = json.loads(response.read(MAX_ANSWER))
        if response.status != 200:
            return Answer(None, "%d %s" % (response.status, answer.get("error", "")))
        if answer.get("decision") != "reject":
            return Answer(None, None)
        return Answer(str(answer.get("reason") or "it gives no reason"), None)
    except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
        return Answer(None, "%s: %s" % (path, error or type(error).__name__))
