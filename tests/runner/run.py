#!/usr/bin/python3
"""Builds the suite in every flavour and runs the tests of each: what ./run-tests does once the packages are there."""

import argparse
from dataclasses import replace
import os
from pathlib import Path
import re
import subprocess
import sys

from builds import Builds
from clock import Clock
from results import Results, read_junit
from stages import ROOT, Plan, Stage, plan

JOBS = max(2, os.cpu_count() or 2)


def main() -> int:
    options = parse_arguments()
    chosen = plan_of(options)
    clock = Clock(chosen.minutes)
    results = Results()
    builds = Builds(chosen.fuzz_seconds, JOBS)
    try:
        for at, stage in enumerate(chosen.stages):
            if reason := why_not(stage, options, clock):
                results.skipped.append(f"stage {stage.name}: {reason}")
            elif not builds.make(stage, clock):
                results.add(Results(failed=[f"{stage.name}: build"]))
            else:
                if chosen.builds_ahead:
                    builds.begin_next([later for later in chosen.stages[at + 1 :] if not why_not(later, options, clock)])
                results.add(test_stage(stage, chosen, options, clock))
    finally:
        builds.stop()
    return report(results, clock)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run-tests", description="Installs what is missing, builds, runs all tests.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="no sanitizers, no real guests, no clang-tidy, no benchmarks")
    size.add_argument("--ci", action="store_true", help="what has to pass before a change is taken: as much as fits into 70 minutes")
    size.add_argument("--long", action="store_true", help="everything, repetitions, soaks and the real cloud: many hours")
    parser.add_argument("--openstack", action="store_true", help="also the tests on a real OpenStack cloud; needs root")
    parser.add_argument("--stage", action="append", metavar="STAGE", help="only this stage (release, openstack, asan, tsan, "
                        "fuzz, tidy, repeat, long); may be repeated")
    parser.add_argument("--again", action="store_true", help="run what failed once more, and name what passed only then")
    parser.add_argument("--minutes", type=int, help="leave out the stages that do not fit; 0: no limit")
    parser.add_argument("--fuzz-seconds", type=int, help="how long each fuzzer runs")
    parser.add_argument("-R", "--regex", metavar="REGEX", help="only tests whose name matches")
    options = parser.parse_args()
    if options.stage:
        known = {stage.name for name in ("wanted", "long") for stage in plan(name).stages}
        if unknown := [name for name in options.stage if name not in known]:
            parser.error(f"no stage {unknown[0]}: expected one of {', '.join(sorted(known))}")
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    name = "quick" if options.quick else "ci" if options.ci else "long" if options.long else "all"
    chosen = plan(name)
    if options.stage:
        missing = [name for name in options.stage if name not in {stage.name for stage in chosen.stages}]
        more = [stage for name in ("long", "wanted") for stage in plan(name).stages if stage.name in missing]
        chosen = replace(chosen, stages=chosen.stages + tuple({stage.name: stage for stage in more}.values()))
    if options.openstack and not any(stage.name == "openstack" for stage in chosen.stages):
        chosen = replace(chosen, stages=chosen.stages + tuple(s for s in plan("all").stages if s.name == "openstack"))
    return replace(
        chosen,
        again=chosen.again or options.again,
        minutes=chosen.minutes if options.minutes is None else options.minutes,
        fuzz_seconds=chosen.fuzz_seconds if options.fuzz_seconds is None else options.fuzz_seconds,
    )


def why_not(stage: Stage, options: argparse.Namespace, clock: Clock) -> str:
    if options.stage:
        return "" if stage.name in options.stage else "not among those of --stage"
    if stage.name == "openstack" and not (options.openstack or options.ci or options.long):
        return "give --openstack to run it"
    if not clock.has_room_for(stage):
        return f"it takes {stage.minutes} minutes, and {clock.minutes():.0f} are over"
    return ""


def test_stage(stage: Stage, chosen: Plan, options: argparse.Namespace, clock: Clock) -> Results:
    build = ROOT / "build" / stage.preset
    results = run_ctest(stage, build, options, clock)
    if chosen.again and results.failed:
        results.try_again(run_ctest(stage, build, options, clock, only_failed=True))
    for label in stage.left_out:
        results.skipped.append(f"{stage.name}: {count_tests(build, label)} tests with label {label}: not of this stage")
    return results


def run_ctest(
    stage: Stage, build: Path, options: argparse.Namespace, clock: Clock, only_failed: bool = False
) -> Results:
    what = "failed tests again" if only_failed else "tests"
    junit = build / f"junit-{stage.name}{'-again' if only_failed else ''}.xml"
    junit.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", str(build), "-j", str(JOBS), "--output-on-failure", "--timeout", "300"]
    command += ["--output-junit", str(junit), "--test-output-size-passed", "65536", "--test-output-size-failed", "1048576"]
    command += [f"--no-tests={'ignore' if options.regex else 'error'}"]
    if stage.only:
        command += ["-L", f"^({'|'.join(stage.only)})$"]
    if stage.left_out:
        command += ["-LE", f"^({'|'.join(stage.left_out)})$"]
    if options.regex:
        command += ["-R", options.regex]
    if only_failed:
        command += ["--rerun-failed"]
    elif stage.repeat > 1:
        command += ["--repeat", f"until-fail:{stage.repeat}"]
    if stage.fixed_addresses:
        command = ["setarch", "-R", *command]
    status = clock.run(f"{stage.name}: {what}", command, {**os.environ, **dict(stage.environment)})
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


def report(results: Results, clock: Clock) -> int:
    print("== results")
    for line in results.skipped:
        print(f"skipped: {line}")
    for line in results.failed:
        print(f"failed: {line}")
    for line in results.unsteady:
        print(f"unsteady, a defect to be mended: passed only when it was run again: {line}")
    print(clock.story())
    print(results.summary())
    return 1 if results.failed or not results.passed else 0


if __name__ == "__main__":
    sys.exit(main())
