"""Reads a byte stream as proto-spec/base-layer.md says. A second reader beside the C++ one, kept
apart from it on purpose: where the two differ, the specification is not clear enough."""

import json

MAX_MESSAGE = {"native": 8192, "cgcs.heartbeat": 1056, "cgcs.messaging": 4096}  # both newlines included
MAX_DEPTH = 16
MAX_KEYS = 64


class Malformed(Exception):
    """The line is no message; args[0] is the reason."""


def lines(stream):
    """The complete, non-empty lines of a stream, without newline and carriage return."""
    complete = stream.split(b"\n")[:-1]
    for line in complete:
        if line.endswith(b"\r"):
            line = line[:-1]
        if line:
            yield line


def parse(line, channel):
    """One line as a JSON object. Raises Malformed."""
    if len(line) > MAX_MESSAGE[channel] - 2:
        raise Malformed("too_long")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not_utf8") from None
    return parse_object(text)


def mend(line):
    """A cgcs guest's line, in whose log_msg, the last field, nothing is escaped, as JSON (cgcs-guests.md)."""
    sound, key, text = line.partition(b'"log_msg":"')
    if not key:
        raise Malformed("not_json")
    text = text.removesuffix(b'"}').decode("utf-8", errors="replace")
    return parse_object(sound.decode("utf-8", errors="strict") + '"log_msg":' + json.dumps(text) + "}")


def parse_object(text):
    if _depth(text) > MAX_DEPTH:
        raise Malformed("too_deep")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_float)
    except ValueError:
        raise Malformed("not_json") from None
    if not isinstance(value, dict):
        raise Malformed("bad_envelope")
    _refuse_lone_surrogates(value)
    return value


def _depth(text):
    """Deepest nesting, counted before parsing so that no input can exhaust the stack."""
    deepest = depth = 0
    in_string = escaped = False
    for c in text:
        if in_string:
            if escaped:
                escaped = False
            elif c == "\\":
                escaped = True
            elif c == '"':
                in_string = False
        elif c == '"':
            in_string = True
        elif c in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif c in "}]":
            depth -= 1
    return deepest


def _object(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise Malformed("duplicate_key")
    if len(keys) > MAX_KEYS:
        raise Malformed("too_many_keys")
    return dict(pairs)


def _refuse(text):
    raise ValueError(text)


def _float(text):
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


def _refuse_lone_surrogates(value):
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_lone_surrogates(key)
            _refuse_lone_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _refuse_lone_surrogates(item)
    elif isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise Malformed("not_json")
