"""Prometheus Alertmanager itself, and a cluster of it."""

import json
from pathlib import Path
import subprocess
from typing import Any

from vmbed.procs import Process, free_port, http_request, wait_until

PROGRAM = "prometheus-alertmanager"


class Alertmanager:
    """One member; it notifies the webhook at `receiver` of critical alerts, each by itself and at once."""

    def __init__(self, folder: Path, receiver: str, peers: list["Alertmanager"]) -> None:
        folder.mkdir()
        self._folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.cluster = f"127.0.0.1:{free_port()}"
        self._peers = [peer.cluster for peer in peers]
        configuration = {
            "route": {
                "receiver": "nobody",
                "routes": [
                    {
                        "receiver": "pager",
                        "matchers": ['severity="critical"'],
                        "group_by": ["..."],
                        "group_wait": "100ms",
                        "group_interval": "500ms",
                    }
                ],
            },
            "receivers": [
                {"name": "nobody"},
                {"name": "pager", "webhook_configs": [{"url": receiver, "send_resolved": True}]},
            ],
        }
        (folder / "alertmanager.yml").write_text(json.dumps(configuration))
        self.start()

    def start(self) -> None:
        """With nothing stored."""
        self._lives = getattr(self, "_lives", 0) + 1
        argv = [PROGRAM, f"--config.file={self._folder / 'alertmanager.yml'}"]
        argv += [f"--storage.path={self._folder / f'data-{self._lives}'}", f"--web.listen-address={self.address}"]
        argv += [f"--cluster.listen-address={self.cluster}", f"--cluster.advertise-address={self.cluster}"]
        argv += ["--cluster.settle-timeout=5s", "--cluster.gossip-interval=50ms"]
        argv += [f"--cluster.peer={peer}" for peer in self._peers]
        self._process = Process(argv, self._folder / "alertmanager.log")
        wait_until(self._is_ready, f"Alertmanager answers at {self.address}")

    def kill(self) -> None:
        self._process.kill()

    def members(self) -> int:
        """Of the cluster, as this one sees it."""
        return len(self._get("/api/v2/status")["cluster"]["peers"])

    def alerts(self) -> list[dict[str, Any]]:
        """Those that are firing, silenced ones too."""
        return self._get("/api/v2/alerts")

    def amtool(self, *arguments: str) -> str:
        argv = ["amtool", f"--alertmanager.url={self.url}", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    def _get(self, path: str) -> Any:
        status, body = http_request(self.address, path)
        if status != 200:
            raise RuntimeError(f"GET {path} at {self.address}: {status} {body[:200]!r}")
        return json.loads(body)

    def _is_ready(self) -> bool:
        self._process.require_running()
        try:
            return http_request(self.address, "/-/ready")[0] == 200
        except OSError:
            return False
