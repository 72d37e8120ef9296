#!/usr/bin/python3
"""A member of a corosync process group, by libcpg.

    corosync_member.py latency MESSAGES    from a multicast to its delivery at another member: median and p99, nanoseconds
    corosync_member.py watch PID           waits until that member has left the group
    corosync_member.py member              joins, prints its pid, and dispatches
"""

import ctypes
import os
import sys
import time

CS_OK, CS_TRY_AGAIN = 1, 6
AGREED = 2
DISPATCH_ONE, DISPATCH_BLOCKING = 1, 3
LENGTH = 200


class Name(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint32), ("value", ctypes.c_char * 128)]


class Address(ctypes.Structure):
    _fields_ = [("nodeid", ctypes.c_uint32), ("pid", ctypes.c_uint32), ("reason", ctypes.c_uint32)]


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]


Deliver = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.POINTER(Name), ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p,
                           ctypes.c_size_t)
Change = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.POINTER(Name), ctypes.POINTER(Address), ctypes.c_size_t,
                          ctypes.POINTER(Address), ctypes.c_size_t, ctypes.POINTER(Address), ctypes.c_size_t)


class Callbacks(ctypes.Structure):
    _fields_ = [("deliver", Deliver), ("change", Change)]


GROUP = Name(5, b"bench")


class Member:
    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcpg.so.4")
        self._handle = ctypes.c_uint64()
        self._callbacks = Callbacks(Deliver(self._deliver), Change(self._change))
        self.taken: list[int] = []  # nanoseconds of each message on its way
        self.left: set[int] = set()
        deadline = time.monotonic() + 30
        while self._library.cpg_initialize(ctypes.byref(self._handle), ctypes.byref(self._callbacks)) != CS_OK:
            if time.monotonic() > deadline:
                raise RuntimeError("corosync does not answer")
            time.sleep(0.1)
        self._call("cpg_join", ctypes.byref(GROUP))

    def send(self) -> None:
        payload = str(time.monotonic_ns()).encode().ljust(LENGTH)
        self._call("cpg_mcast_joined", AGREED, ctypes.byref(Vector(payload, LENGTH)), 1)

    def dispatch(self, how: int = DISPATCH_ONE) -> None:
        self._call("cpg_dispatch", how)

    def _call(self, name: str, *arguments: object) -> None:
        while (status := getattr(self._library, name)(self._handle, *arguments)) == CS_TRY_AGAIN:
            time.sleep(0.001)
        if status != CS_OK:
            raise RuntimeError(f"{name}: {status}")

    def _deliver(self, _handle: int, _name: object, _node: int, _pid: int, message: int, length: int) -> None:
        self.taken.append(time.monotonic_ns() - int(ctypes.string_at(message, length)))

    def _change(self, _handle: int, _name: object, _members: object, _count: int, left: object, left_count: int,
                *_joined: object) -> None:
        self.left |= {left[index].pid for index in range(left_count)}


def latency(messages: int) -> None:
    """The sender is another process: a process joins a group once."""
    receiver = Member()
    sender = os.fork()
    if sender == 0:
        send_one_after_the_other(messages)
        os._exit(0)
    while len(receiver.taken) < messages:
        receiver.dispatch()
    os.waitpid(sender, 0)
    taken = sorted(receiver.taken)
    print(taken[len(taken) // 2], taken[len(taken) * 99 // 100], flush=True)


def send_one_after_the_other(messages: int) -> None:
    member = Member()
    for number in range(1, messages + 1):
        member.send()
        while len(member.taken) < number:
            member.dispatch()


def watch(pid: int) -> None:
    member = Member()
    print("watching", flush=True)
    while pid not in member.left:
        member.dispatch()
    print("left", flush=True)


def main() -> None:
    command, *rest = sys.argv[1:]
    if command == "latency":
        latency(int(rest[0]))
    elif command == "watch":
        watch(int(rest[0]))
    else:
        member = Member()
        print(os.getpid(), flush=True)
        member.dispatch(DISPATCH_BLOCKING)


if __name__ == "__main__":
    main()
