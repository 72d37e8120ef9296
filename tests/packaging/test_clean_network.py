#!/usr/bin/python3
"""What the tests on clean nodes leave behind when they are killed: nothing that is mounted. Needs root."""

import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = Path(__file__).resolve().parents[2]
TEST = """
from pathlib import Path
import sys
from clean_network import Network
work = Path(sys.argv[1])
network = Network(work, {"node": []})
network.mount("node", [work])
print(network.namespace, flush=True)
input()
"""


@unittest.skipUnless(os.geteuid() == 0, "mounting needs root")
class Killed(unittest.TestCase):
    def test_leaves_neither_a_mount_nor_a_network(self) -> None:
        work = Path(tempfile.mkdtemp(prefix="vw-killed-"))
        self.addCleanup(shutil.rmtree, work)
        folders = [ROOT / "tests" / "lib", ROOT / "tests" / "packaging"]
        killed = subprocess.Popen([sys.executable, "-c", TEST, work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                  env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))})
        namespace = Path(killed.stdout.readline().strip())
        mounts = Path(f"/proc/{killed.pid}/mounts").read_text()
        killed.kill()
        killed.communicate()
        self.assertIn(f"{work}/node/root", mounts)
        self.assertNotIn(str(work), Path("/proc/self/mounts").read_text())
        self.assertFalse(namespace.exists())


if __name__ == "__main__":
    unittest.main()
