#!/usr/bin/python3
"""Who may include whom, where clocks and sockets may be used, what a file may contain."""

from pathlib import Path
import re
import unittest

import rooms
from sources import ROOT, Include, cpp_files, files, includes, lines

PROGRAMS = {"guest", "host", "controller", "cli"}

# The random source of host/core is the kernel's.
PURE_ALLOWED = re.compile(
    r"^([a-z_]+|nlohmann/.*|boost/(json|container|uuid)/.*|tl/expected\.hpp|fnmatch\.h|sys/random\.h)$"
)
PURE_FORBIDDEN = {"filesystem", "fstream", "future", "iostream", "thread"}
CLOCK = re.compile(r"_clock::now\(|\bClock::now\(|\bclock_gettime\(|\bgettimeofday\(|\btime\((nullptr|NULL|0)\)")

# The guest carries nothing of these; nowhere do headers drag them along.
HEAVY = re.compile(r"^(boost/beast|fmt|libvirt|curl|prometheus|sqlite3|CLI|amqp|systemd|openssl)\b")

# Written so that this file does not contain what it looks for.
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b|not (yet )?implement[e]d|unimplement[e]d", re.IGNORECASE)
MACHINE_PATH = re.compile(r"/wor[k]/|/far[m]/|/roo[t]/|/tmp/v[w]|/hom[e]/[a-z]|[.]librar[y]")

# A handler of Asio's own that is on its way runs after a cancel: runtime::Timer does not.
RAW_TIMER = re.compile(r"\b(steady|system|high_resolution|deadline|waitable)_timer\b")
TIMER = Path("src/runtime/timer.hpp")

LONGEST_FILE = 550

LIBRARY = re.compile(r"^vw_library\((?P<name>\w+)(?P<sources>[^)]*)\)", re.MULTILINE)
HIDDEN = re.compile(r"^namespace \{\n(.*?)^\}  // namespace$", re.MULTILINE | re.DOTALL)
DEFINED = re.compile(
    r"^(?:const|constexpr|inline|static|using|struct|class|enum class)\b[^\n;={(]*?\b(?P<name>\w+)(?:\[\w*\])?(?:\s+:\s[^\n{]*)?\s*[={;(]",
    re.MULTILINE,
)
DATA = {".json", ".txt", ".png", ".svg"}


EXAMPLES = ("guest", "examples")


def product_files() -> list[Path]:
    """What is built into programs and libraries, not the tests."""
    files_of_ours = [path for path in cpp_files() if path.parts[0] in PROGRAMS | {"src", "include"}]
    return [path for path in files_of_ours if path.parts[:2] != EXAMPLES]


class TestCase(unittest.TestCase):
    def check(self, is_wrong, paths: list[Path]) -> None:
        wrong = [str(include) for path in paths for include in includes(path) if is_wrong(include)]
        self.assertEqual(wrong, [])

    def grep(self, pattern: re.Pattern, paths: list[Path]) -> list[str]:
        return [
            f"{path}:{number}: {line.strip()}"
            for path in paths
            for number, line in enumerate(lines(path), 1)
            if pattern.search(line)
        ]


class Unity(unittest.TestCase):
    """The quickstart compiles each library as one file."""

    def test_what_the_files_of_a_library_hide_has_different_names(self) -> None:
        equal = []
        libraries = 0
        for path in (path for path in files() if path.name == "CMakeLists.txt" and path.parts[0] in PROGRAMS | {"src"}):
            text = (ROOT / path).read_text()
            for library in LIBRARY.finditer(text):
                if re.search(rf"set_target_properties\({library['name']} PROPERTIES UNITY_BUILD OFF", text):
                    continue
                libraries += 1
                where: dict[str, str] = {}
                for source in re.findall(r"(?<![\w/}])[\w][\w/]*\.cpp", library["sources"]):
                    code = (ROOT / path.parent / source).read_text()
                    for name in {found["name"] for part in HIDDEN.findall(code) for found in DEFINED.finditer(part)}:
                        if name in where:
                            equal.append(f"{library['name']}: {name} in {where[name]} and {source}")
                        where[name] = source
        self.assertGreater(libraries, 20)
        self.assertEqual(equal, [])


class Rooms(TestCase):
    """rooms.py: each folder has its place, and those that are pure stay so."""

    def setUp(self) -> None:
        self.files = [path for path in product_files() if path.parts[0] != "include"]
        self.pure = [path for path in self.files if rooms.is_pure(path)]

    def test_every_folder_has_its_place(self) -> None:
        self.assertEqual({rooms.room(path) for path in self.files}, set(rooms.ORDER))

    def test_a_folder_includes_only_those_before_it(self) -> None:
        def points_up(include: Include) -> bool:
            if include.is_system:
                return False
            own, target = rooms.room(include.path), rooms.room(rooms.file_of(include.name))
            return target not in rooms.ORDER or rooms.ORDER.index(target) > rooms.ORDER.index(own)

        self.check(points_up, [path for path in self.files if path.suffix != ".c"])

    def test_a_program_includes_no_other(self) -> None:
        def is_another(include: Include) -> bool:
            own, target = include.path.parts[0], include.name.split("/")[0]
            return not include.is_system and target in PROGRAMS and target != own

        self.check(is_another, self.files)

    def test_pure_ones_use_no_socket_no_file_and_no_library_but_json_and_containers(self) -> None:
        self.check(
            lambda include: include.is_system
            and (not PURE_ALLOWED.match(include.name) or include.name in PURE_FORBIDDEN),
            self.pure + [rooms.file_of(name) for name in rooms.PURE_ENOUGH],
        )

    def test_pure_ones_include_pure_ones(self) -> None:
        def is_impure(include: Include) -> bool:
            if include.is_system or include.name in rooms.PURE_ENOUGH:
                return False
            return not rooms.is_pure(rooms.file_of(include.name))

        self.check(is_impure, self.pure + [rooms.file_of(name) for name in rooms.PURE_ENOUGH])

    def test_pure_ones_read_no_clock(self) -> None:
        self.assertEqual(self.grep(CLOCK, self.pure), [])

    def test_only_the_one_timer_uses_those_of_asio(self) -> None:
        self.assertEqual(self.grep(RAW_TIMER, [path for path in product_files() if path != TIMER]), [])

    def test_an_index_names_every_header_of_its_folder(self) -> None:
        missing = []
        for folder in [path for path in (ROOT / "src").iterdir() if path.is_dir()]:
            index = folder / f"{folder.name}.hpp"
            headers = [path.relative_to(folder) for path in folder.rglob("*.hpp") if path != index]
            missing += [f"{index.relative_to(ROOT)}: {header}" for header in headers if f" {header} " not in index.read_text()]
        self.assertEqual(missing, [])


class Includes(TestCase):
    def test_ours_are_in_quotes_and_named_from_the_root(self) -> None:
        self.check(lambda include: not include.is_system and "/" not in include.name, product_files())
        self.check(lambda include: ".." in include.name, cpp_files())

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


class Contents(TestCase):
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
