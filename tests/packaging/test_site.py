#!/usr/bin/python3
"""The documentation as one site: docs/build makes it, every page is in its menu, every link of it leads somewhere."""

from html.parser import HTMLParser
from pathlib import Path
import re
import shutil
import subprocess
import tempfile
import unittest
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
GUIDES = {"docs/operator-guide.md": "operator-guide.html", "guest/README.md": "guest/index.html",
          "proto-spec/README.md": "proto-spec/index.html"}
FOLDERS = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")
                          and path.name != "build"))
# A path of the sources in the text; one with a capital letter or a sign in it is a pattern.
PATH = re.compile(rf"`((?:{FOLDERS})/[a-z0-9_./-]+)`")


def build(output: Path, *, sources: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sources / "docs" / "build", "--output", output], capture_output=True, text=True, check=False)


class Html(HTMLParser):
    """What a page links, loads and shows; its text outside of code by line."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.text = ""
        self.tables_before_headings = 0
        self._headings = 0
        self._code = 0
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attributes}
        if name := of.get("id"):
            self.ids.add(name)
        if tag == "a" and "href" in of:
            self.links.append(of["href"])
        if tag in ("script", "img") and of.get("src"):
            self.loads.append(of["src"])
        if tag == "link" and of.get("rel") in ("stylesheet", "shortcut icon"):
            self.loads.append(of["href"])
        self._headings += tag == "h2"
        self.tables_before_headings += tag == "table" and self._headings == 0
        self._code += tag in ("pre", "code", "script")

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("pre", "code", "script")

    def handle_data(self, data: str) -> None:
        self.text += "x" if self._code else data


class Site(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="vw-site-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        done = build(cls.folder)
        if done.returncode:
            raise AssertionError(done.stderr)
        cls.pages = {path: Html(path) for path in sorted(cls.folder.rglob("*.html"))}

    def written(self) -> dict[Path, Html]:
        """The pages that somebody wrote."""
        return {path: page for path, page in self.pages.items() if path.name not in ("404.html", "search.html")}

    def test_it_is_quiet(self) -> None:
        self.assertEqual(build(self.folder / "again").stderr, "")

    def test_every_link_leads_to_a_page_and_a_place_in_it(self) -> None:
        broken = []
        for path, page in self.written().items():
            for link in page.links:
                parts = urlsplit(link)
                if parts.scheme or link.startswith("/"):
                    continue
                target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
                known = self.pages.get(target)
                if not target.is_file() or (known and parts.fragment and unquote(parts.fragment) not in known.ids):
                    broken.append(f"{path.relative_to(self.folder)}: {link}")
        self.assertEqual(broken, [])

    def test_nothing_is_loaded_from_elsewhere(self) -> None:
        for path, page in self.pages.items():
            for source in page.loads:
                self.assertFalse(urlsplit(source).netloc, f"{path}: {source}")

    def test_no_markup_is_left_in_the_text(self) -> None:
        left = re.compile(r"^\s*(- \w|\|.*\||```|#+ )|\]\(", re.MULTILINE)
        for path, page in self.written().items():
            found = left.search(page.text)
            self.assertIsNone(found, f"{path}: {found and page.text[found.start():found.start() + 80]}")

    def test_each_guide_begins_with_what_one_wants_to_do(self) -> None:
        for source, place in GUIDES.items():
            self.assertIn("| you want to | go to |", (ROOT / source).read_text().split("\n## ")[0], source)
            self.assertGreater(self.pages[self.folder / place].tables_before_headings, 0, place)

    def test_manual_pages_are_linked(self) -> None:
        links = self.pages[self.folder / "operator-guide.html"].links
        self.assertIn("manual/vitalwire-sinks.5.html", links)


class Sources(unittest.TestCase):
    """A copy of the sources with a mistake in it."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="vw-site-")))
        self.copy = self.folder / "sources"
        files = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                               capture_output=True, text=True, check=True).stdout
        for name in filter(None, files.split("\0")):
            (self.copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.copy / name, follow_symlinks=False)

    def assert_names(self, mistake: str) -> None:
        done = build(self.folder / "site", sources=self.copy)
        self.assertEqual(done.returncode, 1)
        self.assertIn(mistake, done.stderr)

    def test_a_page_that_is_not_in_the_menu_is_a_mistake(self) -> None:
        (self.copy / "docs" / "new.md").write_text("# New\n")
        self.assert_names("not in the menu of docs/site.yml: docs/new.md")

    def test_a_link_to_nowhere_is_a_mistake(self) -> None:
        with (self.copy / "docs" / "sizing.md").open("a") as page:
            page.write("\n[gone](gone.md)\n")
        self.assert_names("docs/sizing.md: gone.md does not exist")

    def test_paths_in_the_text_exist(self) -> None:
        missing = []
        for page in [*ROOT.rglob("*.md")]:
            if {"build", "node_modules"} & set(page.relative_to(ROOT).parts):
                continue
            for found in PATH.finditer(page.read_text()):
                # "host/core/agent_state" is a header with its source.
                if not any(names for base in (ROOT, page.parent) for names in (*base.glob(found[1]), *base.glob(found[1] + ".*"))):
                    missing.append(f"{page.relative_to(ROOT)}: {found[1]}")
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
