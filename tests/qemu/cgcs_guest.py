#!/usr/bin/python3
"""A cgcs guest as far as its host can tell: heartbeat v3 without envelope on the port cgcs.heartbeat.

cgcs_guest.py INTERVAL_MS HEALTH_FILE: unhealthy while the file exists; its text is the log_msg, not escaped, as
cgcs guests do it.
"""

import json
import os
import sys
import time

PORT = "/dev/virtio-ports/cgcs.heartbeat"
HEAD = '"version":3,"revision":1,"sequence":0'


class Guest:
    def __init__(self, interval, health_file):
        self.interval, self.health_file = interval, health_file
        self.silence = max(2 * interval / 1000, 5)
        self.port, self.buffer, self.invocation = None, b"", 0

    def write(self, msg_type, fields):
        os.write(self.port, f'\n{{{HEAD},"msg_type":"{msg_type}",{fields}}}\n'.encode())

    def init(self):
        self.invocation += 1
        self.heard = time.monotonic()
        self.write("init", f'"invocation_id":{self.invocation},"name":"cgcs","corrective_action":"reboot",'
                           f'"heartbeat_interval_ms":{self.interval},"vote_secs":4,"shutdown_notice_secs":9,'
                           '"suspend_notice_secs":9,"resume_notice_secs":14,"restart_secs":601')

    def answer(self, challenge):
        try:
            with open(self.health_file) as file:
                health, words = "unhealthy", file.readline().strip()
        except FileNotFoundError:
            health, words = "healthy", ""
        self.write("challenge_response", f'"heartbeat_response":{challenge},"heartbeat_health":"{health}",'
                                         f'"corrective_action":"reboot","log_msg":"{words}"')

    def receive(self, line):
        try:
            pdu = json.loads(line)
        except ValueError:
            return  # stale bytes of an earlier connection
        if pdu["version"] == 3 and pdu["msg_type"] == "challenge":
            self.heard = time.monotonic()
            self.answer(pdu["heartbeat_challenge"])

    def serve(self):
        self.port = os.open(PORT, os.O_RDWR | os.O_NONBLOCK)
        self.heard = -self.silence
        while True:
            try:
                self.turn()
            except BlockingIOError:
                pass  # nothing to read, or no host to write to
            time.sleep(0.02)

    def turn(self):
        if time.monotonic() >= self.heard + self.silence:
            self.init()
        self.buffer += os.read(self.port, 4096)
        *lines, self.buffer = self.buffer.split(b"\n")
        for line in filter(None, lines):
            self.receive(line)


if __name__ == "__main__":
    Guest(int(sys.argv[1]), sys.argv[2]).serve()
