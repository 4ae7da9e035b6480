"""The page is one file, makes no request, escapes foreign text, and shows the whole verdict."""

from __future__ import annotations

import html
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chaos.base.errors import ChaosError
from chaos.record.open_run import OpenRun
from chaos.report.excerpts import LINE_CHARACTERS_MAX, excerpts
from chaos.report.html import html_text
from chaos.report.series import POINTS_MAX, Curve, curve, stretches
from chaos.report.stored import Stored, load
from chaos.report.write import write_page
from tests.checks.history_builder import PlantedRun
from tests.report.hostile import ELSEWHERE, hostile_run, judged

LINKING = {"href", "src", "srcset", "data", "action", "poster", "xlink:href", "style"}


class Page(HTMLParser):
    """Collects all elements with their attributes, all ids, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "style" not in self._inside:
            self.text += data

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    def links(self) -> list[str]:
        return [v for _, attributes in self.tags for k, v in attributes.items() if k in LINKING]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return judged(hostile_run(tmp_path_factory.mktemp("run") / "hostile"))


@pytest.fixture(scope="module")
def page(hostile: Stored) -> Page:
    return Page(html_text(hostile))


def test_the_page_shows_the_verdict(hostile: Stored, page: Page) -> None:
    text = " ".join(page.text.split())
    verdict = hostile.verdict
    assert "FAIL" in text
    assert verdict.reproduce in text
    assert verdict.schedule_hash in text
    for finding in verdict.findings:
        assert finding.title in text
    for fault in verdict.faults:
        assert f"{fault.fault_id} {fault.name}" in text


def test_each_finding_links_to_its_evidence_with_the_line_it_points_to(
    hostile: Stored, page: Page
) -> None:
    targets = [href.removeprefix("#") for href in page.links() if href.startswith("#finding-")]
    assert len(targets) == len(hostile.verdict.findings)
    assert set(targets) <= set(page.ids)
    assert "logs/watcher.log:1" in page.text
    assert "Traceback (most recent call last): <script>" in page.text


def test_ids_are_unique_and_every_link_inside_leads_somewhere(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    inside = {href[1:] for href in page.links() if href.startswith("#")}
    inside |= {name for style in page.links() for name in re.findall(r"url\(#([^)]+)\)", style)}
    assert inside - {""} <= set(page.ids)


def test_the_page_makes_no_request(hostile: Stored, page: Page) -> None:
    """No script, no handler, no reference to another file; and the content policy forbids them."""
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "object", "embed", "img", "base", "form"}
    assert not [k for _, attributes in page.tags for k in attributes if k.startswith("on")]
    for value in page.links():
        assert "//" not in value
        assert not re.search(r"url\((?!#)", value)
    policies = [a["content"] for tag, a in page.tags if a.get("http-equiv")]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'")
    style = html_text(hostile).partition("<style>")[2].partition("</style>")[0]
    assert "@import" not in style
    assert "url(" not in style


def test_control_characters_are_written_out(hostile: Stored) -> None:
    text = html_text(hostile)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    assert "\\x1b[31m" in text


def test_every_signal_is_drawn_or_its_absence_is_stated(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run")
    run.add_event(2.5, "source_absent", source="gpu", reason="no driver")
    page = Page(html_text(judged(run)))
    drawn = {a["id"]: tag for tag, a in page.tags if a.get("id", "").startswith("plot-")}
    assert drawn["plot-memory"] == "figure"
    assert drawn["plot-latency"] == "figure"
    assert drawn["plot-gpu"] == "p"
    assert "not measured. no driver" in page.text
    run.gpu_mb = lambda t_s: 1000.0
    page = Page(html_text(judged(run)))
    assert ("figure", "plot-gpu") in [(tag, a.get("id")) for tag, a in page.tags]


def test_a_run_that_was_cut_off_still_gets_its_page(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run")
    run.cut_off(50.0)
    run.torn_history = True
    text = " ".join(Page(html_text(judged(run))).text.split())
    assert "Was not recorded" in text
    assert "recovery not proven" in text


def test_another_process_writes_the_same_bytes(hostile: Stored, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    write_page(hostile.run, out)
    assert out.read_text(encoding="utf-8") == html_text(hostile)


def test_a_failure_to_write_the_page_is_printed(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run").write()
    with pytest.raises(ChaosError, match="page"):
        write_page(run, tmp_path / "page.html")


def test_the_harness_does_not_import_matplotlib(hostile: Stored) -> None:
    """Drawing needs more memory than the harness may have, so another process draws."""
    code = (
        "import sys, chaos.runner.inner, chaos.runner.assembly, chaos.runner.judge\n"
        "import chaos.report.write as w\n"
        "from chaos.record.rundir import RunDir\nfrom pathlib import Path\n"
        f"w.report_run(RunDir(Path({str(hostile.run.path)!r})))\n"
        "print([m for m in ('matplotlib', 'PIL') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
    for name in ("report.html", "junit.xml", "metrics.prom"):
        assert (hostile.run.path / name).stat().st_size > 0


@pytest.fixture
def run(tmp_path: Path) -> Iterator[OpenRun]:
    with OpenRun(PlantedRun(tmp_path).write()) as opened:
        yield opened


def test_a_curve_is_bounded_and_keeps_every_peak_and_trough(run: OpenRun) -> None:
    points = (
        "select n / 200 as t_s, case n when 77777 then 50 when 123456 then -50 "
        "else sin(n / 50) end as value from range(200000) as numbers(n)"
    )
    drawn = curve(run, points, 1000.0)
    assert drawn.count == 200_000
    kept = drawn.points()
    assert len(kept) <= POINTS_MAX
    assert kept == sorted(kept)
    assert (77_777 / 200, 50.0) in kept
    assert (123_456 / 200, -50.0) in kept


@pytest.mark.parametrize("period_s", [0.25, 30.0])
def test_a_gap_in_the_samples_is_a_gap_in_the_curve(run: OpenRun, period_s: float) -> None:
    """At any sampling period; no line is drawn across a gap."""
    points = (
        f"select (n * {period_s})::double as t_s, 1.0::double as value "
        f"from range({int(600 / period_s)}) as numbers(n) where not t_s between 200 and 499.9"
    )
    assert sum(math.isnan(value) for _, value in curve(run, points, 600.0).line()) == 1


def test_values_that_are_not_finite_are_not_drawn(run: OpenRun) -> None:
    points = "select 5.0::double as t_s, unnest(['nan', 'inf', null, '1']::double[]) as value"
    assert curve(run, points, 10.0).points() == [(5.0, 1.0)]
    assert Curve().line() == []


def test_stretches_are_joined_and_bounded(run: OpenRun) -> None:
    spans = "select unnest([1.0, 2.0, 50.0]::double[]) as start_s, start_s + 1.0 as end_s"
    found = stretches(run, spans, 100.0)
    assert [(round(a), round(b)) for a, b in found] == [(1, 2), (50, 1)]
    many = "select n / 1000 as start_s, start_s + 0.0001 as end_s from range(100000) as numbers(n)"
    assert len(stretches(run, many, 100.0)) <= 50


def test_excerpts_read_nothing_outside_the_run(tmp_path: Path) -> None:
    root = tmp_path / "run"
    root.mkdir()
    (tmp_path / "secret").write_text("secret\n", encoding="utf-8")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "log").write_text("one\n" + "x" * 100_000 + "\n", encoding="utf-8")
    found = excerpts(root, ["../secret:1", "link:1", "log:1", "log:2", "log:9", "log", "gone:1"])
    assert set(found) == {"log:1", "log:2"}
    assert found["log:1"] == "one"
    assert len(found["log:2"]) == LINE_CHARACTERS_MAX


# -- in a browser -----------------------------------------------------------------------------

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
QUIET = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def browse(page: Path, folder: Path) -> tuple[str, list[str], list[str]]:
    """(the document after loading, its console messages, its requests to other addresses)."""
    assert BROWSER is not None
    log = folder / "net.json"
    command = [
        BROWSER,
        *QUIET,
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "--host-resolver-rules=MAP * ~NOTFOUND",  # whatever it asks for, nothing leaves
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    asked = []
    for event in json.loads(log.read_text(encoding="utf-8"))["events"]:
        params = event.get("params") or {}
        # A browser's own requests have no origin; those of a page name the page's.
        of_page = params.get("initiator", "not an origin") != "not an origin"
        if of_page and params.get("url", "").startswith("http"):
            asked.append(params["url"])
    return done.stdout, console, asked


@needs_browser
@pytest.mark.chromium
def test_a_browser_shows_the_page_without_a_request(hostile: Stored, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html_text(hostile), encoding="utf-8")
    document, console, asked = browse(path, tmp_path)
    assert console == []
    assert asked == []
    page = Page(document)
    title = document.partition("<title>")[2].partition("</title>")[0]
    assert html.unescape(title) != "taken"
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    for key in ("FAIL", "Findings", "Timeline", "Evidence", hostile.verdict.reproduce):
        assert key in page.text
    assert document.count("<svg") >= 4


@needs_browser
@pytest.mark.chromium
def test_the_browser_test_detects_a_request_and_an_error(tmp_path: Path) -> None:
    """The control: the test fails on a page with a request and an error."""
    path = tmp_path / "bad.html"
    path.write_text(
        f"<img src='http://{ELSEWHERE}/x.png'><script>throw new Error('seen')</script>",
        encoding="utf-8",
    )
    _, console, asked = browse(path, tmp_path)
    assert any("seen" in line for line in console)
    assert any(ELSEWHERE in url for url in asked)


def test_an_unjudged_run_has_no_reports_yet(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run").write()
    with pytest.raises(ChaosError, match="verdict"):
        load(run)
