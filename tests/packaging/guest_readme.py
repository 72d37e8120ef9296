"""guest/README.md, followed to the letter in a root in which the guest's programs are installed: a health check, a program, a
vote, a message to the group. What the page says is taken from the page."""

from pathlib import Path
import re
import shutil
import subprocess
import threading
import time

from scripted_host import Host
from vmbed.procs import wait_equal, wait_until

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "guest" / "README.md"
BLOCK = re.compile(r"^```ini vitalwired\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^ {4}(\S.*)$", re.MULTILINE)
CHANNEL = re.compile(r"`(vitalwired --channel unix:(/\S+\.sock))`")


def commands() -> list[str]:
    """Every line that the page shows as a command, without its comment; pictures, the event script and fenced blocks are none."""
    page = re.sub(r"^```.*?^```$", "", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    script = re.sub(r"^", "    ", event_script(), flags=re.MULTILINE)
    lines = [re.sub(r" {2,}#.*", "", line).strip() for line in COMMAND.findall(page.replace(script, ""))]
    return [line for line in lines if "──" not in line]


def event_script() -> str:
    script = re.search(r'^ {4}case "\$1 \$2" in\n.*?^ {4}exit 0$', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return re.sub(r"^ {4}", "", script[0], flags=re.MULTILINE)


class Walk:
    """One guest that is set up as the page says. `root` has a shell, and is given /proc, /dev and /run for the walk."""

    def __init__(self, root: Path) -> None:
        self.root, self.followed, self._started = root, set(), []
        busybox = root / "usr/bin/busybox"
        for folder in ("proc", "dev", "run", "tmp", "srv", "usr/sbin", "usr/bin", "usr/lib/vnf", "var/lib"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        if not busybox.exists():
            shutil.copy2("/bin/busybox", busybox)
        prepare = 'mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/run" && mount --bind /dev "$0/dev" && busybox ip link set lo up && exec chroot "$0" /bin/sh -c "read -r line"'
        self._holder = subprocess.Popen(["unshare", "--mount", "--net", "sh", "-c", prepare, root], stdin=subprocess.PIPE)
        wait_until(lambda: Path(f"/proc/{self._holder.pid}/root").resolve() == root.resolve(), "the root is entered")

    def close(self) -> None:
        for process in [*reversed(self._started), self._holder]:
            process.terminate()
            process.wait(30)
        self._holder.stdin.close()

    def _inside(self, command: str) -> list[str]:
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH"
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--net", "--root", "--wd", "/bin/sh", "-c",
                f"{path}; {command}"]

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        self.followed.add(command)
        return subprocess.run(self._inside(command), capture_output=True, text=True, timeout=60, check=False)

    def start(self, command: str, log: Path | None = None) -> subprocess.Popen:
        self.followed.add(command)
        with (log or self.root / "srv" / "log").open("a") as output:
            self._started.append(subprocess.Popen(self._inside(f"exec {command}"), stdout=output, stderr=subprocess.STDOUT))
        return self._started[-1]

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        (self.root / path).write_text(text)
        (self.root / path).chmod(mode)

    def follow(self) -> float:
        """Returns the minutes that it took."""
        begun = time.monotonic()
        self.configure()
        self.check_health()
        self.check_programs()
        self.check_votes()
        self.check_group()
        self.daemon.terminate()
        assert self.daemon.wait(30) == 0
        self.host.disconnect()
        return (time.monotonic() - begun) / 60

    def configure(self) -> None:
        self.write("usr/lib/vnf/on-event", "#!/bin/sh\n" + event_script() + "\n", 0o755)
        self.write("usr/bin/vnf", "#!/bin/sh\nexit 0\n", 0o755)
        self.write("etc/vitalwire/vitalwired.conf", "\n".join(BLOCK.findall(PAGE.read_text())))
        checked = self.run("vitalwired --check-config")
        assert checked.returncode == 0, checked.stderr
        command, channel = CHANNEL.search(PAGE.read_text()).groups()
        (self.root / channel[1:]).parent.mkdir(parents=True, exist_ok=True)
        self.daemon = self.start(command)
        wait_until((self.root / channel[1:]).exists, "vitalwired listens")
        self.host = Host(self.root / channel[1:])
        # So that no command of the page is too slow for a host that asks in between only.
        self.host.register(interval=60000)

    def await_reason(self, reason: str) -> None:
        wait_equal(lambda: self.host.challenge().get("reason", ""), reason, "what the host is told")

    def check_health(self) -> None:
        self.await_reason("check disk: /var/lib/db is not writable")
        (self.root / "var/lib/db").mkdir()
        # In the page's block nginx is what answers the other check: here a server of that name, which is in every root.
        self.write("usr/sbin/nginx", "#!/bin/sh\nexec busybox httpd -f -p 127.0.0.1:8080 -h /srv\n", 0o755)
        self.write("srv/healthz", "fine\n")
        self.start("vitalwire-app run web -- /usr/sbin/nginx -g 'daemon off;'")
        self.await_reason("")

    def check_programs(self) -> None:
        assert self.run("vitalwire-app status").returncode == 0
        assert self.run('vitalwire-app report backup unhealthy "no space"').returncode == 0
        self.await_reason("report backup: no space")
        listed = self.run("vitalwire-app list").stdout
        for line in ("check\tdisk\thealthy\t-", "check\tweb\thealthy\t-", "application\tweb\thealthy\t-", "report\tbackup\tunhealthy\tno space"):
            assert line in listed.splitlines(), listed
        assert self.run("vitalwire-app status").returncode == 1
        assert self.run("vitalwire-app forget backup").returncode == 0

    def check_votes(self) -> None:
        self.host.ask("stop")
        answer = self.host.receive("action_response")
        assert (answer["vote_result"], answer["reason"]) == ("reject", "event script: last member of its group"), answer
        self.host.ask("live_migrate_begin", False)
        assert self.host.receive("action_response")["vote_result"] == "complete"

    def check_group(self) -> None:
        heard = self.root / "srv" / "heard"
        self.start("vitalwire-group listen", heard)
        wait_until(lambda: self.run("vitalwire-group status --timeout 0.1").returncode == 1, "the group is asked in vain")
        self.host.receive_group("status_query")
        for command, member in (("vitalwire-group status", "vm-2"), ('vitalwire-group send "backup begins"', None)):
            answering = threading.Thread(target=self.answer, args=(member,))
            answering.start()
            done = self.run(command)
            answering.join()
            assert done.returncode == 0, done.stderr
            assert member is None or done.stdout.startswith("vm-2\t"), done.stdout
        assert self.message["data"] == "backup begins"
        self.host.send_group("broadcast", source_instance="vm-2", data="hello")
        wait_until(lambda: "broadcast\tvm-2\thello\n" in heard.read_text(), "it is heard")

    def answer(self, member: str | None) -> None:
        if member is None:
            self.message = self.host.receive_group("broadcast")
        self.host.answer_query(*([member] if member else []))
