"""The page of a gate: its verdict, every run, what failed, and how to repeat it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from chaos.cli.main import main
from tests.gate.standin import SWEPT_FILE, Bench, ScriptedRunner, Swept
from tests.report.browser import PHONE, chromium, needs_browser, opened, violations
from tests.report.parsed import Page

C_FAULT = "soak_c under llm_timeout"


def page_of(bench: Bench) -> tuple[str, Page]:
    text = bench.folder.page.read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_shows_the_verdict_and_every_run(bench: Bench) -> None:
    bench.begin(ScriptedRunner({C_FAULT: "fail", "soak_b clean": "inconclusive"}))
    _, page = page_of(bench)
    shown = " ".join(page.text.split())
    assert "NEEDS FIXES" in shown
    assert f"Failed: {C_FAULT}." in shown
    cells = [a for tag, a in page.tags if tag == "td" and "data-label" in a]
    assert [cell["data-label"] for cell in cells] == ["clean", "under faults"] * 2
    badges = [a["class"] for tag, a in page.tags if a.get("class", "").startswith("badge ")]
    assert {"badge pass", "badge fail", "badge inconclusive"} <= set(badges)
    articles = [a["data-outcome"] for tag, a in page.tags if tag == "article"]
    assert articles == ["fail", "inconclusive"]
    for step in bench.state().steps:
        assert step.command in page.text


def test_links_lead_to_the_reports_of_the_runs_that_exist(bench: Bench) -> None:
    def reported(when: str, step: object, run: object, interrupts: object) -> None:
        if when == "end":
            (run.path / "report.html").write_text("page")  # type: ignore[attr-defined]

    bench.begin(ScriptedRunner({C_FAULT: "fail"}, hook=reported))
    _, page = page_of(bench)
    links = [href for href in page.links() if href.endswith("report.html")]
    assert len(links) == 4
    for href in links:
        assert (bench.folder.path / href).is_file()
    assert [href for href in page.links() if href.endswith("report.html#finding-1")]


def test_a_run_without_a_report_has_no_link(bench: Bench) -> None:
    bench.begin(ScriptedRunner())
    text, page = page_of(bench)
    assert "report.html" not in text
    assert "Every finding of every finished run passes." in " ".join(page.text.split())


def test_what_was_left_out_and_repeated_is_told(bench: Bench) -> None:
    bench.begin(ScriptedRunner({"soak_b clean": "fail"}), fail_fast=True)
    assert f"{C_FAULT}: not run" in page_of(bench)[1].text
    bench.resume(ScriptedRunner())
    run = bench.folder.run(bench.state().steps[1])
    assert run is not None
    run.history.unlink()
    run.verdict.unlink()
    bench.resume(ScriptedRunner())
    shown = " ".join(page_of(bench)[1].text.split())
    assert "begun 2 times" in shown
    assert "its record was gone, made again" in shown


def test_the_command_repeats_the_gate(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.begin(ScriptedRunner(), soaks="c", witness="none")
    page = page_of(bench)[1]
    copied = [a["data-copy"] for _, a in page.tags if "data-copy" in a]
    (command,) = [text for text in copied if text.startswith("chaos gate ")]
    first, *words = shlex.split(command)
    assert first == "chaos"
    assert main([*words, "--runs", str(tmp_path / "other"), "--dry-run"]) == 0
    planned = capsys.readouterr().out
    for step in bench.state().steps:
        assert f"schedule {step.schedule_hash}" in planned


def test_the_page_makes_no_request_and_is_the_same_twice(bench: Bench) -> None:
    bench.begin(ScriptedRunner({C_FAULT: "fail"}))
    text, page = page_of(bench)
    (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    assert len(page.ids) == len(set(page.ids))
    assert {href[1:] for href in page.links() if href.startswith("#")} <= set(page.ids)
    assert not [value for value in page.links() if "//" in value]
    assert not re.search(r"url\((?!#)", text)
    bench.resume(ScriptedRunner())
    assert page_of(bench)[0] == text


@needs_browser
@pytest.mark.chromium
@pytest.mark.slow(seconds=20)
def test_the_page_is_accessible_and_silent_in_a_browser(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SWEPT_FILE)
    bench.begin(ScriptedRunner({C_FAULT: "fail"}, swept=Swept("failed", "not reached")))
    with chromium() as browser:
        for context in ({"color_scheme": "dark"}, {"viewport": PHONE, "is_mobile": True}):
            with opened(browser, bench.folder.page, **context) as (page, console, asked):
                assert violations(page) == []
                assert (console, asked) == ([], [])
                widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
                assert widths[0] <= widths[1]
