#!/usr/bin/python3
"""A cgcs guest that takes part in its server group: on the port cgcs.messaging, three writes a message.

It answers a broadcast "ping X" with the broadcast "pong X".
"""

import json
import os
import time

PORT = "/dev/virtio-ports/cgcs.messaging"
ADDRESS = "cgcs.server_grp"


def broadcast(port, text):
    data = {"version": 2, "msg_type": "broadcast", "data": text}
    message = {"data": data, "version": 2, "dest_addr": ADDRESS, "source_addr": ADDRESS}
    for part in ("\n", json.dumps(message), "\n"):
        os.write(port, part.encode())


def hear(port, line):
    try:
        data = json.loads(line)["data"]
    except ValueError:
        return  # stale bytes of an earlier connection
    if data["msg_type"] == "broadcast" and data["data"].startswith("ping "):
        broadcast(port, data["data"].replace("ping", "pong", 1))


def main():
    port, buffer = os.open(PORT, os.O_RDWR | os.O_NONBLOCK), b""
    while True:
        try:
            *lines, buffer = (buffer + os.read(port, 4096)).split(b"\n")
            for line in filter(None, lines):
                hear(port, line)
        except BlockingIOError:
            pass  # nothing to read, or no host to write to
        time.sleep(0.02)


main()
