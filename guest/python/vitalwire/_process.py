"""Which process this is, also where a child has its parent's number: in a PID namespace of its own."""

from __future__ import annotations

import os
from typing import Tuple

_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


def this_process() -> Tuple[int, int]:
    """Another one in every child that was forked."""
    return os.getpid(), _forks
