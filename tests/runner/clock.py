"""Where the time of a run went, and what is left of it."""

import os
import signal
import subprocess
import time

from stages import ROOT, Stage

GRACE_MINUTES = 15  # what runs then is ended that long after a plan's limit


class Clock:
    def __init__(self, limit_minutes: int) -> None:
        self._limit = limit_minutes
        self._begin = time.monotonic()
        self.parts: list[tuple[str, float]] = []

    def minutes(self) -> float:
        return (time.monotonic() - self._begin) / 60

    def has_room_for(self, stage: Stage) -> bool:
        return not self._limit or stage.needed or self.minutes() + stage.minutes <= self._limit

    def run(self, what: str, command: list[str], environment: dict[str, str] | None = None) -> int:
        """The status of the command, which is ended when the limit and its grace are over."""
        with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True) as process:
            return self.wait(what, process)

    def wait(self, what: str, process: subprocess.Popen[bytes]) -> int:
        """The same of a process that leads a session of its own."""
        print(f"== {what}", flush=True)
        begin = time.monotonic()
        left = (self._limit + GRACE_MINUTES - self.minutes()) * 60 if self._limit else None
        try:
            status = process.wait(left)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            print(f"{what}: ended after {self.minutes():.0f} minutes of the whole run", flush=True)
        self.parts.append((what, (time.monotonic() - begin) / 60))
        return status

    def story(self) -> str:
        parts = [f"{what} {minutes:.1f}" for what, minutes in self.parts]
        return f"minutes: {', '.join([*parts, f'all {self.minutes():.1f}'])}"
