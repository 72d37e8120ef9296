#!/usr/bin/python3
"""The machinery that boots guests, tried on real guests."""

from contextlib import closing
from pathlib import Path
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from vmbed import initramfs, kernel, python
from vmbed.guest import Guest, Machine, Model
from vmbed.initramfs import Payload, Service
from vmbed.procs import ProcessTestCase, temporary_dir, wait_until

CHANNEL = "org.vitalwire.0"


class Line:
    """The host's end of a channel, as a line of text at a time."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        self._input = self._socket.makefile("rb")

    def send(self, text: str) -> None:
        self._socket.sendall(f"\n{text}\n".encode())

    def expect(self, text: str) -> None:
        """Reads until that line comes; other lines are skipped. EOFError if the channel ends."""
        for line in self._input:
            if line.decode().rstrip("\n") == text:
                return
        raise EOFError(f"channel ended before {text!r}")

    def silent_for(self, seconds: float) -> bool:
        self._socket.settimeout(seconds)
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(60)

    def ended(self) -> bool:
        try:
            return self._input.read() is not None
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._input.close()
        self._socket.close()


class GuestTest(ProcessTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.kernel = kernel.obtain()
        cls.model = Model(cls.kernel, initramfs.build(initramfs.echo_payload(CHANNEL), cls.kernel))

    def guest(
        self, name: str = "g1", folder: Path | None = None, model: Model | None = None
    ) -> Guest:
        folder = folder or self.dir
        return self.enterContext(Guest(name, model or self.model, folder, folder))

    def ready_guest(self, name: str = "g1") -> Guest:
        return self.guest(name).boot_from_snapshot().wait_ready()

    def line(self, guest: Guest) -> Line:
        return self.enterContext(closing(Line(guest.channel(CHANNEL))))


class Channels(GuestTest):
    def test_a_booted_guest_echoes_lines(self) -> None:
        guest = self.guest(model=Model(self.kernel, self.model.image, Machine(board="q35")))
        guest.boot().wait_ready()
        line = self.line(guest)
        line.expect("READY")
        line.send("hello")
        line.expect("ECHO hello")

    def test_the_channel_is_named_after_itself_and_the_guest(self) -> None:
        guest = self.ready_guest("web-1")
        self.assertEqual(guest.channel(CHANNEL), self.dir / "org.vitalwire.0.web-1.sock")
        self.assertTrue(guest.channel(CHANNEL).is_socket())
        self.assertTrue((self.dir / "web-1.qmp").is_socket())

    def test_three_guests_from_one_snapshot_are_three_guests(self) -> None:
        guests = [self.guest(f"g{number}").boot_from_snapshot() for number in range(3)]
        lines = [self.line(guest.wait_ready()) for guest in guests]
        for number, line in enumerate(lines):
            line.send(f"you are {number}")
        for number, line in enumerate(lines):
            line.expect(f"ECHO you are {number}")

    def test_names_can_be_left_out_as_without_udev(self) -> None:
        payload = initramfs.echo_payload(CHANNEL, port_names=False)
        model = Model(self.kernel, initramfs.build(payload, self.kernel))
        guest = self.guest(model=model).boot_from_snapshot().wait_ready()
        self.assertEqual(guest.control.run("ls /dev/virtio-ports").status, 1)
        self.assertEqual(guest.ctl(f"port-device {CHANNEL}"), "/dev/vport0p1\n")


class Control(GuestTest):
    def test_a_command_gives_output_and_status(self) -> None:
        guest = self.ready_guest()
        self.assertEqual(guest.ctl("echo one; echo two >&2"), "one\ntwo\n")
        self.assertEqual(guest.control.run("exit 7").status, 7)
        with self.assertRaisesRegex(RuntimeError, "no/such"):
            guest.ctl("cat /no/such")

    def test_a_written_file_holds_any_text(self) -> None:
        guest = self.ready_guest()
        text = "it's \"quoted\" $HOME\n\\n ünïcode\n"
        guest.control.write_file("/tmp/a file", text)
        self.assertEqual(guest.ctl("cat '/tmp/a file'"), text)

    def test_a_stopped_service_is_silent_until_continued(self) -> None:
        guest = self.ready_guest()
        line = self.line(guest)
        line.expect("READY")
        guest.signal_service("echo", "STOP")
        line.send("anyone?")
        self.assertTrue(line.silent_for(0.5))
        guest.signal_service("echo", "CONT")
        line.expect("ECHO anyone?")

    def test_a_killed_service_is_started_again(self) -> None:
        guest = self.ready_guest()
        before = guest.ctl("cat /run/service/echo.pid")
        guest.signal_service("echo", "KILL")
        wait_until(
            lambda: guest.control.run("cat /run/service/echo.pid").output not in ("", before)
            and guest.channel_open(CHANNEL),
            "the echo service is there again",
        )

    def test_a_service_can_be_stopped_and_started(self) -> None:
        guest = self.ready_guest()
        guest.ctl("service stop echo")
        wait_until(lambda: not guest.channel_open(CHANNEL), "the channel is closed")
        guest.ctl("service start echo")
        wait_until(lambda: guest.channel_open(CHANNEL), "the channel is open")


class Lifecycle(GuestTest):
    def test_a_paused_guest_answers_after_it_is_resumed(self) -> None:
        guest = self.ready_guest()
        line = self.line(guest)
        line.expect("READY")
        guest.pause()
        line.send("sent while paused")
        self.assertTrue(line.silent_for(0.5))
        guest.resume()
        line.expect("ECHO sent while paused")

    def test_a_reset_keeps_the_connection_and_starts_the_guest_anew(self) -> None:
        guest = self.ready_guest()
        line = self.line(guest)
        line.expect("READY")
        before = guest.ctl("cat /proc/sys/kernel/random/boot_id")
        guest.reset()
        guest.wait_restarted()
        line.expect("READY")
        self.assertNotEqual(guest.ctl("cat /proc/sys/kernel/random/boot_id"), before)

    def test_a_guest_that_reboots_itself_comes_back(self) -> None:
        guest = self.ready_guest()
        guest.reboot()
        guest.wait_restarted()

    def test_a_panic_is_reported_and_pauses_the_guest(self) -> None:
        guest = self.ready_guest()
        guest.panic()
        guest.qmp.wait_event("GUEST_PANICKED", action="pause")
        self.assertEqual(guest.status, "guest-panicked")

    def test_a_panic_without_driver_is_not_seen(self) -> None:
        guest = self.ready_guest()
        line = self.line(guest)
        line.expect("READY")
        guest.ctl("rmmod pvpanic-pci")
        guest.panic()
        wait_until(lambda: "Kernel panic" in guest.console.read_text(), "the console shows it")
        line.send("anyone?")
        self.assertTrue(line.silent_for(0.5))
        self.assertEqual(guest.status, "running")

    def test_a_power_off_ends_qemu(self) -> None:
        guest = self.ready_guest()
        line = self.line(guest)
        guest.poweroff()
        guest.qmp.wait_event("SHUTDOWN", reason="guest-shutdown")
        self.assertEqual(guest.wait_exit(), 0)
        self.assertTrue(line.ended())
        self.assertFalse(guest.channel(CHANNEL).exists())

    def test_a_killed_qemu_ends_the_channel_and_leaves_a_dead_socket(self) -> None:
        guest = self.ready_guest()
        line = self.line(guest)
        guest.kill()
        self.assertTrue(line.ended())
        with socket.socket(socket.AF_UNIX) as late, self.assertRaises(ConnectionRefusedError):
            late.connect(str(guest.channel(CHANNEL)))

    def test_a_closed_guest_leaves_no_socket_and_can_boot_again(self) -> None:
        guest = self.ready_guest()
        guest.close()
        self.assertEqual([path for path in self.dir.iterdir() if path.is_socket()], [])
        guest.boot_from_snapshot().wait_ready()


class Moving(GuestTest):
    def test_a_saved_guest_continues_where_it_was(self) -> None:
        guest = self.ready_guest()
        guest.ctl("echo remembered > /tmp/note")
        guest.save(self.dir / "saved")
        guest.close()
        guest.restore(self.dir / "saved").wait_ready()
        self.assertEqual(guest.ctl("cat /tmp/note"), "remembered\n")

    def test_a_migrated_guest_runs_at_its_destination_only(self) -> None:
        source = self.ready_guest()
        self.line(source).expect("READY")
        source.ctl("echo moved > /tmp/note")
        destination = self.guest("g1", folder=self.enterContext(temporary_dir()))
        source.migrate_to(destination)
        self.assertEqual(source.status, "postmigrate")
        line = self.line(destination)
        line.send("where are you?")
        line.expect("ECHO where are you?")
        self.assertEqual(destination.ctl("cat /tmp/note"), "moved\n")


class Payloads(GuestTest):
    def test_a_dynamic_program_runs_with_its_libraries_arguments_and_files(self) -> None:
        # bash stands for any program of this machine that is linked with shared libraries.
        channel = "cgcs.heartbeat"
        greeter = ("/usr/bin/bash", "/etc/greet", f"/dev/virtio-ports/{channel}", "good morning,")
        payload = Payload(
            files={
                "/usr/bin/bash": Path("/usr/bin/bash"),
                "/etc/greet": 'exec 3<>"$1"\necho "$(hostname): $2 $BASH_VERSION" >&3\nsleep 1d\n',
            },
            services=(Service("greeter", greeter),),
            init_lines=("hostname from-init",),
        )
        model = Model(
            self.kernel, initramfs.build(payload, self.kernel), Machine(channels=(channel,))
        )
        guest = self.guest(model=model).boot_from_snapshot().wait_ready()
        line = self.enterContext(closing(Line(guest.channel(channel))))
        version = subprocess.check_output(["/usr/bin/bash", "-c", "echo $BASH_VERSION"], text=True)
        line.expect(f"from-init: good morning, {version.rstrip()}")

    def test_a_python_program_runs_with_the_modules_it_imports(self) -> None:
        script = self.dir / "greet.py"
        script.write_text(
            "#!/usr/bin/python3\n"
            "import json, select, sys, time\n"
            "port = open(sys.argv[1], 'r+b', buffering=0)\n"
            "port.write(json.dumps({'greeting': 'hi'}).encode() + b'\\n')\n"
            "time.sleep(86400)\n"
        )
        payload = Payload(
            files=python.program(script, "/usr/bin/greet"),
            services=(Service("greet", ("/usr/bin/greet", f"/dev/virtio-ports/{CHANNEL}")),),
        )
        model = Model(self.kernel, initramfs.build(payload, self.kernel))
        guest = self.guest(model=model).boot_from_snapshot().wait_ready()
        self.line(guest).expect('{"greeting": "hi"}')

    def test_a_program_without_its_libraries_is_refused(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "not found"):
            lonely = self.dir / "lonely"
            data = Path("/usr/bin/bash").read_bytes()
            lonely.write_bytes(data.replace(b"libc.so.6", b"libX.so.6"))
            lonely.chmod(0o755)
            initramfs.build(Payload(files={"/bin/lonely": lonely}), self.kernel)


if __name__ == "__main__":
    unittest.main()
