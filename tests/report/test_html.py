"""The page is one file, makes no request, escapes foreign text, and shows the whole verdict."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from chaos.base.errors import ChaosError
from chaos.record.open_run import OpenRun
from chaos.report.excerpts import LINE_CHARACTERS_MAX, excerpts
from chaos.report.html import html_text
from chaos.report.pages import HERE
from chaos.report.series import POINTS_MAX, Curve, curve, numbers_of, stretches
from chaos.report.stored import Stored, load
from chaos.report.write import write_page
from tests.checks.history_builder import PlantedRun
from tests.report.hostile import hostile_run, judged
from tests.report.parsed import Page

SIZE_MAX = 700_000


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return judged(hostile_run(tmp_path_factory.mktemp("run") / "hostile"))


@pytest.fixture(scope="module")
def text(hostile: Stored) -> str:
    return html_text(hostile)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_shows_the_verdict(hostile: Stored, page: Page) -> None:
    shown = " ".join(page.text.split())
    verdict = hostile.verdict
    assert "FAIL" in shown
    assert verdict.reproduce in shown
    assert verdict.schedule_hash in shown
    for finding in verdict.findings:
        assert finding.title in shown
    for fault in verdict.faults:
        assert f"{fault.fault_id} {fault.name}" in shown


def test_each_finding_has_its_evidence_with_the_line_it_points_to(
    hostile: Stored, page: Page
) -> None:
    for number, finding in enumerate(hostile.verdict.findings, start=1):
        assert f"finding-{number}" in page.ids
        for piece in range(1, len(finding.evidence) + 1):
            assert f"evidence-{number}-{piece}" in page.ids
    assert "logs/watcher.log:1" in page.text
    assert "Traceback (most recent call last): <script>" in page.text


def test_ids_are_unique_and_every_link_inside_leads_somewhere(text: str, page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    inside = {href[1:] for href in page.links() if href.startswith("#")}
    inside |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert inside - {""} <= set(page.ids)


def test_links_lead_only_to_files_of_the_run(hostile: Stored, page: Page) -> None:
    files = {href for href in page.links() if not href.startswith(("#", "data:"))}
    assert "history.jsonl" in files
    for href in files:
        assert (hostile.run.path / href).exists(), href


def test_the_page_makes_no_request(text: str, page: Page) -> None:
    """No handler and no reference elsewhere; its own script and style are allowed by hash."""
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"iframe", "object", "embed", "img", "base", "form"}
    assert not [k for _, attributes in page.tags for k in attributes if k.startswith("on")]
    for value in page.links():
        assert "//" not in value
        assert not re.search(r"url\((?!#)", value)
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "plot-data"}, {}]
    (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        inner = text.rpartition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "@import" not in style
    assert not re.search(r"url\((?!#)", style)


def test_uplot_is_the_pinned_one_and_stands_in_the_page(text: str) -> None:
    for line in (HERE / "vendor/SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        content = (HERE / "vendor" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, name
    assert (HERE / "vendor/uPlot.iife.min.js").read_text().strip() in text


def test_control_characters_are_written_out(text: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    assert "\\x1b[31m" in text


def test_the_data_of_the_plots_is_json_that_cannot_end_its_script(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run")
    name = "</script><!--<script>\u2028"
    for item in run.schedule["items"]:
        item["name"] = name
    for record in run.records:
        if record["kind"] == "fault":
            record["name"] = name
    text = html_text(judged(run))
    inner = text.partition('id="plot-data">')[2].partition("</script>")[0]
    assert not set("<>&\u2028") & set(inner)
    data = json.loads(inner)
    assert data["windows"][0][0] == f"f001 {name}"
    assert data["panels"]


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


def test_a_fault_is_told_in_the_words_of_its_kind(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run")
    for record in run.records:
        if record.get("state") == "armed":
            record["evidence"]["traits"]["summary"] = "the LLM server <hangs>"
    shown = " ".join(Page(html_text(judged(run))).text.split())
    assert "llm_timeout (the LLM server <hangs>) was injected at 40.0 s and held 13.8 s" in shown
    assert "(through the proxy: timeout, directly: answered)" in shown


def test_a_stored_verdict_with_impossible_times_still_gets_its_page(tmp_path: Path) -> None:
    stored = judged(PlantedRun(tmp_path / "run"))
    faults = [replace(fault, injected_s=math.inf) for fault in stored.verdict.faults]
    for changed in ({"lasted_s": math.inf}, {"lasted_s": -1.0}, {"faults": faults}):
        text = html_text(dataclasses.replace(stored, verdict=replace(stored.verdict, **changed)))
        assert Page(text).ids.count("timeline") == 1


def test_a_run_that_was_cut_off_still_gets_its_page(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run")
    run.cut_off(50.0)
    run.torn_history = True
    shown = " ".join(Page(html_text(judged(run))).text.split())
    assert "Was not recorded" in shown
    assert "recovery not proven" in shown


def test_another_process_writes_the_same_bytes(hostile: Stored, text: str, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    write_page(hostile.run, out)
    assert out.read_text(encoding="utf-8") == text
    assert len(text.encode()) <= SIZE_MAX


def test_a_failure_to_write_the_page_is_printed(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run").write()
    with pytest.raises(ChaosError, match="page"):
        write_page(run, tmp_path / "page.html")


def test_the_harness_does_not_import_the_template_engine(hostile: Stored) -> None:
    """A page needs memory that must not be counted as the harness's: another process writes it."""
    code = (
        "import sys, chaos.runner.inner, chaos.runner.assembly, chaos.runner.judge\n"
        "import chaos.report.write as w\n"
        "from chaos.record.rundir import RunDir\nfrom pathlib import Path\n"
        f"w.report_run(RunDir(Path({str(hostile.run.path)!r})))\n"
        "print([m for m in ('jinja2', 'chaos.report.html') if m in sys.modules])\n"
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
    assert Curve().drawn() == []


def test_a_drawn_curve_has_no_point_between_equal_ones(run: OpenRun) -> None:
    values = "[1, 1, 1, 1, 5, 5, 5, 2]"
    points = (
        f"select (n * 1.0)::double as t_s, ({values})[n + 1]::double as value from range(8) as r(n)"
    )
    found = curve(run, points, 8.0).drawn()
    assert found == [(0, 1), (3, 1), (4, 5), (6, 5), (7, 2)]
    numbers = numbers_of(run, points)
    assert numbers is not None
    assert (numbers.least, numbers.median, numbers.most, numbers.last) == (1, 1.5, 5, 2)


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


def test_an_unjudged_run_has_no_reports_yet(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run").write()
    with pytest.raises(ChaosError, match="verdict"):
        load(run)
