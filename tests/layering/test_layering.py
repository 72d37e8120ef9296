#!/usr/bin/python3
"""Who may include whom, where clocks and sockets may be used, what a file may contain."""

from pathlib import Path, PurePath
import re
import unittest

from sources import ROOT, Include, cpp_files, files, includes, lines

# Folder of src/: the folders of src/ it may include besides itself.
SRC = {
    "base": set(),
    "model": {"base"},
    "wire": {"base", "model"},
    "heartbeat": {"base", "model", "wire"},
    "group": {"base", "model", "wire"},
    "bus": {"base", "model", "wire", "heartbeat", "group", "runtime"},
    "runtime": {"base", "wire"},
}
PROGRAMS = {"guest", "host", "controller", "cli"}

# No socket, no file, no clock: what is in here runs in the simulator and the fuzzers as in production.
PURE = {"base", "model", "wire", "heartbeat", "group"}
PURE_ALLOWED = re.compile(r"^([a-z_]+|nlohmann/.*|boost/(json|container)/.*|tl/expected\.hpp)$")
PURE_FORBIDDEN = {"filesystem", "fstream", "future", "iostream", "thread"}
CLOCK = re.compile(r"_clock::now\(|\bClock::now\(|\bclock_gettime\(|\bgettimeofday\(|\btime\((nullptr|NULL|0)\)")

# The guest carries nothing of these; nowhere do headers drag them along.
HEAVY = re.compile(r"^(boost/beast|fmt|libvirt|curl|prometheus|sqlite3|CLI|amqp|systemd|openssl)\b")

# Written so that this file does not contain what it looks for.
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b|not (yet )?implement[e]d|unimplement[e]d", re.IGNORECASE)
MACHINE_PATH = re.compile(r"/wor[k]/|/far[m]/|/roo[t]/|/tmp/v[w]|/hom[e]/[a-z]|[.]librar[y]")

LONGEST_FILE = 550
DATA = {".json", ".txt", ".png", ".svg"}


def layer(path: PurePath) -> str:
    """"wire" for src/wire/x.hpp, "guest" for guest/x.cpp."""
    return path.parts[1] if path.parts[0] == "src" else path.parts[0]


EXAMPLES = ("guest", "examples")


def product_files() -> list[Path]:
    """What is built into programs and libraries, not the tests."""
    files_of_ours = [path for path in cpp_files() if path.parts[0] in PROGRAMS | {"src", "include"}]
    return [path for path in files_of_ours if path.parts[:2] != EXAMPLES]


class Includes(unittest.TestCase):
    def check(self, is_wrong, paths: list[Path]) -> None:
        wrong = [str(include) for path in paths for include in includes(path) if is_wrong(include)]
        self.assertEqual(wrong, [])

    def test_only_downwards(self) -> None:
        def points_up(include: Include) -> bool:
            own, target = layer(include.path), include.name.split("/")[0]
            if include.is_system or target == own:
                return False
            if own in PROGRAMS:
                return target not in SRC
            return target not in SRC.get(own, set())

        self.check(points_up, [path for path in product_files() if path.parts[0] != "include"])

    def test_every_folder_of_src_is_known(self) -> None:
        self.assertEqual({layer(path) for path in product_files() if path.parts[0] == "src"} - SRC.keys(), set())

    def test_ours_are_in_quotes_and_named_from_the_root(self) -> None:
        self.check(lambda include: not include.is_system and "/" not in include.name, product_files())
        self.check(lambda include: ".." in include.name, cpp_files())

    def test_pure_folders_use_no_socket_no_file_and_no_library_but_json_and_containers(self) -> None:
        pure = [path for path in product_files() if path.parts[0] == "src" and layer(path) in PURE]
        self.check(
            lambda include: include.is_system
            and (not PURE_ALLOWED.match(include.name) or include.name in PURE_FORBIDDEN),
            pure,
        )

    def test_headers_do_not_drag_large_libraries_along(self) -> None:
        headers = [path for path in product_files() if path.suffix == ".hpp"]
        self.check(lambda include: bool(HEAVY.match(include.name)), headers)

    def test_the_guest_stays_small(self) -> None:
        self.check(
            lambda include: bool(HEAVY.match(include.name)),
            [path for path in product_files() if path.parts[0] == "guest"],
        )

    def test_examples_need_the_public_headers_only(self) -> None:
        examples = [path for path in cpp_files() if path.parts[:2] == EXAMPLES]
        self.assertNotEqual(examples, [])
        self.check(lambda include: not include.is_system and "/" in include.name, examples)

    def test_public_headers_are_in_include_and_need_the_c_library_only(self) -> None:
        public = [path for path in cpp_files() if path.parts[0] == "include"]
        self.assertEqual([path for path in public if path.parts[1] != "vitalwire"], [])
        c_or_sdk = re.compile(r"([a-z]+|vitalwire/sdk/[a-z_]+)\.h")
        self.check(lambda include: include.path.suffix == ".h" and not c_or_sdk.fullmatch(include.name), public)
        self.check(lambda include: include.path.suffix == ".hpp" and not include.is_system, public)


class Contents(unittest.TestCase):
    def grep(self, pattern: re.Pattern, paths: list[Path]) -> list[str]:
        return [
            f"{path}:{number}: {line.strip()}"
            for path in paths
            for number, line in enumerate(lines(path), 1)
            if pattern.search(line)
        ]

    def test_state_machines_read_no_clock(self) -> None:
        pure = [path for path in product_files() if path.parts[0] == "src" and layer(path) in PURE]
        self.assertEqual(self.grep(CLOCK, pure), [])

    def test_nothing_is_marked_as_unfinished(self) -> None:
        self.assertEqual(self.grep(UNFINISHED, list(files())), [])

    def test_nothing_depends_on_where_it_was_made(self) -> None:
        self.assertEqual(self.grep(MACHINE_PATH, list(files())), [])

    def test_every_header_is_guarded(self) -> None:
        headers = [path for path in cpp_files() if path.suffix == ".hpp" and "#pragma once" not in lines(path)]
        self.assertEqual(headers, [])

    def test_no_file_is_too_long_to_read(self) -> None:
        code = [path for path in files() if path.suffix not in DATA and path.name != "LICENSE"]
        self.assertEqual([str(path) for path in code if len(lines(path)) > LONGEST_FILE], [])

    def test_what_starts_with_an_interpreter_can_be_run(self) -> None:
        scripts = [path for path in files() if lines(path)[0].startswith("#!")]
        self.assertEqual([str(path) for path in scripts if not (ROOT / path).stat().st_mode & 0o100], [])


if __name__ == "__main__":
    unittest.main()
