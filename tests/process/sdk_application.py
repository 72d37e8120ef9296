#!/usr/bin/python3
"""An application of the guest SDK as it is: it calls the functions of server_group.h, and knows nothing of Vitalwire.

    sdk_application.py LIBRARY [MESSAGE]    broadcasts MESSAGE, asks for the status, and prints what it is told
"""

import ctypes
import select
import sys

BROADCAST = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_ushort)
OTHER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ushort)


def say(*words: str) -> None:
    print(*words, flush=True)


@BROADCAST
def on_broadcast(source, message, size):
    say("broadcast", source.decode(), ctypes.string_at(message, size).decode())


@OTHER
def on_notification(message, size):
    say("notification", ctypes.string_at(message, size).decode())


@OTHER
def on_status(message, size):
    say("status", ctypes.string_at(message, size).decode())


def main() -> None:
    library = ctypes.CDLL(sys.argv[1])
    library.sg_get_error.restype = ctypes.c_char_p
    descriptor = library.init_sg(on_broadcast, on_notification, on_status)
    if descriptor < 0:
        sys.exit(library.sg_get_error().decode())
    if sys.argv[2:] and library.sg_msg_broadcast(sys.argv[2].encode(), 0) != 0:
        say("not sent:", library.sg_get_error().decode())
    if library.sg_request_status() != 0:
        say("not asked:", library.sg_get_error().decode())
    while True:
        select.select([descriptor], [], [])
        if library.process_sg_msg() < 0:
            say("error:", library.sg_get_error().decode())


if __name__ == "__main__":
    main()
