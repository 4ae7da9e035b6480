"""Text of others (a title, a command, a file's name) is shown, and never obeyed by a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from chaos.record.rundir import RunDir
from tests.checks.history_builder import PlantedRun

REPO = Path(__file__).resolve().parents[2]
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
CLEAR = "\x1b[2J"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    planted = PlantedRun(tmp_path / "run")
    planted.config["reproduce"] = f"chaos run {CLEAR}soak_c"
    planted.config["title"] = f"title {CLEAR}"
    return planted.write()


@pytest.mark.parametrize("display", [[], ["-q"], ["--json"]])
def test_a_stored_run_writes_nothing_to_the_terminal_but_text(
    run: RunDir, display: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(run.path), *display]) == ExitCode.PASS
    told = capsys.readouterr()
    assert not RAW.search(told.out + told.err)
    if not display:
        assert "chaos run \\x1b[2Jsoak_c" in told.out
    stored = json.loads(run.verdict.read_text(encoding="utf-8"))
    assert stored["reproduce"] == f"chaos run {CLEAR}soak_c"  # as it was: it is not shown there


def test_a_plan_is_shown_with_its_title_written_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (REPO / "experiments" / "soak_c.yaml").read_text(encoding="utf-8")
    title = r'title: "<script>\e[31m\0"'
    (tmp_path / "mine.yaml").write_text(re.sub(r"(?m)^title: .*$", lambda _: title, text))
    monkeypatch.chdir(tmp_path)
    for quiet in ([], ["-q"]):
        assert main(["run", "./mine.yaml", "--dry-run", *quiet]) == ExitCode.PASS
        told = capsys.readouterr().out
        assert "<script>\\x1b[31m\\x00" in told and not RAW.search(told)


def test_an_error_is_shown_with_what_it_quotes_written_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--workspace", ".", "--target", f"./{CLEAR}.yaml"]) == ExitCode.USAGE
    assert not RAW.search(capsys.readouterr().err)


def test_names_in_a_workspace_are_written_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "watcher_requests" / "claimed").mkdir(parents=True)
    (tmp_path / "watcher_requests" / f"a{CLEAR}.json").write_text("{")
    (tmp_path / "watcher_decisions.jsonl").write_text(f'{{"status": "{CLEAR}"}}\n\x1b[31m\n')
    main(["doctor", "--workspace", str(tmp_path), "--no-color"])
    main(["triage", str(tmp_path)])
    main(["monitor", "--workspace", str(tmp_path), "--count", "1", "--alert", "none"])
    assert not RAW.search(capsys.readouterr().out)
