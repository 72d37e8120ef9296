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

# Labels of tests that say nothing more under a sanitizer, or cannot run there: other people's processes, the sources.
NOT_SANITIZED = ("qemu", "libvirt", "openstack", "style", "bench")


@dataclass(frozen=True)
class Stage:
    """One build and the tests that run on it."""

    preset: str
    left_out: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    fixed_addresses: bool = False  # the kernel must not randomize addresses: TSan of GCC 12 cannot cope


STAGES = (
    Stage("release"),
    Stage(
        "asan",
        NOT_SANITIZED,
        (("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1"), ("UBSAN_OPTIONS", "print_stacktrace=1")),
    ),
    Stage("tsan", NOT_SANITIZED, (("TSAN_OPTIONS", "halt_on_error=1:second_deadlock_stack=1"),), fixed_addresses=True),
)


def main() -> int:
    options = parse_arguments()
    results = Results()
    for stage in STAGES:
        if options.stage and stage.preset not in options.stage:
            results.skipped.append(f"stage {stage.preset}: not asked for")
            continue
        if options.quick and stage.preset != "release":
            results.skipped.append(f"stage {stage.preset}: left out by --quick")
            continue
        started = time.monotonic()
        results.add(run_stage(stage, options))
        print(f"== {stage.preset}: {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    return report(results)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run-tests", description="Installs what is missing, builds, runs all tests.")
    parser.add_argument("--openstack", action="store_true", help="also the tests on a real OpenStack cloud")
    parser.add_argument("--quick", action="store_true", help="no sanitizers, no real guests, no clang-tidy, no benchmarks")
    parser.add_argument("--stage", action="append", choices=[stage.preset for stage in STAGES], help="only this build")
    parser.add_argument("-R", "--regex", metavar="REGEX", help="only tests whose name matches")
    return parser.parse_args()


def labels_left_out(stage: Stage, options: argparse.Namespace) -> dict[str, str]:
    """Label to reason."""
    left_out = {label: "not run on this build" for label in stage.left_out}
    if not options.openstack:
        left_out.setdefault("openstack", "give --openstack to run them")
    if options.quick:
        left_out.update(dict.fromkeys(("qemu", "libvirt", "bench", "tidy"), "left out by --quick"))
    return left_out


def run_stage(stage: Stage, options: argparse.Namespace) -> Results:
    build = ROOT / "build" / stage.preset
    for what, command in (
        ("configure", ["cmake", "--preset", stage.preset]),
        ("build", ["cmake", "--build", str(build), "-j", str(JOBS)]),
    ):
        print(f"== {stage.preset}: {what}", flush=True)
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            return Results(failed=[f"{stage.preset}: {what}"])

    left_out = labels_left_out(stage, options)
    results = run_ctest(stage, build, options, left_out)
    for label, reason in left_out.items():
        count = count_tests(build, label)
        if count:
            results.skipped.append(f"{stage.preset}: {count} tests with label {label}: {reason}")
    return results


def run_ctest(stage: Stage, build: Path, options: argparse.Namespace, left_out: dict[str, str]) -> Results:
    print(f"== {stage.preset}: tests", flush=True)
    junit = build / "junit.xml"
    junit.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", str(build), "-j", str(JOBS), "--output-on-failure", "--timeout", "300"]
    command += ["--output-junit", str(junit), "--test-output-size-passed", "65536", "--test-output-size-failed", "1048576"]
    command += ["--no-tests=error" if not options.regex else "--no-tests=ignore"]
    if left_out:
        command += ["-LE", f"^({'|'.join(left_out)})$"]
    if options.regex:
        command += ["-R", options.regex]
    if stage.fixed_addresses:
        command = ["setarch", "-R", *command]
    environment = {**os.environ, **dict(stage.environment)}
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    results = read_junit(junit, stage.preset) if junit.exists() else Results()
    if status and not results.failed:
        results.failed.append(f"{stage.preset}: ctest ended with status {status}")
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
    for line in results.failed:
        print(f"failed: {line}")
    print(results.summary())
    return 1 if results.failed or not results.passed else 0


if __name__ == "__main__":
    sys.exit(main())
