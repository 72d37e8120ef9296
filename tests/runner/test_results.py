#!/usr/bin/python3
"""How the output of CTest becomes the counts of ./run-tests, and how its time is limited."""

from pathlib import Path
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from builds import Builds
from clock import Clock
from results import Results, read_junit
from stages import ROOT, Stage, plan

UNITTEST_OUTPUT = """test_one (__main__.A.test_one) ... skipped 'no root here'
test_two (__main__.A.test_two) ... ok

----------------------------------------------------------------------
Ran {run} tests in 0.000s

OK (skipped=1)
"""


def case(name: str, status: str, output: str = "", child: str = "") -> str:
    return f'<testcase name="{name}" status="{status}">{child}<system-out>{output}</system-out></testcase>'


class JUnit(unittest.TestCase):
    def read(self, *cases: str) -> Results:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "junit.xml"
            path.write_text(f"<testsuite>{''.join(cases)}</testsuite>")
            return read_junit(path, "release")

    def test_what_ran_has_passed_and_what_failed_is_named(self) -> None:
        failure = '<failure message="Failed"/>'
        results = self.read(case("a", "run"), case("b", "fail", child=failure), case("c", "run"))
        self.assertEqual(results.summary(), "2 passed, 1 failed")
        self.assertEqual(results.failed, ["release: b"])

    def test_what_passes_when_it_is_run_again_has_passed_and_is_named(self) -> None:
        failure = '<failure message="Failed"/>'
        results = self.read(case("a", "run"), case("b", "fail", child=failure), case("c", "fail", child=failure))
        results.try_again(self.read(case("b", "run"), case("c", "fail", child=failure)))
        self.assertEqual(results.summary(), "2 passed, 1 failed")
        self.assertEqual((results.unsteady, results.failed), (["release: b"], ["release: c"]))

    def test_what_was_not_reached_when_it_was_to_be_run_again_has_failed(self) -> None:
        results = self.read(case("b", "fail", child='<failure message="Failed"/>'))
        results.try_again(Results(failed=["release: ctest ended with status 8"]))
        self.assertEqual(results.summary(), "0 passed, 1 failed")

    def test_what_could_not_be_started_has_failed(self) -> None:
        results = self.read(case("a", "notrun", child='<skipped message="Unable to find executable"/>'))
        self.assertEqual(results.summary(), "0 passed, 1 failed")

    def test_a_googletest_that_skips_itself_is_named_with_its_reason(self) -> None:
        output = "[ RUN      ] A.b\n/a/b_test.cpp:12: Skipped\nneeds root\n\n[  SKIPPED ] A.b (0 ms)\n"
        skip = '<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>'
        results = self.read(case("A.b", "notrun", output, skip))
        self.assertEqual(results.summary(), "0 passed, 0 failed")
        self.assertEqual(results.skipped, ["release: A.b: needs root"])

    def test_a_python_test_left_out_of_a_file_is_named_with_its_reason(self) -> None:
        results = self.read(case("file", "run", UNITTEST_OUTPUT.format(run=2)))
        self.assertEqual(results.summary(), "1 passed, 0 failed")
        self.assertEqual(results.skipped, ["release: file: test_one (__main__.A.test_one): no root here"])

    def test_a_python_file_all_of_whose_tests_are_skipped_has_not_passed(self) -> None:
        results = self.read(case("file", "run", UNITTEST_OUTPUT.format(run=1)))
        self.assertEqual(results.summary(), "0 passed, 0 failed")


