"""A picture of the controller's web page as it is now."""

import contextlib
from pathlib import Path
import shutil
import subprocess

from stage import BUILD, Stage, Step

PICTURE = BUILD / "web-page.png"
SIZE = "1200,900"
SETTLE_MS = 4000  # of the page's own time: it asks, and draws
DEADLINE_SECONDS = 60
HOW = "apt install chromium                 and the next quickstart takes a picture of the web page"
PNG = b"\x89PNG"


def browser() -> str | None:
    """Of Debian's package or one that has another name for it; none is installed for this."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def show(stage: Stage, folder: Path) -> Path | None:
    """What a browser shows, as a picture; without one, how to open it."""
    print("== what the web page shows of it")
    program = browser()
    if program is None:
        print(f"   chromium is not installed; in any browser of this machine, while the story runs: {stage.page}")
        return None
    with Step(stage.page) as step:
        PICTURE.unlink(missing_ok=True)
        take(program, stage.page, folder / "browser")
        step.outcome = f"a picture: {PICTURE}"
    return PICTURE


def take(program: str, page: str, profile: Path) -> None:
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}",
               f"--window-size={SIZE}", f"--virtual-time-budget={SETTLE_MS}", f"--screenshot={PICTURE}", page]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, timeout=DEADLINE_SECONDS, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
    if not PICTURE.is_file() or not PICTURE.read_bytes().startswith(PNG):
        raise RuntimeError(f"{program} has made no picture of {page}")
