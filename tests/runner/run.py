#!/usr/bin/python3
"""Builds the suite in every flavour and runs the tests of each: what ./run-tests does once the packages are there."""

import argparse
from dataclasses import dataclass
import os
from pathlib import Path
import re
import subprocess
import sys
import time

from results import Results, read_junit

ROOT = Path(__file__).resolve().parents[2]
JOBS = max(2, os.cpu_count() or 2)

# Labels of tests that say nothing more under a sanitizer: guests do not run the build at hand, sources are sources.
NOT_SANITIZED = ("qemu", "libvirt", "openstack", "style", "bench")


@dataclass(frozen=True)
class Stage:
    """A build, and which of its tests are run."""

    name: str
    preset: str
    only: str = ""  # label
    left_out: tuple[str, ...] = ()  # labels
    environment: tuple[tuple[str, str], ...] = ()
    fixed_addresses: bool = False  # TSan of GCC 12 cannot cope with as much randomization as newer kernels do


STAGES = (
    Stage("release", "release", left_out=("openstack",)),
    Stage("openstack", "release", only="openstack"),
    Stage(
        "asan",
        "asan",
        left_out=NOT_SANITIZED,
        environment=(
            ("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1"),
            ("UBSAN_OPTIONS", "print_stacktrace=1"),
        ),
    ),
    Stage(
        "tsan",
        "tsan",
        left_out=NOT_SANITIZED,
        environment=(
            ("TSAN_OPTIONS", f"halt_on_error=1:second_deadlock_stack=1:suppressions={ROOT}/tests/runner/tsan.supp"),
        ),
        fixed_addresses=True,
    ),
    Stage("fuzz", "fuzz", only="fuzz"),
)
QUICK_STAGES = ("release",)
NOT_QUICK = ("qemu", "libvirt", "bench", "tidy")


def main() -> int:
    options = parse_arguments()
    results = Results()
    for stage in STAGES:
        if reason := why_not(stage, options):
            results.skipped.append(f"stage {stage.name}: {reason}")
            continue
        started = time.monotonic()
        results.add(run_stage(stage, options))
        print(f"== {stage.name}: {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    return report(results)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run-tests", description="Installs what is missing, builds, runs all tests.")
    parser.add_argument("--openstack", action="store_true", help="also the tests on a real OpenStack cloud; needs root")
    parser.add_argument("--quick", action="store_true", help="no sanitizers, no real guests, no clang-tidy, no benchmarks")
    names = [stage.name for stage in STAGES]
    parser.add_argument("--stage", action="append", choices=names, help="only this stage; may be repeated")
    parser.add_argument("--again", action="store_true", help="run what failed once more, and name what passed only then")
    parser.add_argument("--fuzz-seconds", type=int, default=20, help="how long each fuzzer runs (default: %(default)s)")
    parser.add_argument("-R", "--regex", metavar="REGEX", help="only tests whose name matches")
    return parser.parse_args()


def why_not(stage: Stage, options: argparse.Namespace) -> str:
    if options.stage and stage.name not in options.stage:
        return "not among those of --stage"
    if stage.name == "openstack":
        return "" if options.openstack or options.stage else "give --openstack to run it"
    if options.quick and stage.name not in QUICK_STAGES:
        return "left out by --quick"
    return ""


def run_stage(stage: Stage, options: argparse.Namespace) -> Results:
    build = ROOT / "build" / stage.preset
    for what, command in (
        ("configure", ["cmake", "--preset", stage.preset, f"-DVITALWIRE_FUZZ_SECONDS={options.fuzz_seconds}"]),
        ("build", ["cmake", "--build", "--preset", stage.preset, "-j", str(JOBS)]),
    ):
        print(f"== {stage.name}: {what}", flush=True)
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            return Results(failed=[f"{stage.name}: {what}"])

    left_out = stage.left_out + (NOT_QUICK if options.quick else ())
    results = run_ctest(stage, build, left_out, options)
    if options.again and results.failed:
        results.try_again(run_ctest(stage, build, left_out, options, only_failed=True))
    if options.quick and stage.name in QUICK_STAGES:
        for label in NOT_QUICK:
            results.skipped.append(f"{stage.name}: {count_tests(build, label)} tests with label {label}: left out by --quick")
    return results


def run_ctest(
    stage: Stage, build: Path, left_out: tuple[str, ...], options: argparse.Namespace, only_failed: bool = False
) -> Results:
    print(f"== {stage.name}: {'failed tests again' if only_failed else 'tests'}", flush=True)
    junit = build / f"junit-{stage.name}{'-again' if only_failed else ''}.xml"
    junit.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", str(build), "-j", str(JOBS), "--output-on-failure", "--timeout", "300"]
    command += ["--output-junit", str(junit), "--test-output-size-passed", "65536", "--test-output-size-failed", "1048576"]
    command += [f"--no-tests={'ignore' if options.regex else 'error'}"]
    if stage.only:
        command += ["-L", f"^{stage.only}$"]
    if left_out:
        command += ["-LE", f"^({'|'.join(left_out)})$"]
    if options.regex:
        command += ["-R", options.regex]
    if only_failed:
        command += ["--rerun-failed"]
    if stage.fixed_addresses:
        command = ["setarch", "-R", *command]
    environment = {**os.environ, **dict(stage.environment)}
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    results = read_junit(junit, stage.name) if junit.exists() else Results()
    if status and not results.failed:
        results.failed.append(f"{stage.name}: ctest ended with status {status}")
    return results


def count_tests(build: Path, label: str) -> int:
    listing = subprocess.run(
        ["ctest", "--test-dir", str(build), "-N", "-L", f"^{label}$"], capture_output=True, text=True, check=False
    )
    total = re.search(r"^Total Tests: (\d+)$", listing.stdout, re.MULTILINE)
    return int(total[1]) if total else 0


def report(results: Results) -> int:
    print("== results")
    for line in results.skipped:
        print(f"skipped: {line}")
    for line in results.unsteady:
        print(f"unsteady, passed only when it was run again: {line}")
    for line in results.failed:
        print(f"failed: {line}")
    print(results.summary())
    return 1 if results.failed or not results.passed else 0


if __name__ == "__main__":
    sys.exit(main())
