#!/usr/bin/python3
"""The extra-spec validator in a real Nova API, through the openstack command."""

import os
from pathlib import Path
import subprocess
import sys
import unittest
import uuid

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from cloudbed import cloud as cloudbed


def setUpModule():
    global cloud
    cloud = unittest.enterModuleContext(cloudbed.for_tests())


class FlavorSet(unittest.TestCase):
    def setUp(self):
        self.flavor = cloud.admin.create_flavor(f"specs-{uuid.uuid4()}")
        self.addCleanup(cloud.admin.call, "compute", "DELETE", f"/flavors/{self.flavor}")

    def test_good_keys_are_set(self):
        done = self.flavor_set("vitalwire:heartbeat=true", "vitalwire:heartbeat_detect_multiplier=3")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(
            self.extra_specs(), {"vitalwire:heartbeat": "true", "vitalwire:heartbeat_detect_multiplier": "3"}
        )

    def test_a_misspelt_key_is_refused_and_named(self):
        done = self.flavor_set("vitalwire:hartbeat=true")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("extra spec 'vitalwire:hartbeat' does not appear to be a valid", done.stderr)
        self.assertEqual(self.extra_specs(), {})

    def test_a_bad_value_is_refused_and_named(self):
        done = self.flavor_set("vitalwire:heartbeat_detect_multiplier=11")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("'11' is greater than the max value of '10'", done.stderr)
        self.assertEqual(self.extra_specs(), {})

    def test_keys_of_cgcs_guests_are_set(self):
        done = self.flavor_set("sw:wrs:guest:heartbeat=True")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def flavor_set(self, *properties):
        argv = ["/usr/bin/openstack", "--os-compute-api-version", "2.86", "flavor", "set"]
        for item in properties:
            argv += ["--property", item]
        return subprocess.run(
            [*argv, self.flavor],
            env={**os.environ, **cloud.admin.environment()},
            capture_output=True,
            text=True,
            check=False,
        )

    def extra_specs(self):
        path = f"/flavors/{self.flavor}/os-extra_specs"
        return cloud.admin.call("compute", "GET", path)["extra_specs"]


if __name__ == "__main__":
    unittest.main()
