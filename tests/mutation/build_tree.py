"""A build of the suite in which single files can be replaced: one source is compiled and one program linked, nothing else.

The new object stands before the library that holds the old one, which the linker then has no use for."""

from dataclasses import dataclass
import functools
import json
import os
from pathlib import Path
import re
import shlex
import signal
import subprocess
import tempfile

ROOT = Path(__file__).resolve().parents[2]
# Warnings are not what is looked for, and the fastest code to compile is good enough to be wrong.
OVERRIDES = ("-w", "-O0", "-g0", "-Wno-error")
MEMORY = 4 << 30


class NotBuilt(Exception):
    """The change does not compile or link."""


@dataclass(frozen=True)
class Program:
    """What is run to notice a change."""

    target: str
    arguments: tuple[str, ...] = ()


class BuildTree:
    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        objects = [entry for entry in json.loads(self._ninja("-t", "compdb")) if entry["output"].endswith(".o")]
        self._compile = {entry["output"]: entry["command"] for entry in objects}
        self._source = {entry["output"]: Path(entry["file"]) for entry in objects}
        if any("/Unity/" in str(source) for source in self._source.values()):
            raise ValueError(f"{folder} is a unity build: files cannot be replaced one by one")

    def build(self, targets: list[str]) -> None:
        subprocess.run(["ninja", "-C", self.folder, *targets], check=True, stdout=subprocess.DEVNULL)

    @functools.cached_property
    def unit_tests(self) -> list[str]:
        listing = self._ninja("-t", "targets", "all")
        return sorted(set(re.findall(r"^(tests/unit/[^\s:\[]+): CXX_EXECUTABLE_LINKER", listing, re.MULTILINE)))

    @functools.lru_cache(maxsize=None)
    def objects_in(self, target: str) -> frozenset[str]:
        return frozenset(line for line in self._ninja("-t", "inputs", target).splitlines() if line in self._compile)

    @functools.lru_cache(maxsize=None)
    def objects_from(self, source: Path) -> frozenset[str]:
        """What has to be compiled again when `source`, maybe a header, changes."""
        if source.suffix in (".cpp", ".c"):
            return frozenset(name for name, path in self._source.items() if path == source)
        return frozenset(name for name, uses in self._dependencies.items() if str(source) in uses)

    @functools.cached_property
    def _dependencies(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        uses: set[str] = set()
        for line in self._ninja("-t", "deps").splitlines():
            if line.startswith(" "):
                uses.add(os.path.normpath(self.folder / line.strip()))
            elif line:
                uses = found.setdefault(line.split(":")[0], set())
        return found

    def tests_of(self, source: Path) -> list[Program]:
        """The unit tests of the folder of `source`, else all that are linked with it."""
        objects = self.objects_from(source)
        covering = [test for test in self.unit_tests if objects & self.objects_in(test)]
        folders = set(source.relative_to(ROOT).parts[:-1])
        near = [test for test in covering if folders & set(Path(test).parts[2:-1])]
        return [Program(test) for test in near or covering]

    def program_with(self, source: Path, text: str, program: Program, out: Path) -> Path:
        """Links the program of `program` as if `source` contained `text`."""
        overlay = self._overlay(source, text, out)
        replaced = {}
        for name in sorted(self.objects_from(source) & self.objects_in(program.target)):
            replaced[name] = out / f"{len(replaced)}.o"
            command = shlex.split(self._compile[name])
            if command[0].endswith("ccache"):
                command = command[1:]
            original = str(self._source[name])
            command[command.index("-o") + 1] = str(replaced[name])
            if original == str(source):
                command = [str(overlay) if word == original else word for word in command]
            command[1:1] = [f"-I{out / root}" for root in ("", "src", "include")]
            self._run([*command, *OVERRIDES])
        return self._link(program.target, replaced, out)

    def _overlay(self, source: Path, text: str, out: Path) -> Path:
        """The changed source at its place below `out`, which is searched before the tree."""
        overlay = out / source.relative_to(ROOT)
        overlay.parent.mkdir(parents=True, exist_ok=True)
        overlay.write_text(text)
        # "x.hpp" of its own folder is still found where it is.
        return overlay

    def _link(self, target: str, replaced: dict[str, Path], out: Path) -> Path:
        commands = self._ninja("-t", "commands", "-s", target)
        link = re.search(r"(?:^|&& )(?P<command>\S*(?:g\+\+|c\+\+|clang\+\+)\S* .*?)(?: &&|$)", commands, re.MULTILINE)
        if link is None:
            raise ValueError(f"no link command of {target}")
        words = shlex.split(link["command"])
        changed = out / Path(target).name
        words[words.index("-o") + 1] = str(changed)
        words = [str(replaced.get(word, word)) for word in words]
        own = {str(path) for path in replaced.values()} & set(words)
        first = next(at for at, word in enumerate(words) if word.endswith(".o"))
        words[first:first] = [str(path) for path in replaced.values() if str(path) not in own]
        self._run(words)
        return changed

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotBuilt(done.stderr)

    def _ninja(self, *arguments: str) -> str:
        command = ["ninja", "-C", str(self.folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("ninja: Entering"))


def run_limited(program: Path, arguments: tuple[str, ...], seconds: float) -> bool:
    """True if the program ended well. What never ends, or wants all memory, has not."""
    with tempfile.TemporaryDirectory(prefix="vw-mutation-") as folder, subprocess.Popen(
        ["prlimit", f"--as={MEMORY}", program, *arguments],
        cwd=folder,
        env={**os.environ, "GTEST_FAIL_FAST": "1", "GTEST_BRIEF": "1", "TMPDIR": folder},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
