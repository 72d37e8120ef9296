"""What can be built and run: one stage is one build and a choice of its tests; a plan is the stages of one command."""

from dataclasses import dataclass, replace
from pathlib import Path
import subprocess

ROOT = Path(__file__).resolve().parents[2]

# Labels of tests that say nothing more under a sanitizer: guests do not run the build at hand, sources are sources.
NOT_SANITIZED = ("qemu", "libvirt", "openstack", "style", "tidy", "bench", "long")
NOT_QUICK = ("qemu", "libvirt", "bench", "tidy")

ASAN = (
    ("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1"),
    ("UBSAN_OPTIONS", "print_stacktrace=1"),
)


@dataclass(frozen=True)
class Stage:
    """A build, and which of its tests are run."""

    name: str
    preset: str
    only: tuple[str, ...] = ()  # labels; none: all
    left_out: tuple[str, ...] = ()  # labels
    targets: tuple[str, ...] = ()  # none: those of the preset
    environment: tuple[tuple[str, str], ...] = ()
    fixed_addresses: bool = False  # TSan of GCC 12 cannot cope with as much randomization as newer kernels do
    repeat: int = 1  # a test fails if one of its runs fails
    minutes: int = 0  # expected on an idle machine of two cores, build included: a limited plan leaves out what is too long
    needed: bool = False  # never left out


@dataclass(frozen=True)
class Plan:
    stages: tuple[Stage, ...]
    minutes: int = 0  # 0: no limit
    again: bool = False  # run what failed once more
    builds_ahead: bool = False  # build what comes later beside the tests: not where they measure
    fuzz_seconds: int = 20


RELEASE = Stage("release", "release", left_out=("openstack", "long"), minutes=30, needed=True)
OPENSTACK = Stage("openstack", "release", only=("openstack",), minutes=27)
CLOUD_MOVES = Stage("openstack", "release", only=("moves",), minutes=12)  # of its tests those in which servers move, stop and die
ASAN_ALL = Stage("asan", "asan", left_out=NOT_SANITIZED, environment=ASAN)
ASAN_UNIT = Stage("asan", "asan", only=("unit", "fuzz"), targets=("unit_tests", "fuzzers"), environment=ASAN, minutes=6)
TSAN = Stage(
    "tsan",
    "tsan",
    left_out=NOT_SANITIZED,
    environment=(
        ("TSAN_OPTIONS", f"halt_on_error=1:second_deadlock_stack=1:suppressions={ROOT}/tests/runner/tsan.supp"),
    ),
    fixed_addresses=True,
)
FUZZ = Stage("fuzz", "fuzz", only=("fuzz",), minutes=8)
REPEAT = Stage("repeat", "release", only=("process", "qemu", "libvirt"), repeat=3)
LONG = Stage("long", "release", only=("long",))


def tidy_of_changes() -> Stage:
    return Stage(
        "tidy",
        "release",
        only=("tidy",),
        environment=(("VITALWIRE_TIDY_SINCE", base_revision()), ("VITALWIRE_TIDY_SECONDS", "480")),
        minutes=9,
    )


def base_revision() -> str:
    """The commit that a change begins at: where it left main, or the one before if this is main."""
    head = git("rev-parse", "HEAD")
    for main in ("origin/main", "main"):
        base = git("merge-base", "HEAD", main)
        if base and base != head:
            return base
    return git("rev-parse", "HEAD~1") or head


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def plan(name: str) -> Plan:
    """`quick`: what needs no virtual machine; `ci`: what has to pass; `wanted`: what `ci` is to become, most wanted first,
    as far as it fits into the limit; `all`; `long`: also what takes hours."""
    if name == "quick":
        return Plan((replace(RELEASE, left_out=RELEASE.left_out + NOT_QUICK),))
    if name == "ci":
        # A stage of `wanted` moves here when it has been seen to pass on the present code.
        release = replace(RELEASE, left_out=RELEASE.left_out + ("bench", "tidy"))
        return Plan((release, ASAN_UNIT, CLOUD_MOVES), minutes=70, again=True, builds_ahead=True)
    if name == "wanted":
        release = replace(RELEASE, left_out=RELEASE.left_out + ("bench", "tidy"))
        stages = (release, ASAN_UNIT, OPENSTACK, tidy_of_changes(), FUZZ)
        return Plan(stages, minutes=70, again=True, builds_ahead=True, fuzz_seconds=5)
    everything = (RELEASE, OPENSTACK, ASAN_ALL, TSAN, FUZZ)
    if name == "all":
        return Plan(everything)
    return Plan(everything + (REPEAT, LONG), fuzz_seconds=300)
