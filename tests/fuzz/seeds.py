#!/usr/bin/python3
"""seeds.py FOLDER: writes the inputs that the fuzz targets begin with, below FOLDER/TARGET/.

They are the vectors of the specification, notifications of a real Nova, and what is in seeds/TARGET/ here."""

import base64
import json
from pathlib import Path
import shutil
import sys

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parents[1] / "proto-spec" / "vectors"
NOVA = HERE.parents[0] / "unit" / "controller" / "openstack" / "nova_life.jsonl"
NOTIFICATIONS_OF_A_SEED = 12

# As in wire_fuzz.cpp: the first bytes of an input.
CHANNELS = {"native": 0, "cgcs.heartbeat": 1, "cgcs.messaging": 2}
RECEIVERS = {"guest_to_host": 0, "host_to_guest": 1}
PIECE = 16


def stream(vector: dict) -> bytes:
    return base64.b64decode(vector["base64"]) if "base64" in vector else vector["bytes"].encode()


def wire_seeds() -> dict[str, bytes]:
    seeds = {}
    for file in sorted(VECTORS.glob("*.json")):
        for vector in json.loads(file.read_text())["vectors"]:
            head = bytes([CHANNELS[vector["channel"]], RECEIVERS[vector["direction"]], PIECE])
            seeds[vector["id"]] = head + stream(vector)
    return seeds


def nova_seeds() -> dict[str, bytes]:
    """What a real Nova notified, some messages a seed."""
    lines = [b"N" + line + b"\n" for line in NOVA.read_bytes().splitlines()]
    pieces = range(0, len(lines), NOTIFICATIONS_OF_A_SEED)
    return {f"life-{at}": b"".join(lines[at : at + NOTIFICATIONS_OF_A_SEED]) for at in pieces}


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    out = Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(HERE / "seeds", out)
    for folder, seeds in (("wire", wire_seeds()), ("nova", nova_seeds())):
        (out / folder).mkdir(exist_ok=True)
        for name, content in seeds.items():
            (out / folder / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
