"""The builds of a run: that of a later stage is made while an earlier one is tested, with what its tests leave of the machine."""

import os
from pathlib import Path
import shlex
import signal
import subprocess

from clock import Clock
from stages import ROOT, Stage

# Tests keep time: a build beside them gets the processor only when nobody else wants it. The kernel may share the processor
# out by session first (autogroup), so the session's weight is lowered too.
IDLE = ("/bin/sh", "-c", '{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec chrt --idle 0 "$@"', "idle")


class Builds:
    def __init__(self, fuzz_seconds: int, jobs: int) -> None:
        self._fuzz_seconds = fuzz_seconds
        self._jobs = jobs
        self._ahead: dict[str, subprocess.Popen[bytes]] = {}
        self._made: set[str] = set()

    def make(self, stage: Stage, clock: Clock) -> bool:
        """Whether the stage's build is there afterwards."""
        if ahead := self._ahead.pop(stage.name, None):
            made = clock.wait(f"{stage.name}: build, begun before", ahead) == 0
            if not made:
                print(self.log(stage).read_text(errors="replace")[-20000:])
        else:
            made = not any(clock.run(f"{stage.name}: {what}", command) for what, command in self.commands(stage))
        if made:
            self._made.add(stage.preset)
        return made

    def begin_next(self, stages: list[Stage]) -> None:
        """Begins the build of the first of these whose preset has none, unless one is being made."""
        wanted = [stage for stage in stages if stage.preset not in self._made]
        if not wanted or self._ahead:
            return
        stage = wanted[0]
        script = " && ".join(shlex.join(command) for _, command in self.commands(stage))
        self.log(stage).parent.mkdir(parents=True, exist_ok=True)
        with open(self.log(stage), "wb") as log:
            self._ahead[stage.name] = subprocess.Popen(
                [*IDLE, "/bin/sh", "-c", script], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        print(f"== {stage.name}: build begins beside the tests, output in {self.log(stage).relative_to(ROOT)}", flush=True)

    def stop(self) -> None:
        """Ends what nobody waits for any more."""
        for process in self._ahead.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._ahead.clear()

    def commands(self, stage: Stage) -> list[tuple[str, list[str]]]:
        targets = ["--target", *stage.targets] if stage.targets else []
        return [
            ("configure", ["cmake", "--preset", stage.preset, f"-DVITALWIRE_FUZZ_SECONDS={self._fuzz_seconds}"]),
            ("build", ["cmake", "--build", "--preset", stage.preset, "-j", str(self._jobs), *targets]),
        ]

    def log(self, stage: Stage) -> Path:
        return ROOT / "build" / f"build-{stage.name}.log"
