#!/usr/bin/python3
"""The decoder of guest/examples/python_guest.py against the vectors a guest has to understand."""

import importlib.util
import sys
import unittest

import wire
from test_vectors import SPEC, stream_of, vectors

GUEST = SPEC.parent / "guest" / "examples" / "python_guest.py"


def load_guest():
    spec = importlib.util.spec_from_file_location("python_guest", GUEST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class PythonGuestDecoder(unittest.TestCase):
    def test_it_accepts_the_heartbeat_pdus_of_the_host_and_nothing_else(self):
        guest, checked = load_guest(), 0
        for file, vector in vectors():
            if vector["channel"] != "native" or vector["direction"] != "host_to_guest":
                continue
            for line, expect in zip(wire.lines(stream_of(vector)), vector["expect"]):
                with self.subTest(file=file, vector=vector["id"]):
                    wanted = expect["result"] == "accepted" and expect["address"] != "vitalwire.group"
                    pdu = guest.decode(line)
                    self.assertEqual(pdu["msg_type"] if pdu else None, expect["pdu"] if wanted else None)
                    checked += 1
        self.assertGreater(checked, 100)


if __name__ == "__main__":
    sys.exit(unittest.main())
