#!/usr/bin/python3
"""The vectors, the schemas and the limits of proto-spec/ agree with each other."""

import base64
import json
import pathlib
import sys
import unittest

import jsonschema

import wire

SPEC = pathlib.Path(__file__).resolve().parents[2] / "proto-spec"
FOLDER = {"vitalwire.heartbeat": "heartbeat", "vitalwire.group": "group", "vitalwire.base": "base",
          "cgcs.heartbeat": "cgcs-heartbeat", "cgcs.server_grp": "cgcs-group"}
RESULTS = {"accepted", "malformed", "nack", "ignored"}


def load_schema(path):
    schema = json.loads(path.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


SCHEMAS = {str(path.relative_to(SPEC / "schema").with_suffix("")): load_schema(path)
           for path in sorted((SPEC / "schema").rglob("*.json"))}


def vectors():
    for path in sorted((SPEC / "vectors").glob("*.json")):
        for vector in json.loads(path.read_text())["vectors"]:
            yield path.name, vector


def stream_of(vector):
    if "base64" in vector:
        return base64.b64decode(vector["base64"], validate=True)
    return vector["bytes"].encode("utf-8")


def envelope_schema(channel):
    return {"native": SCHEMAS["base/envelope"], "cgcs.messaging": SCHEMAS.get("cgcs-group/envelope")}.get(channel)


def split(message, channel):
    """(application folder, PDU) of a parsed message. Raises wire.Malformed for a bad envelope."""
    if channel == "cgcs.heartbeat":
        return "cgcs-heartbeat", message
    if isinstance(message.get("data"), str):
        try:
            message = {**message, "data": wire.parse_object(message["data"])}
        except wire.Malformed as reason:
            raise wire.Malformed("bad_envelope" if reason.args[0] == "not_json" else reason.args[0]) from None
    structure = {**message, "version": 2} if is_integer(message.get("version")) else message
    if not envelope_schema(channel).is_valid(structure) or not is_integer(message["version"]):
        raise wire.Malformed("bad_envelope")
    source, dest = message["source_addr"], message["dest_addr"]
    return FOLDER.get(source if source == "vitalwire.base" else dest), message["data"]


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def pdu_schema(folder, msg_type, direction):
    return SCHEMAS.get(f"{folder}/{msg_type}") or SCHEMAS.get(f"{folder}/{msg_type}.{direction}")


def payload_of(broadcast, has_encoding):
    if has_encoding and broadcast.get("encoding") == "base64":
        return base64.b64decode(broadcast["data"], validate=True)
    return broadcast["data"].encode("utf-8")


class Vectors(unittest.TestCase):
    def for_each_message(self, check, *results):
        """Calls check(vector, line, expectation) for the messages with one of these results (all, if none)."""
        for file, vector in vectors():
            found = wire.lines(stream_of(vector))
            for line, expect in zip(found, vector["expect"]):
                if results and expect["result"] not in results:
                    continue
                with self.subTest(file=file, vector=vector["id"]):
                    check(vector, line, expect)

    def test_ids_are_unique_and_results_are_known(self):
        ids = [vector["id"] for _, vector in vectors()]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertGreater(len(ids), 300)
        for _, vector in vectors():
            self.assertTrue({e["result"] for e in vector["expect"]} <= RESULTS, vector["id"])

    def test_each_complete_line_has_one_expectation(self):
        for file, vector in vectors():
            with self.subTest(file=file, vector=vector["id"]):
                found = list(wire.lines(stream_of(vector)))
                self.assertEqual(len(found), len(vector["expect"]))

    def test_only_malformed_lines_are_malformed_and_for_the_stated_reason(self):
        def check(vector, line, expect):
            try:
                split(wire.parse(line, vector["channel"]), vector["channel"])
                found = None
            except wire.Malformed as malformed:
                found = malformed.args[0]
            if expect.get("unescaped"):
                self.assertIsNotNone(found)
            else:
                self.assertEqual(found, expect.get("reason"))

        self.for_each_message(check)

    def test_accepted_messages_validate_and_hold_the_stated_fields(self):
        def check(vector, line, expect):
            message = wire.mend(line) if expect.get("unescaped") else wire.parse(line, vector["channel"])
            folder, pdu = split(message, vector["channel"])
            if "address" in expect:
                self.assertEqual(message["version"], expect["base_version"])
                self.assertEqual(FOLDER[expect["address"]], folder)
            self.assertEqual(pdu["msg_type"], expect["pdu"])
            if not expect.get("tolerated"):
                pdu_schema(folder, expect["pdu"], vector["direction"]).validate(pdu)
            if vector["channel"] == "native":
                self.assert_fields(pdu, expect["fields"], expect.get("tolerated"))
            elif "reason" in expect["fields"] and not expect.get("tolerated"):
                self.assertTrue(pdu.get("log_msg", "").startswith(expect["fields"]["reason"]))
            if "payload_base64" in expect["fields"]:
                native = vector["channel"] == "native"
                self.assertEqual(payload_of(pdu, native), base64.b64decode(expect["fields"]["payload_base64"]))

        self.for_each_message(check, "accepted")

    def assert_fields(self, pdu, fields, cut):
        for key in pdu.keys() & fields.keys():
            if cut and isinstance(pdu[key], str):
                self.assertTrue(pdu[key].startswith(fields[key]), key)
            else:
                self.assertEqual(pdu[key], fields[key], key)

    def test_refused_messages_are_invalid_by_schema_where_a_schema_can_tell(self):
        def check(vector, line, expect):
            message = wire.parse(line, vector["channel"])
            folder, pdu = split(message, vector["channel"])
            wrong_way = pdu.get("msg_type") == "nack" and vector["direction"] == "guest_to_host"
            if expect.get("schema_blind") or wrong_way:
                return
            envelope = envelope_schema(vector["channel"])
            schema = pdu_schema(folder, pdu.get("msg_type"), vector["direction"])
            self.assertFalse((envelope is None or envelope.is_valid(message)) and schema and schema.is_valid(pdu))

        self.for_each_message(check, "nack", "ignored")

    def test_every_schema_is_exercised_by_an_accepted_vector(self):
        used = set()

        def check(vector, line, expect):
            message = wire.mend(line) if expect.get("unescaped") else wire.parse(line, vector["channel"])
            folder, pdu = split(message, vector["channel"])
            used.update({f"{folder}/{pdu['msg_type']}", f"{folder}/{pdu['msg_type']}.{vector['direction']}"})

        self.for_each_message(check, "accepted")
        self.assertEqual({name for name in SCHEMAS if not name.endswith("/envelope")} - used, set())

    def test_the_state_of_a_member_is_the_same_wherever_it_appears(self):
        native = SCHEMAS["group/status_response"].schema["properties"]["data"]
        self.assertEqual(SCHEMAS["group/notification"].schema["properties"]["data"], native)
        self.assertEqual(SCHEMAS["cgcs-group/status_response"].schema["properties"]["data"], native)
        cgcs = SCHEMAS["cgcs-group/notification"].schema["properties"]["data"]
        self.assertEqual(cgcs["properties"]["payload"], native)


if __name__ == "__main__":
    sys.exit(unittest.main())
