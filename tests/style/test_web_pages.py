#!/usr/bin/python3
"""web/dist is what web/src builds to, byte for byte, and the functions of the page that need no browser work."""

from pathlib import Path
import shutil
import subprocess
import tempfile
import unittest

WEB = Path(__file__).resolve().parents[2] / "web"
NPM = shutil.which("npm")
NO_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ERR_SOCKET_TIMEOUT",
              "E403", "E404", "E502", "E503")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@unittest.skipUnless(NPM, "needs npm")
class WebPages(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.copy = Path(cls.enterClassContext(tempfile.TemporaryDirectory())) / "web"
        shutil.copytree(WEB, cls.copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
        installed = cls.npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
        if any(sign in installed.stdout for sign in NO_NETWORK):
            raise unittest.SkipTest("needs the packages of npm, and its registry is not reached")
        if installed.returncode:
            raise RuntimeError(installed.stdout)

    @classmethod
    def npm(cls, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([NPM, *arguments], cwd=cls.copy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)

    def test_dist_is_what_the_sources_build_to(self) -> None:
        built = self.npm("run", "build")
        self.assertEqual(built.returncode, 0, built.stdout)
        made, committed = contents(self.copy / "dist"), contents(WEB / "dist")
        different = sorted(name for name in made.keys() | committed.keys() if made.get(name) != committed.get(name))
        self.assertEqual(different, [], "run `npm ci && npm run build` in web/ and commit web/dist")

    def test_its_own_tests_pass(self) -> None:
        tested = self.npm("test")
        self.assertEqual(tested.returncode, 0, tested.stdout)

    def test_nothing_is_loaded_from_elsewhere(self) -> None:
        for name, content in contents(WEB / "dist").items():
            for place in (b'src="http', b'href="http', b"url(http", b"@import", b"fetch(\"http"):
                self.assertNotIn(place, content, name)


if __name__ == "__main__":
    unittest.main()
