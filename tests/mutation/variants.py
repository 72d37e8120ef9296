"""Deliberately broken variants of the suite: variants.txt.

    == name
    path of the source
    - text to be replaced, which must stand there exactly once; more lines begin with `- ` too
    + what it becomes
"""

from dataclasses import dataclass
from pathlib import Path
import re

from build_tree import ROOT

TABLE = Path(__file__).with_name("variants.txt")


@dataclass(frozen=True)
class Variant:
    name: str
    source: Path
    before: str
    after: str

    def text(self) -> str:
        original = self.source.read_text()
        count = original.count(self.before)
        if count != 1:
            raise SystemExit(f"variant '{self.name}': `{self.before}` stands {count} times in "
                             f"{self.source.relative_to(ROOT)}, expected once: adapt variants.txt")
        return original.replace(self.before, self.after)


def read_variants(only: str = "") -> list[Variant]:
    """Those whose name matches the regular expression `only`."""
    return [variant for variant in map(_parse, TABLE.read_text().split("\n== ")[1:]) if re.search(only, variant.name)]


def _parse(block: str) -> Variant:
    name, path, *lines = block.rstrip("\n").split("\n")
    before = "\n".join(line[2:] for line in lines if line.startswith("- "))
    after = "\n".join(line[2:] for line in lines if line.startswith("+ "))
    source = ROOT / path
    if not before or not source.is_file():
        raise SystemExit(f"variant '{name}': expected a source and `- ` lines, got {path!r}")
    return Variant(name, source, before, after)
