"""The table and the Markdown report show the verdict, on any console."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from chaos.record.rundir import RunDir
from chaos.report.announce import announce
from chaos.report.display import Display, Mode
from chaos.report.table import print_verdict, verdict_console
from chaos.runner.judge import judge
from tests.checks.history_builder import PlantedRun


class Terminal(io.StringIO):
    """Stands for a terminal: `isatty` is true."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def failed(tmp_path: Path) -> PlantedRun:
    """A run with an unmarked fallback and a traceback."""
    run = PlantedRun(tmp_path / "run")
    del run.first_fallback()["heuristic_fallback"]
    run.files["logs/watcher.log"] = "Traceback (most recent call last):\n"
    return run


@pytest.fixture(autouse=True)
def _no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def _printed(run: PlantedRun, stream: io.StringIO, *, verbose: bool = False) -> str:
    verdict = judge(run.write())
    print_verdict(verdict_console(stream=stream), verdict, run.run, verbose=verbose)
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_is_as_wide_as_columns_says(
    failed: PlantedRun, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only paths and commands, which are copied, may be longer."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = _printed(failed, Terminal(), verbose=True).splitlines()
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    copied = ("  run ", "  report ", "  seed ", "  reproduce ", "  next ")
    shown = [len(line) for line in plain if not line.startswith(copied)]
    assert width - 40 < max(shown) <= width


def test_elsewhere_than_on_a_terminal_no_line_is_folded_or_coloured(failed: PlantedRun) -> None:
    text = _printed(failed, io.StringIO())
    assert "\x1b" not in text
    lines = text.splitlines()
    for found in judge(failed.run).findings:
        if found.outcome not in ("pass", "skipped"):
            assert any(f"{found.title}: {found.summary}" in line for line in lines)


def test_what_failed_stands_first_and_last_and_passes_take_one_line(failed: PlantedRun) -> None:
    lines = [line for line in _printed(failed, io.StringIO()).splitlines() if line.strip()]
    assert lines[0].startswith("✗ fail")
    assert lines[0] not in lines[1:]
    after = lines[next(n for n, line in enumerate(lines) if line.startswith("✗ FAIL")) :]
    assert any(line.startswith("  ✗ ") for line in after)
    passed = [found for found in judge(failed.run).findings if found.outcome == "pass"]
    assert sum(f"✓ {len(passed)} pass" in line for line in lines) == 1
    assert lines[-1] == f"  next       chaos triage {failed.run.path}"


def test_the_end_of_a_failed_run_names_the_cause(
    failed: PlantedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(judge(failed.write()), failed.run, Display())
    causes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  cause ")]
    assert len(causes) == 1
    assert "Hidden fallback" in causes[0]


def test_a_relative_run_is_shown_by_its_absolute_path(
    failed: PlantedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = judge(failed.write())
    monkeypatch.chdir(failed.run.path.parent)
    stream = io.StringIO()
    print_verdict(verdict_console(stream=stream), verdict, RunDir(Path(failed.run.path.name)))
    assert f"  run        {failed.run.path}\n" in stream.getvalue()


def test_the_table_has_colour_on_a_terminal_unless_told_otherwise(
    failed: PlantedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in _printed(failed, Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in _printed(failed, Terminal())


def test_an_ascii_output_gets_ascii_symbols(failed: PlantedRun) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    verdict = judge(failed.write())
    print_verdict(verdict_console(stream=stream), verdict, failed.run)
    stream.flush()
    assert b"x fail" in raw.getvalue()


def test_the_table_names_every_finding_with_evidence_run_and_repetition(
    failed: PlantedRun,
) -> None:
    text = _printed(failed, io.StringIO(), verbose=True)
    verdict = judge(failed.run)
    assert all(found.title in text for found in verdict.findings)
    assert "FAIL" in text
    assert "logs/watcher.log:1" in text
    assert str(failed.run.path) in text
    assert verdict.reproduce in text
    assert verdict.schedule_hash in text


def test_the_report_begins_with_the_verdict_and_holds_faults_and_provenance(
    failed: PlantedRun,
) -> None:
    failed.files["provenance.json"] = '{"chaos": "0.1.0", "git": {"revision": "abc123"}}'
    verdict = judge(failed.write())
    text = failed.run.report.read_text(encoding="utf-8")
    assert text.startswith("# ✗ FAIL")
    assert "revision abc123" in text
    assert verdict.reproduce in text
    for fault in verdict.faults:
        assert f"| {fault.fault_id} {fault.name} |" in text
    assert "through_proxy.outcome timeout" in text
    assert all(f"| {found.title} |" in text for found in verdict.findings)


def test_text_from_logs_cannot_break_a_table(failed: PlantedRun) -> None:
    """Markup and table characters in evidence are escaped."""
    line = "Traceback (most recent call last): [bold]a | b[/bold] [/nonsense]\n"
    failed.files["logs/watcher.log"] = line
    assert "[/nonsense]" in " ".join(_printed(failed, io.StringIO()).split())
    report = failed.run.report.read_text(encoding="utf-8")
    assert "a \\| b" in report


@pytest.mark.parametrize(("mode", "lines"), [("quiet", 1), ("lines", 12)])
def test_the_end_of_a_run_is_printed_in_the_chosen_display(
    failed: PlantedRun, capsys: pytest.CaptureFixture[str], mode: Mode, lines: int
) -> None:
    verdict = judge(failed.write())
    announce(verdict, failed.run, Display(mode))
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) >= lines
    assert len(printed) == 1 or mode != "quiet"


def test_json_for_machines_is_the_verdict_file_and_nothing_else(
    failed: PlantedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = judge(failed.write())
    announce(verdict, failed.run, Display("json"))
    assert capsys.readouterr().out == failed.run.verdict.read_text(encoding="utf-8")