class Limits(unittest.TestCase):
    def test_a_stage_that_does_not_fit_is_left_out(self) -> None:
        clock = Clock(10)
        self.assertTrue(clock.has_room_for(Stage("a", "release", minutes=9)))
        self.assertFalse(clock.has_room_for(Stage("a", "release", minutes=11)))
        self.assertTrue(clock.has_room_for(Stage("a", "release", minutes=11, needed=True)))
        self.assertTrue(Clock(0).has_room_for(Stage("a", "release", minutes=1000)))

    def test_what_runs_when_the_limit_is_over_is_ended_with_its_children(self) -> None:
        clock = Clock(1)
        clock._begin -= 16 * 60 - 1
        with tempfile.NamedTemporaryFile() as kept:
            begin = time.monotonic()
            status = clock.run("a", ["sh", "-c", f"sleep 600 & echo $! >{kept.name}; wait"])
            self.assertLess(time.monotonic() - begin, 60)
            self.assertNotEqual(status, 0)
            child = Path("/proc", Path(kept.name).read_text().strip(), "stat")
            deadline = time.monotonic() + 60
            while child.exists() and child.read_text().split()[2] != "Z" and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertLess(time.monotonic(), deadline)
        self.assertIn("a ", clock.story())

    def test_the_minutes_of_what_has_to_pass_stay_below_the_limit_without_what_may_be_left_out(self) -> None:
        wanted = plan("wanted")
        self.assertEqual([stage.name for stage in wanted.stages][:3], ["release", "asan", "openstack"])
        self.assertLessEqual(sum(stage.minutes for stage in wanted.stages[:3]), wanted.minutes)
        self.assertTrue(all(stage.minutes for stage in wanted.stages))

    def test_what_has_to_pass_is_a_part_of_what_is_wanted(self) -> None:
        wanted = {stage.name for stage in plan("wanted").stages}
        self.assertLessEqual({stage.name for stage in plan("ci").stages}, wanted)

    def test_the_long_plan_leaves_out_no_label_that_another_plan_runs(self) -> None:
        names = [stage.name for stage in plan("long").stages]
        for other in ("quick", "all"):
            self.assertLessEqual({stage.name for stage in plan(other).stages}, set(names))
        self.assertIn("long", names)


class CommandBuilds(Builds):
    """Builds that are one command of the shell, logged where the test looks."""

    def __init__(self, script: str, folder: Path) -> None:
        super().__init__(fuzz_seconds=0, jobs=1)
        self._script = script
        self._folder = folder

    def commands(self, stage: Stage) -> list[tuple[str, list[str]]]:
        return [("build", ["sh", "-c", self._script])]

    def log(self, stage: Stage) -> Path:
        return ROOT / "build" / self._folder.name / f"build-{stage.name}.log"


class BuildsAhead(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="runner-", dir=made(ROOT / "build"))
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def builds(self, script: str) -> CommandBuilds:
        builds = CommandBuilds(script, self.folder)
        self.addCleanup(builds.stop)
        return builds

    def test_the_build_of_a_later_stage_is_made_before_the_stage_comes(self) -> None:
        builds = self.builds(f"touch {self.folder}/made")
        builds.begin_next([Stage("later", "other")])
        await_path(self.folder / "made")
        self.assertTrue(builds.make(Stage("later", "other"), Clock(0)))

    def test_a_build_beside_tests_takes_only_what_nobody_else_wants(self) -> None:
        builds = self.builds(f"chrt -p $$ >{self.folder}/policy; touch {self.folder}/made")
        builds.begin_next([Stage("later", "other")])
        await_path(self.folder / "made")
        self.assertIn("SCHED_IDLE", (self.folder / "policy").read_text())

    def test_a_build_that_is_there_is_not_begun_again(self) -> None:
        builds = self.builds(f"echo >>{self.folder}/made")
        builds._made.add("release")
        builds.begin_next([Stage("again", "release"), Stage("later", "other")])
        self.assertTrue(builds.make(Stage("later", "other"), Clock(0)))
        self.assertEqual((self.folder / "made").read_text(), "\n")

    def test_a_build_beside_tests_that_fails_is_told_when_its_stage_comes(self) -> None:
        builds = self.builds("exit 3")
        builds.begin_next([Stage("later", "other")])
        self.assertFalse(builds.make(Stage("later", "other"), Clock(0)))

    def test_a_build_that_nobody_waits_for_any_more_is_ended(self) -> None:
        builds = self.builds(f"touch {self.folder}/begun; sleep 600; touch {self.folder}/made")
        builds.begin_next([Stage("later", "other")])
        await_path(self.folder / "begun")
        builds.stop()
        self.assertFalse((self.folder / "made").exists())


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def await_path(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > deadline:
            raise AssertionError(f"{path} does not appear")
        time.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
