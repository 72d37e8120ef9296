"""Flavor extra specs of the namespace `vitalwire`, for Nova's API.

Loaded through the entry point `nova.api.extra_spec_validators`. With it, a misspelt key or a bad
value is refused with 400 from compute microversion 2.86 on.
"""
from nova.api.validation.extra_specs import base

# Name: (what it is, what Nova checks).
EXTRA_SPECS = {
    "heartbeat": (
        "Challenge the guest over a virtio-serial channel and report when it stops answering.",
        {"type": bool},
    ),
    "messaging": (
        "Let the guest exchange messages with its peers in the server group.",
        {"type": bool},
    ),
    "heartbeat_guest_agent": (
        "Ask the QEMU guest agent for a sign of life where the guest has no heartbeat of its own.",
        {"type": bool},
    ),
    "heartbeat_detect_multiplier": (
        "Challenges in a row without a valid answer before the heartbeat counts as lost.",
        {"type": int, "min": 1, "max": 10},
    ),
    "heartbeat_min_interval_ms": (
        "Shortest heartbeat interval a guest may ask for, in milliseconds.",
        {"type": int, "min": 100, "max": 3600000},
    ),
    "detection_time": (
        "Time in which a failure of the guest is detected where the guest itself declares none, in milliseconds.",
        {"type": int, "min": 200, "max": 3600000},
    ),
    "establish_timeout_s": (
        "Time after boot within which the guest must register, in seconds.",
        {"type": int, "min": 10, "max": 3600},
    ),
    "messages_per_second": (
        "Messages a second the guest may send to its server group.",
        {"type": int, "min": 1, "max": 10000},
    ),
    "bytes_per_second": (
        "Bytes a second the guest may send to its server group.",
        {"type": int, "min": 1024, "max": 10485760},
    ),
    "corrective_action": (
        "What is advised when the guest fails; used where the guest itself asks for nothing.",
        {"type": str, "enum": ["none", "log", "reboot", "stop"]},
    ),
    "action_votes": (
        "Let the guest reject a stop, reboot, pause, suspend, migration or resize; false: it is notified only.",
        {"type": bool},
    ),
}


def register():
    return [
        base.ExtraSpecValidator(name="vitalwire:" + name, description=description, value=value)
        for name, (description, value) in EXTRA_SPECS.items()
    ]
