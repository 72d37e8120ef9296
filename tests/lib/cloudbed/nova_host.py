"""A compute node as Nova sees it."""
from vmbed.procs import wait_until

from .client import OpenStack, Refused
from .services import START_SECONDS


class NovaHost:
    def __init__(self, host: str) -> None:
        self.host = host

    def wait_up(self, admin: OpenStack, reported_after: str = "") -> None:
        """Waits until Nova counts on this node, by a report of nova-compute newer than that one."""

        def is_up() -> bool:
            service = self.record(admin)
            is_new = service.get("updated_at") and service["updated_at"] != reported_after
            return is_new and (service["state"], service["status"]) == ("up", "enabled")

        wait_until(is_up, f"nova-compute on {self.host} is up", START_SECONDS)

    def wait_reports(self, admin: OpenStack) -> None:
        """Waits until nova-compute has told Nova once more that it is there."""
        self.wait_up(admin, reported_after=self.record(admin)["updated_at"])

    def wait_schedulable(self, admin: OpenStack) -> None:
        def is_listed() -> bool:
            found = admin.call("compute", "GET", "/os-hypervisors/detail")["hypervisors"]
            return any(
                item["service"]["host"] == self.host and item["state"] == "up" for item in found
            )

        wait_until(is_listed, f"hypervisor of {self.host} is listed", START_SECONDS)

    def record(self, admin: OpenStack) -> dict[str, str]:
        """What Nova says of nova-compute here; empty before it ever started."""
        path = f"/os-services?binary=nova-compute&host={self.host}"
        return next(iter(admin.call("compute", "GET", path)["services"]), {})

    def enable(self, admin: OpenStack, is_enabled: bool) -> None:
        """Whether the scheduler puts servers here."""
        status = "enabled" if is_enabled else "disabled"
        wait_until(lambda: self.record(admin).get("state") == "up", f"{self.host} is up", START_SECONDS)
        record = self.record(admin)
        if record["status"] != status:
            admin.call("compute", "PUT", f"/os-services/{record['id']}", {"status": status})

    def force_up(self, admin: OpenStack) -> None:
        """After `force_down`, once nova-compute has removed what was evacuated from here: Nova refuses it before."""

        def is_taken() -> bool:
            try:
                self.force_down(admin, False)
            except Refused:
                return False
            return True

        wait_until(is_taken, f"{self.host} is no longer forced down", START_SECONDS)
        self.wait_reports(admin)

    def force_down(self, admin: OpenStack, is_down: bool) -> None:
        """What an operator can say of a node, whatever it reports."""
        path = f"/os-services/{self.record(admin)['id']}"
        admin.call("compute", "PUT", path, {"forced_down": is_down})
