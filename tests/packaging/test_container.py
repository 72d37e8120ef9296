#!/usr/bin/python3
"""The image of the controller, built of its packages on a clean Debian and run without a network. Needs root and Debian's
archive, no registry.

VITALWIRE_PACKAGES_FROM    a finished build to package, instead of a fresh one
VITALWIRE_CLEAN_ROOT       what debootstrap has made before
VITALWIRE_DEBIAN_MIRROR    where debootstrap gets it otherwise
"""

import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

ROOT = Path(__file__).resolve().parents[2]

MIRROR = os.environ.get("VITALWIRE_DEBIAN_MIRROR", "http://deb.debian.org/debian")
CONTAINERFILE = ROOT / "packaging" / "container" / "Containerfile"
IMAGE = "localhost/vitalwire-controller"
# The entry point in the background, then the health check until it passes, as an engine runs it.
LIFE = """
"$@" & daemon=$!
for attempt in $(seq 300); do vitalwire agents >/dev/null 2>&1 && break; kill -0 $daemon || exit 1; sleep 0.1; done
vitalwire agents || exit 1
test -s /var/lib/vitalwire/controller/controller.db || exit 1
id -u
kill $daemon && wait $daemon
"""


def run(*command: str | Path) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, "BUILDAH_ISOLATION": "chroot"}, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done.stdout.strip()


class Container(unittest.TestCase):
    def setUp(self) -> None:
        if os.geteuid() != 0:
            self.fail("images need root")
        self.work = Path(tempfile.mkdtemp(prefix="vw-container-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.buildah = ("buildah", "--root", self.work / "images", "--runroot", self.work / "run", "--storage-driver", "vfs")
        self.addCleanup(run, *self.buildah, "rm", "--all")

    def make_base(self) -> None:
        """The image that the Containerfile begins with, of Debian's archive instead of a registry."""
        name = re.search(r"^FROM (\S+)$", CONTAINERFILE.read_text(), re.MULTILINE)[1]
        root = Path(os.environ.get("VITALWIRE_CLEAN_ROOT", self.work / "root"))
        if not root.exists():
            run("debootstrap", "--variant=minbase", "bookworm", root, MIRROR)
        base = run(*self.buildah, "from", "scratch")
        run(*self.buildah, "add", "--quiet", base, root, "/")
        run(*self.buildah, "commit", "--quiet", base, name)

    def packages(self) -> Path:
        build = ["--build", os.environ["VITALWIRE_PACKAGES_FROM"]] if "VITALWIRE_PACKAGES_FROM" in os.environ else []
        run(ROOT / "packaging" / "build", "--no-rpm", "--output", self.work / "packages", *build)
        return self.work / "packages"

    def test_the_image_is_built_and_passes_its_health_check_without_a_network(self) -> None:
        self.make_base()
        run(*self.buildah, "bud", "--pull-never", "--quiet", "--format", "docker", "--tag", IMAGE, "--file", CONTAINERFILE,
            self.packages())
        config = json.loads(run(*self.buildah, "inspect", "--type", "image", IMAGE))["Docker"]["config"]
        self.assertEqual(config["Healthcheck"]["Test"], ["CMD", "vitalwire", "agents"])
        self.assertEqual(list(config["Volumes"]), ["/var/lib/vitalwire/controller"])
        container = run(*self.buildah, "from", "--pull-never", IMAGE)
        script = self.work / "life"
        script.write_text(LIFE)
        output = run("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *self.buildah, "run", "--volume",
                     f"{script}:/life:ro", container, "--", "sh", "/life", *config["Entrypoint"], *config["Cmd"])
        user = config["User"].split(":")[0]
        self.assertIn(user, output.splitlines())

    def test_kubernetes_runs_it_as_the_user_of_the_image(self) -> None:
        objects = yaml.safe_load_all((ROOT / "packaging" / "kubernetes" / "controller.yaml").read_text())
        pod = next(each for each in objects if each["kind"] == "StatefulSet")["spec"]["template"]["spec"]
        user, group = re.search(r"^USER (\d+):(\d+)$", CONTAINERFILE.read_text(), re.MULTILINE).groups()
        security = pod["securityContext"]
        self.assertEqual([security["runAsUser"], security["runAsGroup"], security["fsGroup"]], [int(user), int(group), int(group)])
        mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        self.assertLessEqual({"/var/lib/vitalwire/controller", "/run/vitalwire"}, mounts, "the root is read-only")
        nested = [path for path in mounts for other in mounts if path.startswith(other + "/")]
        self.assertEqual(nested, [], "nothing can be mounted into a ConfigMap")


if __name__ == "__main__":
    unittest.main()
