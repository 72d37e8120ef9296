#!/usr/bin/python3
"""`vitalwire reload` at a controller that works: sinks, policies, limits, tokens; what waits is not lost, and a file with
mistakes changes nothing."""

from pathlib import Path
import subprocess
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from controller_case import BUILD, ControllerTestCase
from vmbed.inspector import Inspector
from vmbed.procs import free_port, http_request, wait_until

POLICY = "[policy p]\nsinks = inspector\nkinds = {}\n"


class ReloadTestCase(ControllerTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.other = self.enterContext(Inspector())
        self.prepare()
        self.start_controller()
        self.agent = self.start_agent()

    def prepare(self) -> None:
        """Before the controller starts."""

    def reload(self, more: str = "", inspector: Inspector | None = None) -> list[str]:
        """What the command prints about the configuration with this; the sink leads to that inspector."""
        self.configure(more)
        if inspector is not None:
            file = self.dir / "controller.conf"
            file.write_text(file.read_text().replace(self.inspector.address, inspector.address))
        return self.reloaded()

    def reloaded(self, status: int = 0) -> list[str]:
        done = subprocess.run([BUILD / "cli" / "vitalwire", "--controller", f"unix:{self.dir}/http", "reload"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return (done.stdout if status == 0 else done.stderr).splitlines()

    def add_webhook(self, more: str = "") -> str:
        return f"[sink pager]\ntype = webhook\nurl = http://{self.other.address}/page\n{more}"

    def paged(self, fault: str) -> list[str]:
        return [event["event"] for event in self.other.events() if event["fault"]["id"] == fault]

    def deliveries(self, fault: str) -> dict[str, str]:
        for entry in self.get("/v1/faults")["faults"]:
            if entry["id"] == fault:
                return {each["sink"]: each["state"] for each in entry["deliveries"]}
        return {}

    def problems(self) -> list[str]:
        return [problem["what"] for problem in self.get("/v1/status")["problems"]]

    def metrics(self) -> str:
        return http_request(self.dir / "http", "/metrics")[1].decode()

    def told_of(self, receiver: Inspector, fault: str) -> list[str]:
        return [event["details"]["status"] for event in receiver.events() if event["details"]["fault_id"] == fault]


class Sinks(ReloadTestCase):
    def test_what_waits_for_a_receiver_goes_to_its_new_address_at_once(self) -> None:
        self.inspector.down()
        fault = self.agent.open("vm-1")
        wait_until(lambda: "sink inspector cannot deliver" in self.problems(), "the receiver is away")
        said = self.reload(inspector=self.other)
        self.assertEqual(len(said), 1, said)
        self.assertIn("applied: [sink inspector] url: ", said[0])
        wait_until(lambda: self.told_of(self.other, fault) == ["down"], "the new address has it")
        self.agent.await_delivered(fault)
        wait_until(lambda: not self.problems(), "the problem is over")

    def test_another_receiver_is_told_of_what_the_one_before_has_acknowledged(self) -> None:
        fault = self.agent.open("vm-1")
        self.agent.await_delivered(fault)
        self.reload(inspector=self.other)
        wait_until(lambda: self.told_of(self.other, fault) == ["down"], "the new one has it")
        self.agent.clear(fault)
        wait_until(lambda: self.told_of(self.other, fault) == ["down", "up"], "and its end")
        self.agent.await_delivered(fault)
        self.assertEqual(self.told(fault), ["down"], "the one before is sent nothing more")
        journal = self.get(f"/v1/faults/{fault}")["journal"]["entries"]
        at = [f"{entry['what']} {entry['detail']}" for entry in journal if entry.get("sink") == "inspector"]
        before, after = (f"doctor http://{each.address}" for each in (self.inspector, self.other))
        self.assertEqual([line.rsplit("/", 1)[0] for line in at],
                         [f"acknowledged opened at {before}", f"receiver changed was {before}",
                          f"acknowledged opened at {after}", f"acknowledged cleared at {after}"])

    def test_another_receiver_after_a_restart_is_told_too(self) -> None:
        fault = self.agent.open("vm-1")
        self.agent.await_delivered(fault)
        file = self.dir / "controller.conf"
        file.write_text(file.read_text().replace(self.inspector.address, self.other.address))
        self.controller.kill()
        self.start_controller()
        wait_until(lambda: self.told_of(self.other, fault) == ["down"], "the new one has it")

    def test_what_is_under_way_is_sent_to_the_new_address(self) -> None:
        self.inspector.hang()
        fault = self.agent.open("vm-1")
        wait_until(self.inspector.hanging, "it is under way")
        self.reload(inspector=self.other)
        wait_until(lambda: self.told_of(self.other, fault) == ["down"], "the new address has it")
        # What the old one answers now is about nothing.
        self.inspector.refuse()
        self.agent.clear(fault)
        wait_until(lambda: self.told_of(self.other, fault) == ["down", "up"], "and its end")
        self.agent.await_delivered(fault)

    def test_an_added_sink_gets_what_is_open_and_what_comes(self) -> None:
        fault = self.agent.open("vm-1")
        self.agent.await_delivered(fault)
        said = self.reload(self.add_webhook())
        self.assertIn("applied: [sink pager] type: not set -> webhook", said)
        wait_until(lambda: self.paged(fault) == ["opened"], "the new sink has it")
        self.agent.clear(fault)
        wait_until(lambda: self.paged(fault) == ["opened", "cleared"], "and its end")
        self.await_told(fault, "down", "up")
        self.agent.await_delivered(fault)

    def test_what_a_removed_receiver_keeps_is_in_the_journal(self) -> None:
        self.reload(self.add_webhook())
        fault = self.agent.open("vm-1")
        wait_until(lambda: self.deliveries(fault).get("pager") == "acknowledged", "it has the fault")
        self.reload()
        entries = [entry["what"] for entry in self.get(f"/v1/faults/{fault}")["journal"]["entries"]]
        self.assertIn("sink removed", entries)
        self.assertIn("keeps what was raised there", self.controller.log.read_text())

    def test_nothing_waits_for_a_sink_that_is_removed(self) -> None:
        self.reload(self.add_webhook())
        self.other.down()
        fault = self.agent.open("vm-1")
        wait_until(lambda: "sink pager cannot deliver" in self.problems(), "the receiver is away")
        self.assertNotIn(fault, self.agent.delivered)
        self.assertIn("applied: [sink pager] type: webhook -> not set", self.reload())
        self.agent.await_delivered(fault)
        wait_until(lambda: not self.problems(), "the problem is over")
        self.assertEqual(self.deliveries(fault), {"inspector": "acknowledged"})
        self.assertNotIn('sink="pager"', self.metrics())

    def test_one_that_comes_back_is_a_new_one(self) -> None:
        self.reload(self.add_webhook())
        fault = self.agent.open("vm-1")
        wait_until(lambda: self.paged(fault) == ["opened"], "it has the fault")
        self.reload()
        self.reload(self.add_webhook())
        wait_until(lambda: self.paged(fault) == ["opened", "opened"], "it has the fault again")
        wait_until(lambda: self.deliveries(fault)["pager"] == "acknowledged", "and the controller has its answer")
        self.assertIn('vitalwire_controller_sink_queued{sink="pager"} 0', self.metrics())

    def test_one_that_comes_back_is_told_what_ended_without_it(self) -> None:
        self.reload(self.add_webhook())
        fault = self.agent.open("vm-1")
        wait_until(lambda: self.deliveries(fault).get("pager") == "acknowledged", "it has the fault")
        self.reload()
        short = self.agent.open("vm-2")
        self.await_told(short, "down")
        for each in (fault, short):
            self.agent.clear(each)
            self.await_told(each, "down", "up")
            self.agent.await_delivered(each)
        self.reload(self.add_webhook())
        wait_until(lambda: self.paged(fault) == ["opened", "cleared"], "it has the end of what it was told of")
        self.assertEqual(self.paged(short), [])
        self.reload()
        self.reload(self.add_webhook())
        self.assertEqual(self.paged(fault), ["opened", "cleared"], "once")
        self.assertEqual((self.told(fault), self.told(short)), (["down", "up"], ["down", "up"]))

    def test_what_it_has_delivered_is_known_after_a_restart(self) -> None:
        self.reload(self.add_webhook())
        fault = self.agent.open("vm-1")
        self.agent.await_delivered(fault)
        self.controller.kill()
        self.start_controller()
        self.agent.clear(fault)
        self.agent.await_delivered(fault)
        self.assertEqual(self.paged(fault), ["opened", "cleared"])

    def test_another_type_and_a_sink_that_listens_need_a_restart(self) -> None:
        fault = self.agent.open("vm-1")
        self.configure(f"[sink healer]\ntype = tacker\nlisten = 127.0.0.1:{free_port()}\nallow = 127.0.0.0/8\n"
                       f"token_file = {self.dir}/token\n")
        (self.dir / "token").write_text("x" * 40)
        (self.dir / "token").chmod(0o600)
        file = self.dir / "controller.conf"
        file.write_text(file.read_text().replace("type = doctor", "type = webhook"))
        said = self.reloaded()
        self.assertIn("needs a restart: [sink inspector] type: doctor -> webhook", said)
        self.assertIn("needs a restart: [sink healer] type: not set -> tacker", said)
        self.assertEqual(self.reloaded(), said, "until then")
        self.agent.clear(fault)
        self.await_told(fault, "down", "up")


class Policies(ReloadTestCase):
    def prepare(self) -> None:
        self.configure(POLICY.format("unhealthy"))

    def test_what_was_suppressed_is_sent_when_a_policy_wants_it(self) -> None:
        fault = self.agent.open("vm-1")
        wait_until(lambda: self.deliveries(fault) == {"inspector": "suppressed"}, "no policy sends it")
        self.assertEqual(self.reload(POLICY.format("heartbeat_lost")),
                         ["applied: [policy p] kinds: unhealthy -> heartbeat_lost"])
        self.await_told(fault, "down")

    def test_a_raise_that_was_sent_gets_its_clear(self) -> None:
        self.reload()
        fault = self.agent.open("vm-1")
        self.await_told(fault, "down")
        for policy in (POLICY.format("unhealthy"), POLICY.format("vm_crashed")):
            self.reload(policy)
        other = self.agent.open("vm-2")
        wait_until(lambda: self.deliveries(other) == {"inspector": "suppressed"}, "no policy sends it")
        self.agent.clear(fault)
        self.await_told(fault, "down", "up")
        self.assertEqual(self.told(other), [])


class Limits(ReloadTestCase):
    def prepare(self) -> None:
        for name in ("first", "second"):
            (self.dir / name).write_text(f"{name}-token-of-32-characters-at-least\n")
            (self.dir / name).chmod(0o600)
        self.http = f"127.0.0.1:{free_port()}"
        self.configure_http("first")

    def configure_http(self, token: str, more: str = "") -> None:
        self.configure(more)
        file = self.dir / "controller.conf"
        listen = f"listen = unix:{self.dir}/http {self.http}\nreader_token_file = {self.dir}/{token}\n"
        file.write_text(file.read_text().replace(f"listen = unix:{self.dir}/http\n", listen))

    def status_with(self, token: str) -> int:
        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                               f"Authorization: Bearer {token}-token-of-32-characters-at-least", f"http://{self.http}/v1/status"],
                              capture_output=True, text=True, check=True)
        return int(done.stdout)

    def test_tokens(self) -> None:
        self.assertEqual([self.status_with("first"), self.status_with("second")], [200, 401])
        self.configure_http("second")
        self.assertEqual(len(self.reloaded()), 1)
        self.assertEqual([self.status_with("first"), self.status_with("second")], [401, 200])

    def replace(self, name: str, text: str) -> None:
        new = self.dir / "new"
        new.write_text(text)
        new.chmod(0o600)
        new.rename(self.dir / name)

    def test_a_token_whose_file_changes_is_in_force_by_itself(self) -> None:
        self.replace("first", (self.dir / "second").read_text())
        wait_until(lambda: [self.status_with("first"), self.status_with("second")] == [401, 200], "it is read")
        self.assertEqual(self.reloaded(), ["read again, no value of the file has changed"], "it was in force")

    def test_a_reload_names_a_file_with_another_content(self) -> None:
        self.replace("first", (self.dir / "second").read_text())
        self.assertEqual(self.reloaded(),
                         [f"applied: [http] reader_token_file: the content of {self.dir}/first has changed"])
        self.assertEqual([self.status_with("first"), self.status_with("second")], [401, 200])

    def test_a_token_that_cannot_be_read_is_a_problem_and_the_one_before_valid(self) -> None:
        what = "a file that the configuration names is not in force"
        (self.dir / "first").unlink()
        wait_until(lambda: what in self.problems(), "it is a problem")
        self.assertEqual(self.status_with("first"), 200)
        self.replace("first", (self.dir / "second").read_text())
        wait_until(lambda: what not in self.problems(), "it is over")
        self.assertEqual([self.status_with("first"), self.status_with("second")], [401, 200])

    def test_patience_of_the_self_monitoring(self) -> None:
        self.configure_http("first", "[self_monitoring]\nagent_lost_after = 1 h\n")
        self.assertEqual(self.reloaded(), ["applied: [self_monitoring] agent_lost_after: 3 s -> 1 h"])
        self.configure_http("first", "[self_monitoring]\nagent_lost_after = 1 s\nhost_unreachable_after = 1 s\n")
        self.assertEqual(self.reloaded(), ["applied: [self_monitoring] agent_lost_after: 1 h -> 1 s",
                                           "needs a restart: [self_monitoring] host_unreachable_after: 900 ms -> 1 s"])

    def test_a_file_with_mistakes_changes_nothing(self) -> None:
        self.configure_http("second", "[sink pager]\ntype = webhok\n")
        said = self.reloaded(status=1)
        self.assertIn("the configuration has mistakes, nothing was changed", said[0])
        self.assertEqual([self.status_with("first"), self.status_with("second")], [200, 401])
        fault = self.agent.open("vm-1")
        self.await_told(fault, "down")


if __name__ == "__main__":
    unittest.main()
