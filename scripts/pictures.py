"""Photographs what the README shows, light and dark: docs/pictures/*-light.png and *-dark.png.

    scripts/pictures [NAME [PAGE]]

`run`: the first screen of the canary's page, a Watcher that hides its fallbacks (a minute and a
half). `sweep`: the life of a request of a worker that archives in two steps (some minutes). Without
a NAME both are made; with PAGE nothing is run, and that file is photographed.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import FloatRect, Page, sync_playwright

REPO = Path(__file__).resolve().parents[1]
PICTURES = REPO / "docs" / "pictures"
DAEMON = REPO / "tests" / "sweep" / "daemon"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
WIDTH, MARGIN = 1100, 12
MAKING_LIMIT_S = 3600
WORKER = "worker.yaml"


@dataclass(frozen=True)
class Subject:
    """A page, and the part of it that is photographed: from its top to the end of `last`.

    `words`: the arguments of `chaos` that make it; `code`: what they exit with.
    """

    words: tuple[str, ...]
    code: int
    page: str
    last: str


SUBJECTS = {
    "run": Subject(("canary", "--seed", "7"), 0, "*/2*/report.html", ".legend"),
    "sweep": Subject(
        ("sweep", WORKER, "--kind", "crash,crash_all,power", "--seed", "7"),
        1,
        "sweep/2*/sweep.html",
        "#life",
    ),
}


def main(words: list[str]) -> int:
    """Make the pages that are wanted, and photograph them."""
    for name in words[:1] or SUBJECTS:
        subject = SUBJECTS[name]
        if words[1:]:
            photograph(name, subject, Path(words[1]).resolve())
            continue
        with tempfile.TemporaryDirectory(prefix="chaos-pictures-") as text:
            folder = Path(text)
            _write_defective(folder / WORKER)
            command = [sys.executable, "-m", "chaos", *subject.words, "--runs", "runs"]
            code = subprocess.run(
                command, check=False, timeout=MAKING_LIMIT_S, cwd=folder
            ).returncode
            if code != subject.code:
                return code or 1
            photograph(name, subject, next((folder / "runs").glob(subject.page)))
    return 0


def _write_defective(path: Path) -> None:
    """The target file of the worker that archives in two steps."""
    text = (DAEMON / "target.yaml").read_text(encoding="utf-8")
    text = text.replace("worker.py]}\nwork:", "worker.py, archive_in_two_steps]}\nwork:")
    text = text.replace("source: worker.py", f"source: {DAEMON / 'worker.py'}")
    path.write_text(text, encoding="utf-8")


def photograph(name: str, subject: Subject, page_file: Path) -> None:
    """Write both pictures of a page."""
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        for scheme in ("light", "dark"):
            page = browser.new_page(
                viewport={"width": WIDTH, "height": 900},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page.goto(page_file.as_uri())
            target = PICTURES / f"{name}-{scheme}.png"
            page.screenshot(path=target, clip=_to_the_end_of(page, subject.last), full_page=True)
            print(target)
        browser.close()


def _to_the_end_of(page: Page, last: str) -> FloatRect:
    bottom = page.evaluate(f"document.querySelector('{last}').getBoundingClientRect().bottom")
    return FloatRect(x=0, y=0, width=WIDTH, height=float(bottom) + MARGIN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
