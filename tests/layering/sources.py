"""The project's own files, wherever the tree was unpacked."""

from collections.abc import Iterator
from dataclasses import dataclass
import os
from pathlib import Path
import re

ROOT = Path(__file__).resolve().parents[2]

_NOT_OURS = {".git", ".cache", "__pycache__", "build", "node_modules"}
_CPP = {".c", ".cpp", ".h", ".hpp"}
_INCLUDE = re.compile(r'^\s*#\s*include\s+(?P<name>[<"][^>"]+[>"])')


@dataclass(frozen=True)
class Include:
    path: Path  # of the file that includes, relative to ROOT
    line: int
    name: str  # without <> or ""
    is_system: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.name}"


def files() -> Iterator[Path]:
    """Relative to ROOT."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(set(folders) - _NOT_OURS)
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and name not in _NOT_OURS and path.suffix != ".pyc":
                yield path.relative_to(ROOT)


def cpp_files() -> list[Path]:
    return [path for path in files() if path.suffix in _CPP]


def lines(path: Path) -> list[str]:
    return (ROOT / path).read_text(encoding="utf-8", errors="replace").split("\n")


def includes(path: Path) -> Iterator[Include]:
    for number, line in enumerate(lines(path), 1):
        if match := _INCLUDE.match(line):
            name = match["name"]
            yield Include(path, number, name[1:-1], name.startswith("<"))
