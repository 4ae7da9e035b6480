"""The site: built without a network, complete, and nothing in it is fetched from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.docs.console import REPO

pytestmark = pytest.mark.slow(seconds=10)
_FETCHES = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Fetched(HTMLParser):
    """What a browser fetches for a page, and its pictures among it."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []
        self.pictures: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        place = named.get(_FETCHES.get(tag, ""))
        if tag in ("img", "source"):
            self.pictures += filter(None, (named.get("src"), named.get("srcset")))
        if place and named.get("rel") != "canonical":
            self.places.append(place)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        fetched = Fetched()
        fetched.feed(page.read_text(encoding="utf-8"))
        assert fetched.places, page
        assert not [place for place in fetched.places if "//" in place], page
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8", errors="replace")
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", text), sheet


def test_every_picture_is_there(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = Fetched()
        fetched.feed(page.read_text(encoding="utf-8"))
        missing = [name for name in fetched.pictures if not (page.parent / name).is_file()]
        assert not missing, page
        assert page.name != "index.html" or page.parent != site or len(fetched.pictures) == 4


def test_every_document_is_a_page(site: Path) -> None:
    for document in (REPO / "docs").rglob("*.md"):
        name = document.relative_to(REPO / "docs")
        if name.parts[0] not in ("examples", "man"):
            assert (site / name).with_suffix(".html").is_file(), name
    for name in ("index", "security", "changelog", "contributing", "404"):
        assert (site / f"{name}.html").is_file()


def test_documents_beside_the_folder_lead_to_pages(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="own-daemon.html"' in start and 'href="docs/' not in start
    assert (
        'href="decisions/0002-sandbox-by-namespaces.html"' in (site / "security.html").read_text()
    )


def test_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    import runpy

    from mkdocs.exceptions import PluginError

    hooks = runpy.run_path(str(REPO / "scripts" / "docs_hooks.py"))
    link = re.compile(r"\[([^\]\n]+)\]\(([^)\s]+)\)").fullmatch("[x](../examples/gone.md)")
    with pytest.raises(PluginError, match="leads nowhere"):
        hooks["_resolved"](link, "docs/ci.md", "ci.md", None)


@pytest.mark.parametrize("script", ["checks_page.py", "man_page.py"])
def test_generated_documents_are_up_to_date(script: str) -> None:
    if script == "man_page.py" and sys.version_info[:2] != (3, 11):
        pytest.skip("each Python words the help of argparse differently")
    done = subprocess.run(
        [sys.executable, f"scripts/{script}", "--check"],
        cwd=REPO,
        env={"PYTHONPATH": str(REPO), "CHAOS_RUNS": "/elsewhere", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_security_names_files_that_exist() -> None:
    text = (REPO / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w.*-]+/[\w./*-]+|[\w-]+\.(?:py|yml|lock))`", text)
    assert len(named) > 30
    for name in named:
        assert any(REPO.glob(name)) or any(REPO.glob(f"**/{name}")), name
