"""On GitHub, summary and annotations stay within the limits, and log text is no command."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import pytest

from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.report.github import (
    ANNOTATIONS_MAX,
    SUMMARY_BYTES_MAX,
    annotation_lines,
    announce_on_github,
    make_outputs,
    summary_text,
)
from chaos.report.stored import Stored
from tests.checks.history_builder import PlantedRun
from tests.report.hostile import hostile_run, judged

COMMAND = re.compile(r"::(error|warning) title=[^:,\r\n]*::[^\r\n]+")


@pytest.fixture
def failed(tmp_path: Path) -> Stored:
    return judged(hostile_run(tmp_path / "hostile"))


def many(verdict: Verdict, outcome: str, count: int) -> Verdict:
    findings = [
        msgspec.convert({"outcome": outcome, "summary": f"s{n}", "title": f"t{n}"}, Finding)
        for n in range(count)
    ]
    return msgspec.structs.replace(verdict, findings=findings)


def test_failed_findings_are_errors_and_undecided_ones_warnings(failed: Stored) -> None:
    lines = annotation_lines(failed.verdict)
    assert all(COMMAND.fullmatch(line) for line in lines)
    errors = [f for f in failed.verdict.findings if f.outcome in ("fail", "invalid")]
    assert sum(line.startswith("::error ") for line in lines) == len(errors) > 0


@pytest.mark.parametrize(("outcome", "kind"), [("fail", "error"), ("unverified", "warning")])
def test_at_most_ten_annotations_of_each_kind_and_the_rest_is_counted(
    failed: Stored, outcome: str, kind: str
) -> None:
    exactly = annotation_lines(many(failed.verdict, outcome, ANNOTATIONS_MAX))
    assert len(exactly) == ANNOTATIONS_MAX
    assert not any("more" in line for line in exactly)
    lines = annotation_lines(many(failed.verdict, outcome, 25))
    assert len(lines) == ANNOTATIONS_MAX
    assert lines[-1].startswith(f"::{kind} title=and 16 more::")


def test_text_cannot_end_a_command_and_begin_another(failed: Stored) -> None:
    evil = msgspec.convert(
        {"outcome": "fail", "summary": "100%\r\n::stop-commands::x", "title": "a,b::c\n::d"},
        Finding,
    )
    (line,) = annotation_lines(msgspec.structs.replace(failed.verdict, findings=[evil]))
    assert COMMAND.fullmatch(line)
    assert "100%25" in line
    assert "%0A" in line


def test_a_pass_has_no_annotation_and_an_early_end_has_its_reason(tmp_path: Path) -> None:
    verdict = judged(PlantedRun(tmp_path / "healthy")).verdict
    assert annotation_lines(verdict) == []
    assert len(annotation_lines(msgspec.structs.replace(verdict, exit_code=130))) == 1


def test_the_summary_is_appended_and_never_grows_over_the_limit(
    failed: Stored, tmp_path: Path
) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    environ = {"GITHUB_STEP_SUMMARY": str(path), "GITHUB_ACTIONS": "true"}
    out = io.StringIO()
    announce_on_github(failed, environ, stream=out)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("before\n# ✗ FAIL")
    assert out.getvalue().splitlines() == annotation_lines(failed.verdict)
    for _ in range(SUMMARY_BYTES_MAX // len(text) + 2):
        announce_on_github(failed, {"GITHUB_STEP_SUMMARY": str(path)}, stream=out)
    assert path.stat().st_size <= SUMMARY_BYTES_MAX
    assert "Cut here" in path.read_text(encoding="utf-8")


def test_a_long_summary_is_cut_at_a_line_end_with_a_note(failed: Stored) -> None:
    whole = summary_text(failed)
    cut = summary_text(failed, 2000)
    assert len(cut.encode()) <= 2000
    kept, _, note = cut.partition("\n\n*Cut here")
    assert note
    assert whole.startswith(kept)
    assert summary_text(failed, 10) == ""


def test_a_failure_to_write_the_summary_is_only_printed(
    failed: Stored, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    announce_on_github(failed, {"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert "job summary" in capsys.readouterr().err


def test_the_summary_file_is_made_before_the_sandbox_hides_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_outputs({})
    make_outputs({"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")})
    assert (tmp_path / "summary.md").read_bytes() == b""
    (tmp_path / "summary.md").write_text("before")
    make_outputs({"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")})
    assert (tmp_path / "summary.md").read_text() == "before"
    assert capsys.readouterr() == ("", "")
    make_outputs({"GITHUB_STEP_SUMMARY": str(tmp_path / "none" / "summary.md")})
    err = capsys.readouterr().err
    assert "cannot be written" in err and "next: name a file in a folder that exists" in err
    assert not (tmp_path / "none").exists()


def test_outside_github_nothing_is_written(
    failed: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    announce_on_github(failed, {})
    assert capsys.readouterr() == ("", "")
