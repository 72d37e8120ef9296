"""The base of tests on a cloud: servers that go away, and the cloud's side of the story on a failure."""
import sys
import unittest
import uuid
from pathlib import Path

from vmbed.procs import REPORTED_LOG_LINES

from .cloud import Cloud

TELLING = ("WARNING", "ERROR", "CRITICAL", "Traceback", "Error:")


class CloudTestCase(unittest.TestCase):
    """`cloud` is set by the module's setUpModule, or the class's setUpClass."""

    cloud: Cloud
    dir: Path | None = None  # where the test's own programs write theirs

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        result = result or self.defaultTestResult()
        bad_before = len(result.failures) + len(result.errors)
        sizes = {log: log.stat().st_size for log in self._logs()}
        super().run(result)
        if len(result.failures) + len(result.errors) > bad_before:
            for log in self._logs():
                self._report(log, sizes.get(log, 0))
        return result

    def new_server(
        self, flavor: str, image: str, group: str | None = None, host: str = ""
    ) -> str:
        """A server that is ACTIVE, named after the test and deleted at its end."""
        name = self.id().rpartition(".")[2]
        server = self.cloud.admin.create_server(name, flavor, image, group, host)
        self.addCleanup(self.cloud.admin.delete_server, server)
        self.cloud.admin.wait_for_status(server, "ACTIVE")
        return server

    def new_group(self) -> str:
        """A server group that is gone at the test's end, also if the test deleted it."""
        group = self.cloud.admin.create_server_group(f"group-{uuid.uuid4()}")
        self.addCleanup(self.cloud.admin.delete_server_group, group)
        return group

    def _logs(self) -> list[Path]:
        consoles = self.cloud.home.glob("compute-*/var/lib/libvirt/instances/*/console.log")
        own = sorted(self.dir.rglob("*.log")) if self.dir else []
        return [*sorted((self.cloud.home / "log").glob("*.log")), *consoles, *own]

    def _report(self, log: Path, start: int) -> None:
        """What was added since, of a service's log only the lines that tell of trouble."""
        text = log.read_bytes()[start:].decode(errors="backslashreplace")
        is_service = log.parent == self.cloud.home / "log"
        lines = [
            line for line in text.splitlines() if not is_service or any(t in line for t in TELLING)
        ]
        if lines:
            shown = "\n".join(line[:500] for line in lines[-REPORTED_LOG_LINES:])
            print(f"--- {self.id()}: {log}\n{shown}", file=sys.stderr)
