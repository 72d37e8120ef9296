#!/usr/bin/python3
"""A cgcs guest of a group of 60 whose application's datagram queue has the kernel's default of 10 places."""

import json
from pathlib import Path
import select
import socket
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from raw_guest import envelope
from suite import Agent, Controller
from vmbed.inspector import Inspector
from vmbed.procs import ProcessTestCase, wait_until

MEMBERS, PLACES = 60, 10
ADDRESS = "cgcs.server_grp"
TRIES = 5  # a machine that others keep busy may hold the guest up for longer than a pause


class Guest:
    """Its daemon passes on what the host sends without waiting for room, as the SDK's does; its application reads whenever
    nothing comes."""

    def __init__(self, channels: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(channels / "cgcs.messaging.m-0.sock"))
        self._server.listen(1)
        self._server.settimeout(60)
        self._channel, _ = self._server.accept()
        self._daemon, self._application = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._daemon.setblocking(False)
        self._application.setblocking(False)
        self._queued, self._buffer = 0, b""

    def close(self) -> None:
        for one in (self._channel, self._server, self._daemon, self._application):
            one.close()

    def states(self, seq: int) -> int:
        """That the application has by the end of its query; -1: the query is rejected."""
        self._channel.sendall(envelope({"version": 2, "msg_type": "status_query", "seq": seq}, ADDRESS))
        states, over = 0, False
        while not over:
            for message in self._heard():
                over |= message["msg_type"] in ("status_response_done", "nack")
                if message["msg_type"] == "nack":
                    return -1
                states += message["msg_type"] == "status_response"
        return states

    def _heard(self) -> list[dict]:
        readable, _, _ = select.select([self._channel], [], [], 0.005)
        if not readable:
            self._queued = 0
            return self._read_by_application()
        *lines, self._buffer = (self._buffer + self._channel.recv(65536)).split(b"\n")
        for line in filter(None, lines):
            over = json.loads(line)["data"]["msg_type"] in ("status_response_done", "nack")
            if self._queued < PLACES or over:  # the end always, so that it is told from a loss
                self._daemon.send(line)
                self._queued += not over
        return []

    def _read_by_application(self) -> list[dict]:
        messages = []
        while True:
            try:
                messages.append(json.loads(self._application.recv(8192))["data"])
            except BlockingIOError:
                return messages


class SmallQueue(ProcessTestCase):
    def test_the_states_of_60_members_all_arrive(self) -> None:
        controller = Controller(self.dir / "controller", self.enterContext(Inspector()))
        self.addCleanup(controller.close)
        members = [f"[guest m-{number}]\nhost = compute-1\ngroup = g\n" for number in range(MEMBERS)]
        controller.write_inventory("[group g]\nproject = p\n" + "".join(members))
        agent = Agent(self.dir / "agent", "compute-1", controller)
        self.addCleanup(agent.close)
        guest = Guest(agent.channels)
        self.addCleanup(guest.close)
        wait_until(lambda: guest.states(1) >= 0, "the guest is served", pause=0.2)
        arrived = [guest.states(seq) for seq in range(2, 2 + TRIES)]
        self.assertEqual(max(arrived), MEMBERS, arrived)


if __name__ == "__main__":
    unittest.main()
