"""Tries changes of sources: which of the programs that cover a source notice one."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
import tempfile
import time

from build_tree import BuildTree, NotBuilt, Program, run_limited

SLOWEST_NORMAL_RUN = 300.0
PATIENCE = 20.0  # seconds more than twice the normal run until a test counts as hanging


@dataclass(frozen=True)
class Job:
    """A source that is to be replaced by `text`."""

    name: str
    source: Path
    text: str
    programs: tuple[Program, ...]


@dataclass(frozen=True)
class Outcome:
    job: Job
    built: bool
    noticed_by: str = ""  # nobody: survived


class Trial:
    def __init__(self, build: BuildTree) -> None:
        self._build = build
        self._normal: dict[Program, float] = {}

    def prepare(self, programs: Iterable[Program]) -> None:
        """Each must succeed without a change, or its failures would say nothing."""
        for program in sorted(set(programs), key=lambda program: program.target):
            begin = time.monotonic()
            if not run_limited(self._build.folder / program.target, program.arguments, SLOWEST_NORMAL_RUN):
                raise SystemExit(f"{program.target} fails without any change")
            self._normal[program] = time.monotonic() - begin

    def run(self, jobs: list[Job], parallel: int) -> Iterator[Outcome]:
        """In the order in which they end."""
        with ThreadPoolExecutor(parallel) as pool:
            for future in as_completed([pool.submit(self._try, job) for job in jobs]):
                yield future.result()

    def _try(self, job: Job) -> Outcome:
        for program in job.programs:
            with tempfile.TemporaryDirectory(prefix="vw-mutation-") as folder:
                try:
                    changed = self._build.program_with(job.source, job.text, program, Path(folder))
                except NotBuilt:
                    return Outcome(job, built=False)
                if not run_limited(changed, program.arguments, 2 * self._normal[program] + PATIENCE):
                    return Outcome(job, built=True, noticed_by=program.target)
        return Outcome(job, built=True)
