#!/usr/bin/python3
"""What ./quickstart shows: three real guests and what the inspector is told of them, a line a step."""

import argparse
import contextlib
from pathlib import Path
import signal
import sys
import time
from typing import Any, Iterator

import heartbeat_story
import server_group_story
import web_page
from stage import BUILD, Stage, set_up
from vmbed.procs import tail, temporary_dir


def offer(stage: Stage) -> None:
    """web-1 still beats: time to look around."""
    print(f"""
== web-1 still beats; look around in another terminal
   {stage.page}      the web page, in a browser
   {BUILD}/cli/vitalwire --agent {stage.agent.http} watch
   {BUILD}/cli/vitalwire --agent {stage.agent.http} faults
   curl -s --unix-socket {stage.controller.http} http://localhost/v1/faults
   kill {stage.guests["web-1"].pid}      # its QEMU: see the fault arrive

   Press Enter to end everything.""")
    sys.stdin.readline()


NEXT = """
What to try next
   http://127.0.0.1:8990/             the web page of every vitalwire-controller
   ./run-tests                        every test, on real guests and a real libvirt too
   proto-spec/README.md               write a guest in your language; guest/examples/python_guest.py is one
   guest/examples/heartbeat.c         give your application a heartbeat"""


def interrupt_on_signals() -> None:
    """The first one ends everything in order; more of them do not disturb that."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(*_: Any) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in numbers:
        signal.signal(number, interrupt)


@contextlib.contextmanager
def logs_after_failure(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception:
        for log in sorted(folder.rglob("*.log")):
            print(f"--- {log.name}\n{tail(log)}", file=sys.stderr)
        raise


def main() -> int:
    parser = argparse.ArgumentParser(prog="quickstart", description=__doc__)
    parser.add_argument("--check", action="store_true", help="do not wait for Enter at the end")
    options = parser.parse_args()
    interrupt_on_signals()
    begin = time.monotonic()
    try:
        with temporary_dir() as folder, logs_after_failure(folder), contextlib.ExitStack() as keep:
            stage = set_up(folder, keep)
            heartbeat_story.tell(stage)
            heartbeat_story.sum_up(stage)
            picture = web_page.show(stage, folder)
            server_group_story.tell(stage)
            if not options.check and sys.stdin.isatty():
                offer(stage)
    except KeyboardInterrupt:
        print("\nquickstart: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # already told by its step
        print("\n".join([f"quickstart: {error}", *getattr(error, "__notes__", ())]), file=sys.stderr)
        return 1
    print(f"== done in {time.monotonic() - begin:.0f} s{NEXT}")
    print(f"   {picture}      what the web page showed at {stage.page}" if picture else f"   {web_page.HOW}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
