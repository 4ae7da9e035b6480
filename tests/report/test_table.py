"""The table and the Markdown report show the verdict, on any console."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from chaos.report.announce import announce
from chaos.report.table import print_verdict, verdict_console
from chaos.runner.judge import judge
from tests.checks.history_builder import PlantedRun

WIDTH = 80


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


def _printed(run: PlantedRun, stream: io.StringIO) -> str:
    verdict = judge(run.write())
    print_verdict(verdict_console(stream=stream), verdict, run.run)
    return stream.getvalue()


def test_the_table_fits_80_columns_without_colour_when_not_a_terminal(failed: PlantedRun) -> None:
    """Only paths and commands, which are copied, may be longer."""
    text = _printed(failed, io.StringIO())
    assert "\x1b" not in text
    copied = ("  run ", "  report ", "  seed ", "  reproduce ")
    assert all(len(line) <= WIDTH or line.startswith(copied) for line in text.splitlines())


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
    text = _printed(failed, io.StringIO())
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


@pytest.mark.parametrize(("display", "lines"), [("quiet", 1), ("lines", 20)])
def test_the_end_of_a_run_is_printed_in_the_chosen_display(
    failed: PlantedRun, capsys: pytest.CaptureFixture[str], display: str, lines: int
) -> None:
    verdict = judge(failed.write())
    announce(verdict, failed.run, display)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) >= lines
    assert len(printed) == 1 or display != "quiet"


def test_json_for_machines_is_the_verdict_file_and_nothing_else(
    failed: PlantedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = judge(failed.write())
    announce(verdict, failed.run, "json")
    assert capsys.readouterr().out == failed.run.verdict.read_text(encoding="utf-8")
