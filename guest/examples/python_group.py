#!/usr/bin/python3
"""An application of the server group in Python, over libvitalwire: tells its peers each line it reads, and prints what
they say and how their state changes. vitalwire.h has the structures and what they mean."""
import ctypes, os, select, sys

OK, ALL = 0, 0  # VW_OK, VW_DISPATCH_ALL

class Message(ctypes.Structure):  # struct vw_group_message
    _fields_ = [("source_instance", ctypes.c_char_p), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t),
                ("from_operator", ctypes.c_int)]

class Member(ctypes.Structure):  # struct vw_group_member, as far as it is used
    _fields_ = [(name, ctypes.c_char_p) for name in ("instance_id", "display_name", "state", "state_description", "heartbeat")]

class Notification(ctypes.Structure):  # struct vw_group_notification
    _fields_ = [("event_type", ctypes.c_char_p), ("timestamp", ctypes.c_char_p), ("member", ctypes.POINTER(Member))]

class Refusal(ctypes.Structure):  # struct vw_group_refusal
    _fields_ = [("result", ctypes.c_int), ("message", ctypes.c_char_p), ("id", ctypes.c_uint32), ("refused", ctypes.c_uint32)]

BROADCAST = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Message), ctypes.c_void_p)
NOTIFICATION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Notification), ctypes.c_void_p)
REFUSED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Refusal), ctypes.c_void_p)
DROPPED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p)

class Options(ctypes.Structure):  # struct vw_group_options
    _fields_ = [("size", ctypes.c_size_t), ("broadcast", BROADCAST), ("notification", NOTIFICATION), ("refused", REFUSED),
                ("dropped", DROPPED), ("context", ctypes.c_void_p)]

def on_broadcast(_vw, message, _context):
    payload = ctypes.string_at(message[0].data, message[0].size)  # bytes of any value, valid in here only
    print(f"{message[0].source_instance.decode()} says: {ascii(payload)}", flush=True)

def on_notification(_vw, told, _context):
    member = told[0].member[0]
    print(f"{member.instance_id.decode()} is now {ascii(member.state.decode())}", flush=True)

def on_refused(_vw, refusal, _context):
    print("not sent:", ascii(refusal[0].message.decode()), flush=True)

def on_dropped(_vw, count, _context):
    print("missed", count, flush=True)

def main(library):
    library.vw_last_error.restype = ctypes.c_char_p
    vw = ctypes.c_void_p()
    # Kept in a variable: the library calls them as long as the subscription lasts.
    options = Options(ctypes.sizeof(Options), BROADCAST(on_broadcast), NOTIFICATION(on_notification), REFUSED(on_refused),
                      DROPPED(on_dropped), None)
    if library.vw_open(None, ctypes.byref(vw)) != OK or library.vw_group_subscribe(vw, ctypes.byref(options)) != OK:
        sys.exit("libvitalwire: " + library.vw_last_error(vw).decode())
    inputs = [library.vw_fd(vw), sys.stdin.fileno()]
    while True:
        ready, _, _ = select.select(inputs, [], [])
        if inputs[0] in ready:
            library.vw_dispatch(vw, ALL)
        if sys.stdin.fileno() in ready:
            line = os.read(sys.stdin.fileno(), 3050)
            if not line:
                return library.vw_close(vw)
            payload = line.removesuffix(b"\n")
            if library.vw_group_broadcast(vw, payload, ctypes.c_size_t(len(payload)), None) != OK:
                print("not sent:", library.vw_last_error(vw).decode(), flush=True)

if __name__ == "__main__":
    main(ctypes.CDLL(sys.argv[1] if len(sys.argv) > 1 else "libvitalwire.so.1"))
