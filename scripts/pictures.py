"""Photographs the first screen of a run's page, light and dark: docs/pictures/run-*.png.

Without an argument the canary is run (about a minute and a half): a Watcher that hides its
fallbacks, whose lie the page draws.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import FloatRect, Page, sync_playwright

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
WIDTH, MARGIN = 1100, 12
CANARY_LIMIT_S = 600


def main(words: list[str]) -> int:
    """Photograph the page that is named, or that of a new run of the canary."""
    if words:
        return photograph(Path(words[0]).resolve())
    with tempfile.TemporaryDirectory(prefix="chaos-pictures-") as folder:
        command = [sys.executable, "-m", "chaos", "canary", "--seed", "7", "--runs", folder]
        subprocess.run(command, check=True, timeout=CANARY_LIMIT_S)
        return photograph(next(Path(folder).glob("*/2*/report.html")))


def photograph(page_file: Path) -> int:
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
            target = PICTURES / f"run-{scheme}.png"
            page.screenshot(path=target, clip=_first_screen(page))
            print(target)
        browser.close()
    return 0


def _first_screen(page: Page) -> FloatRect:
    """From the verdict to the end of the timeline's legend."""
    bottom = page.evaluate("document.querySelector('.legend').getBoundingClientRect().bottom")
    return FloatRect(x=0, y=0, width=WIDTH, height=float(bottom) + MARGIN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
