"""Compute nodes of Nova's own fake driver: no hypervisor, so that servers can move between them on one machine.

All else of such a move is real: the scheduler, the conductor, nova-compute, and what they notify of.
"""
from typing import Mapping

from vmbed.procs import wait_until

from . import settings
from .cloud import Cloud
from .nova_host import NovaHost
from .programs import nova
from .services import START_SECONDS, Service

# A flavor with these is for such nodes only.
SPECS: Mapping[str, str] = {"capabilities:hypervisor_type": "fake"}


class FakeNode(NovaHost):
    def __init__(self, cloud: Cloud, host: str) -> None:
        super().__init__(host)
        self._cloud = cloud
        root = cloud.home / host
        config = dict(cloud.config.nova(host, root))
        config["DEFAULT"] = {**config["DEFAULT"], "compute_driver": "fake.FakeDriver"}
        conf = settings.write(root / "nova.conf", config)
        self._service = Service(
            cloud.home, f"{host}-nova-compute", nova("compute", "--config-file", conf)
        )

    def start(self) -> "FakeNode":
        self._service.start()
        return self

    def wait_ready(self) -> "FakeNode":
        """Until servers can be put here."""
        admin = self._cloud.admin
        wait_until(lambda: self.record(admin), f"{self.host} is known to Nova", START_SECONDS)
        self.force_down(admin, False)
        self.wait_up(admin)
        self._cloud.control.map_hosts()
        self.wait_schedulable(admin)
        return self

    def fail(self) -> None:
        """The node is gone, and its operator says so: no server is put here any more."""
        self._service.stop()
        if self.record(self._cloud.admin):
            self.force_down(self._cloud.admin, True)
