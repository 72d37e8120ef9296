#!/usr/bin/python3
"""libvitalwire as a VNF meets it: the installed package, its samples, and applications as processes."""

import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import unittest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from test_vitalwired import BUILD, OPTIMISED, VitalwiredTest
from vmbed.procs import Process, ProcessTestCase, wait_until

LIBRARY = BUILD / "guest" / "lib" / "libvitalwire.so.1"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SANITIZED = re.search("lib[at]san", subprocess.run(["ldd", LIBRARY], capture_output=True, text=True).stdout) is not None


def run(*command: str | Path, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def exported() -> set[str]:
    lines = run("nm", "-D", "--defined-only", LIBRARY).splitlines()
    return {line.split()[2].split("@")[0] for line in lines if line.split()[1] != "A"}  # A: names of versions


def declared() -> set[str]:
    header = (ROOT / "include" / "vitalwire" / "vitalwire.h").read_text()
    return set(re.findall(r"^VW_API .*?\b(vw_\w+)\(", header, re.MULTILINE))


class Library(unittest.TestCase):
    def test_it_exports_the_functions_of_its_header_and_nothing_else(self):
        self.assertEqual(exported(), declared())

    @unittest.skipIf(SANITIZED, "sanitizers bring their own libraries")
    def test_it_needs_libc_only(self):
        needed = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", LIBRARY))
        self.assertEqual([name for name in needed if not name.startswith(("libc.", "ld-linux"))], [])

    def test_its_shared_object_name_is_versioned(self):
        self.assertIn("libvitalwire.so.1", re.findall(r"SONAME\s+(\S+)", run("objdump", "-p", LIBRARY)))


@unittest.skipIf(SANITIZED, "applications are not built with sanitizers")
class InstalledPackage(ProcessTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.prefix = cls.class_dir / "usr"
        for component in ("guest", "guest-lib", "guest-dev"):
            run("cmake", "--install", BUILD, "--prefix", cls.prefix, "--component", component)
        cls.examples = ROOT / "guest" / "examples"

    def flags(self) -> list[str]:
        config = next(self.prefix.rglob("vitalwire.pc")).parent
        return run("pkg-config", "--cflags", "--libs", "vitalwire",
                   env={**os.environ, "PKG_CONFIG_PATH": str(config)}).split()

    def test_the_c_sample_builds_with_pkg_config(self):
        sample = self.dir / "heartbeat"
        run("cc", "-std=c99", "-D_GNU_SOURCE", *STRICT, self.examples / "heartbeat.c", *self.flags(), "-o", sample)
        library = str(next(self.prefix.rglob("libvitalwire.so.1")).parent)
        ended = subprocess.run([sample], env={**os.environ, "LD_LIBRARY_PATH": library}, capture_output=True)
        self.assertEqual((ended.returncode, ended.stderr), (2, b"usage: heartbeat NAME FILE\n"))

    def test_the_sample_of_a_group_builds_in_c99(self):
        run("cc", "-std=c99", "-D_GNU_SOURCE", *STRICT, self.examples / "group.c", *self.flags(), "-o", self.dir / "group")

    def test_the_samples_build_with_cmake(self):
        run("cmake", "-G", "Ninja", "-S", self.examples, "-B", self.dir / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", self.dir / "build")
        for sample in ("heartbeat_thread", "group", "active_standby"):
            self.assertTrue((self.dir / "build" / sample).exists(), sample)

    def test_the_headers_stand_alone_from_c99_and_cpp14_up(self):
        headers = {"c": ("vitalwire.h", "sdk/server_group.h"),
                   "cpp": ("vitalwire.h", "vitalwire.hpp", "sdk/server_group.h")}
        for kind, compilers, standards, more in (
                ("c", ("gcc", "clang"), ("c99", "c11", "c17"), ["-Wstrict-prototypes"]),
                ("cpp", ("g++", "clang++"), ("c++14", "c++17", "c++20"), ["-Wold-style-cast", "-Wsign-conversion"])):
            source = self.dir / f"header.{kind}"
            source.write_text("".join(f"#include <vitalwire/{header}>\n" for header in headers[kind]))
            for compiler in filter(shutil.which, compilers):
                for standard in standards:
                    run(compiler, f"-std={standard}", *STRICT, "-Wshadow", "-Wconversion", *more, "-c",
                        f"-I{self.prefix}/include", source, "-o", self.dir / "header.o")

    def test_the_static_library_is_enough_to_link_a_program(self):
        sample = self.dir / "static"
        archive = next(self.prefix.rglob("libvitalwire.a"))
        run("cc", "-std=c99", "-D_GNU_SOURCE", *STRICT, f"-I{self.prefix}/include", self.examples / "heartbeat.c",
            archive, "-static", "-lstdc++", "-lm", "-lpthread", "-o", sample)
        self.assertIn("not a dynamic executable", subprocess.run(["ldd", sample], capture_output=True, text=True).stderr)
        self.assertEqual(subprocess.run([sample], capture_output=True).returncode, 2)

    def test_the_programs_of_a_guest_need_nothing_of_its_image(self):
        alone = self.dir / "alone"
        run("cmake", "--install", BUILD, "--prefix", alone, "--component", "guest")
        programs = [next(alone.rglob(name)) for name in ("vitalwired", "vitalwire-app", "vitalwire-group")]
        for program in programs:
            with self.subTest(program=program.name):
                self.assertNotIn("NEEDED", run("objdump", "-p", program))
                self.assertIn(program.name, run(program, "--version"))
                stripped = self.dir / "stripped"
                run("strip", "-o", stripped, program)
                if OPTIMISED:
                    self.assertLess(stripped.stat().st_size, 2 * 1024 * 1024)

    def test_every_function_has_a_manual_page(self):
        pages = {page.stem for page in (self.prefix / "share" / "man" / "man3").iterdir()}
        self.assertEqual(pages, exported() | {"vitalwire"})

    def test_the_manual_pages_are_well_formed(self):
        for page in (ROOT / "guest" / "man").glob("*.[13578]"):
            with self.subTest(page=page.name):
                checked = subprocess.run(["groff", "-mdoc", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True)
                self.assertEqual((checked.returncode, checked.stderr), (0, ""))

    def test_the_unit_starts_what_was_installed(self):
        unit = next(self.prefix.rglob("vitalwired.service")).read_text()
        program, option, config = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE).group(1).split()
        self.assertEqual((Path(program), option), (self.prefix / "sbin" / "vitalwired", "--config"))
        self.assertTrue(Path(program).exists() and Path(config).exists())


class Applications(VitalwiredTest):
    def setUp(self) -> None:
        self.start_guest()
        self.register()
        self.well = self.dir / "well"
        self.well.touch()

    def start_application(self, name: str = "app") -> Process:
        argv = [BUILD / "guest" / "examples" / "heartbeat", name, self.well]
        application = self.start(Process(argv, self.dir / f"{name}.log", {"VITALWIRE_SOCKET": f"{self.dir}/apps"}))
        self.await_line(name, "registered")
        return application

    def await_line(self, name: str, text: str, times: int = 1) -> None:
        log = self.dir / f"{name}.log"
        wait_until(lambda: log.read_text().count(text) >= times, f"{name} says {text!r}")

    def test_an_unhealthy_application_is_named_and_recovers(self):
        self.start_application()
        self.well.unlink()
        self.await_reason(f"application app: {self.well} is missing")
        self.well.touch()
        self.await_reason("")

    def test_a_stopped_application_is_named_and_recovers(self):
        application = self.start_application()
        application.signal(signal.SIGSTOP)
        self.await_reason("application app: did not answer within 450 ms")
        application.signal(signal.SIGCONT)
        self.await_reason("")

    def test_a_killed_application_is_named_until_it_is_back(self):
        self.start_application().kill()
        self.await_reason("application app: ended without deregistering")
        self.start_application()
        self.await_reason("")

    def test_an_application_that_ends_in_order_is_not_missed(self):
        application = self.start_application()
        self.assertEqual(application.stop(), 0)
        self.await_log("application deregistered")
        self.await_reason("")
        self.assertNotIn("unhealthy", self.log())

    def test_an_application_that_has_forked_reconnects_and_does_not_spin(self):
        program = self.dir / "forking"
        run("cc", "-std=c99", "-D_GNU_SOURCE", *STRICT, f"-I{ROOT}/include", ROOT / "tests" / "process" / "forking_application.c",
            LIBRARY, f"-Wl,-rpath,{LIBRARY.parent}", "-o", program)
        application = self.start(Process([program], self.dir / "forking.log", {"VITALWIRE_SOCKET": f"{self.dir}/apps"}))
        self.await_line("forking", "registered 1")
        self.await_line("forking", "dispatches in a second", times=2)
        self.assertNotIn("deregistered", self.log())
        self.guest.kill()
        self.await_line("forking", "dispatches in a second", times=4)
        (self.dir / "guest.log").rename(self.dir / "guest-1.log")
        self.start_guest()
        self.await_line("forking", "registered 2")
        self.host.disconnect()
        self.register()
        self.await_line("forking", "dispatches in a second", times=6)
        counts = [int(line.split()[0]) for line in (self.dir / "forking.log").read_text().splitlines() if "second" in line]
        self.assertLess(max(counts), 100)
        application.signal(signal.SIGSTOP)
        self.await_reason("application server: did not answer within 200 ms")
        application.kill()
        self.await_reason("application server: ended without deregistering: did not answer within 200 ms")

    def test_several_applications_are_named_together(self):
        first, second = self.start_application("a"), self.start_application("b")
        first.kill()
        self.await_reason("application a: ended without deregistering")
        second.kill()
        self.await_reason("application a: ended without deregistering; application b: ended without deregistering")

    def test_applications_outlive_the_daemon(self):
        self.start_application()
        self.guest.kill()
        (self.dir / "guest.log").rename(self.dir / "guest-1.log")
        self.start_guest()
        self.await_line("app", "registered", times=2)
        self.host.disconnect()
        self.register()
        self.well.unlink()
        self.await_reason(f"application app: {self.well} is missing")

    @unittest.skipIf(SANITIZED, "they want to be loaded first")
    def test_a_signal_ends_no_sample(self):
        environment = {"VITALWIRE_SOCKET": f"{self.dir}/apps", **self.handling_signals()}
        os.mkfifo(self.dir / "work")
        samples = BUILD / "guest" / "examples"
        with_input = ["bash", "-c", f"exec '{samples}/heartbeat_thread' thread <> '{self.dir}/work'"]
        for name, argv in (("alone", [samples / "heartbeat", "alone", self.well]), ("thread", with_input)):
            sample = self.start(Process(argv, self.dir / f"{name}.log", environment))
            self.await_line(name, "registered")
            for _ in range(3):
                self.interrupt(sample)
        self.well.unlink()
        self.await_reason(f"application alone: {self.well} is missing")
        (self.dir / "work").write_text("hang\n")
        self.await_reason(f"application alone: {self.well} is missing; application thread: the worker hangs")

    def test_a_worker_that_hangs_is_named_though_its_heartbeat_goes_on(self):
        os.mkfifo(self.dir / "work")
        sample = BUILD / "guest" / "examples" / "heartbeat_thread"
        argv = ["bash", "-c", f"exec '{sample}' worker < '{self.dir}/work'"]
        self.start(Process(argv, self.dir / "worker.log", {"VITALWIRE_SOCKET": f"{self.dir}/apps"}))
        with open(self.dir / "work", "w") as work:
            self.await_line("worker", "registered")
            print("something short", file=work, flush=True)
            self.await_line("worker", "done: something short")
            print("hang", file=work, flush=True)
            self.await_reason("application worker: the worker hangs")
            self.await_reason("")
        self.await_log("application deregistered")


if __name__ == "__main__":
    unittest.main()
