"""What CTest reports about a run, as counts and sentences."""

from dataclasses import dataclass, field
from pathlib import Path
import re
import xml.etree.ElementTree as ElementTree

# How `python3 -m unittest -v` and GoogleTest tell why a test was left out.
_UNITTEST_SKIP = re.compile(r"^(?P<name>.*?)(?: \.\.\.)? skipped (?P<quote>['\"])(?P<reason>.*)(?P=quote)$", re.MULTILINE)
_UNITTEST_END = re.compile(r"^Ran (?P<run>\d+) tests? in .*\n\nOK \(skipped=(?P<skipped>\d+)\)$", re.MULTILINE)
_GTEST_SKIP = re.compile(r"^.*: Skipped\n(?P<reason>.*)$", re.MULTILINE)


@dataclass
class Results:
    """`skipped` has a line for every test that did not run, or ran in part, and why; `unsteady` names those that
    passed only when they were run again."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    succeeded: set[str] = field(default_factory=set)

    def add(self, other: "Results") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.unsteady += other.unsteady

    def try_again(self, second: "Results") -> None:
        """`second`: of what had failed, when it was run once more."""
        mended = [name for name in self.failed if name in second.succeeded]
        self.failed = [name for name in self.failed if name not in second.succeeded]
        self.passed += len(mended)
        self.unsteady += mended

    def summary(self) -> str:
        return f"{self.passed} passed, {len(self.failed)} failed"


def read_junit(path: Path, stage: str) -> Results:
    """The results in a file of `ctest --output-junit`. A test is skipped only if it said so itself; what could not be
    started, or was not reached, has failed."""
    results = Results()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{stage}: {case.get('name')}"
        output = case.findtext("system-out") or ""
        if case.get("status") == "run":
            results.succeeded.add(name)
            results.passed += not _all_skipped(output)
            results.skipped += [f"{name}: {test}: {reason}" for test, reason in _skips_inside(output)]
        elif _skipped_itself(case):
            reason = _GTEST_SKIP.search(output)
            results.skipped.append(f"{name}: {reason['reason'] if reason else 'no reason given'}")
        else:
            results.failed.append(name)
    return results


def _skips_inside(output: str) -> list[tuple[str, str]]:
    return [(match["name"].strip(), match["reason"]) for match in _UNITTEST_SKIP.finditer(output)]


def _all_skipped(output: str) -> bool:
    end = _UNITTEST_END.search(output)
    return end is not None and int(end["skipped"]) >= int(end["run"])


def _skipped_itself(case: ElementTree.Element) -> bool:
    skipped = case.find("skipped")
    return skipped is not None and skipped.get("message", "").startswith("SKIP_")
