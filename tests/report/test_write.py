"""`chaos report` and `chaos check` write the requested formats to the requested places."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from chaos.record.rundir import RunDir
from chaos.report.junit import junit_text
from chaos.report.stored import load
from tests.checks.history_builder import PlantedRun

FILES = {"report.html", "junit.xml", "report.md", "metrics.prom"}
STARTS = {
    "html": "<!DOCTYPE html>",
    "junit": "<?xml",
    "markdown": "# ✓ PASS",
    "json": "{",
    "github": "# ✓ PASS",
    "metrics": "# TYPE",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A healthy stored run that was not judged yet, outside GitHub."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return PlantedRun(tmp_path / "run").write()


def test_all_reports_go_into_the_run_directory_and_are_named(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that was not judged yet is judged first."""
    assert main(["report", str(run.path)]) == ExitCode.PASS
    assert {Path(line).name for line in capsys.readouterr().out.splitlines()} == FILES
    assert all((run.path / name).stat().st_size > 0 for name in FILES)
    assert run.verdict.is_file()


@pytest.mark.parametrize("format_", ["all", "junit"])
def test_a_missing_parent_folder_is_refused_and_not_made(
    run: RunDir, tmp_path: Path, format_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "place"
    assert main(["report", str(run.path), "--format", format_, "--out", str(out)]) == ExitCode.USAGE
    assert f"mkdir -p -- {out.parent}" in capsys.readouterr().err
    assert not out.parent.exists()


def test_all_reports_fit_into_another_folder(run: RunDir, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    assert main(["report", str(run.path), "--out", str(folder)]) == ExitCode.PASS
    assert {path.name for path in folder.iterdir()} == FILES | {"verdict.json"}


@pytest.mark.parametrize("name", sorted(STARTS))
def test_each_format_goes_to_standard_output_or_to_a_file(
    run: RunDir, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["report", str(run.path), "--format", name, "--out", "-"]) == ExitCode.PASS
    printed = capsys.readouterr().out
    assert printed.startswith(STARTS[name])
    assert main(["report", str(run.path), "--format", name, "--out", str(out)]) == ExitCode.PASS
    assert out.read_text(encoding="utf-8") == printed


def test_on_github_the_summary_is_appended_to_its_file(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert main(["report", str(run.path), "--format", "github"]) == ExitCode.PASS
    assert summary.read_text(encoding="utf-8").startswith("# ✓ PASS")


def test_an_impossible_request_is_an_error_with_a_next_step(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(run.path), "--out", "-"]) == ExitCode.USAGE
    assert "--format" in capsys.readouterr().err
    blocked = tmp_path / "file"
    blocked.touch()
    code = main(["report", str(run.path), "--format", "junit", "--out", str(blocked / "x")])
    assert code == ExitCode.USAGE
    assert "not a folder" in capsys.readouterr().err
    assert main(["report", str(run.path), "--format", "pdf"]) == ExitCode.USAGE


def test_judging_again_updates_the_reports(run: RunDir) -> None:
    """The page is written again if the verdict changed, and only if it exists."""
    page = run.path / "report.html"
    main(["check", str(run.path), "-q"])
    assert (run.path / "junit.xml").is_file()
    assert (run.path / "metrics.prom").is_file()
    assert not page.exists()
    main(["report", str(run.path), "--format", "html"])
    before = page.stat().st_mtime_ns
    main(["check", str(run.path), "-q"])
    assert page.stat().st_mtime_ns == before
    config = json.loads(run.config.read_text(encoding="utf-8"))
    config["title"] = "Judged by another title"
    run.config.write_text(json.dumps(config), encoding="utf-8")
    main(["check", str(run.path), "-q"])
    assert "Judged by another title" in page.read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_changes_no_verdict(
    run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.path / "junit.xml").mkdir()
    assert main(["check", str(run.path), "-q"]) == ExitCode.PASS
    told = capsys.readouterr()
    assert "a report could not be written" in told.err
    assert told.out.startswith("pass")


def test_check_with_reports_writes_every_report(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judgement after a crash of the harness writes the same reports as the harness."""
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    main(["check", str(run.path), "-q", "--reports"])
    assert all((run.path / name).is_file() for name in FILES)
    assert summary.read_text(encoding="utf-8").startswith("# ✓ PASS")


def test_a_report_goes_into_a_pipe_or_through_a_link_and_replaces_neither(
    run: RunDir, tmp_path: Path
) -> None:
    """The pipe stands for every device."""
    fifo, link, file = tmp_path / "fifo", tmp_path / "link", tmp_path / "file"
    os.mkfifo(fifo)
    file.write_text("what was there before, and is longer than nothing")
    link.symlink_to(file)
    words = ["report", str(run.path), "--format", "junit", "--out"]
    with os.fdopen(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        assert main([*words, str(fifo)]) == ExitCode.PASS  # it fits into a pipe
        read = reader.read()
    assert main([*words, str(link)]) == ExitCode.PASS
    assert link.is_symlink() and stat.S_ISFIFO(fifo.stat().st_mode)
    assert read == file.read_text() == junit_text([load(run)])


def test_an_unwritable_output_is_an_error_and_stays_unchanged(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder in place of a file is a usage error; a pipe without a reader does not block."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    words = ["report", str(run.path), "--format", "junit", "--out"]
    assert main([*words, str(tmp_path)]) == ExitCode.USAGE
    assert "this is a folder" in capsys.readouterr().err
    assert main([*words, str(fifo)]) == ExitCode.INVALID
    assert "cannot write the report" in capsys.readouterr().err
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.parametrize("display", ["-q", "--json"])
@pytest.mark.parametrize("blocked", ["report.md", "verdict.json"])
def test_a_verdict_that_cannot_be_stored_is_printed_all_the_same(
    run: RunDir, blocked: str, display: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder in place of the file stands for a read-only archive, also for root."""
    (run.path / blocked).mkdir()
    before = {path.name for path in run.path.iterdir()}
    assert main(["check", str(run.path), display]) == ExitCode.PASS
    told = capsys.readouterr()
    assert told.err.count("\n") == 2 and "the judgement cannot be stored" in told.err
    assert str(run.path / blocked) in told.err
    assert "pass" in told.out
    assert {path.name for path in run.path.iterdir()} <= before | {"report.md"}
