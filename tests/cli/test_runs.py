"""`chaos runs`: the list in the terminal, and the questions before anything is removed."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from tests.record.runs_folder import add_gate, add_run, add_sweep, verdict

SWEEP = "sweep/20260206-000000-s7-ffff"
OLD, NEW = "soak_c/20260203-101500-s7-aaaa", "soak_c/20260204-101500-s7-bbbb"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add_run(tmp_path, OLD, verdict("fail", fault="llm_timeout"))
    add_run(tmp_path, NEW, verdict())
    add_run(tmp_path, "soak_a/20260202-101500-s7-cccc")
    return tmp_path


def run(*words: object) -> int:
    return main(["runs", *map(str, words)])


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_runs_are_listed_newest_first_and_fit_the_terminal(
    folder: Path,
    columns: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run("--runs", folder) == ExitCode.PASS
    lines = capsys.readouterr().out.splitlines()
    text = "\n".join(lines)
    assert text.index(NEW) < text.index(OLD) < text.index("soak_a/")  # never cut: to be copied
    assert "First in, first out" in text
    assert "unjudged" in text
    assert max(map(len, lines)) <= max(columns, 80)
    if columns == 200:
        assert next(line for line in lines if OLD in line).rstrip().endswith("overtook another")


def test_filters_choose_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_gate(folder, "20260204-000000-s7-bbbb", {})
    assert run("--runs", folder, "--verdict", "fail", "--soak", "soak_c") == ExitCode.PASS
    out = capsys.readouterr().out
    assert OLD in out
    assert NEW not in out
    assert "gate/" not in out
    run("--runs", folder, "--soak", "soak_x")
    assert "no such runs" in capsys.readouterr().out


def test_json_is_a_list_of_all_fields(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_gate(folder, "20260204-000000-s7-bbbb", {})
    assert run("list", "--runs", folder, "--json") == ExitCode.PASS
    content = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in content["runs"]][:2] == [NEW, OLD]
    assert content["runs"][1]["not_passed"][0]["check"] == "fifo"
    assert content["gates"][0]["verdict"] == "NEEDS FIXES"


def test_sweeps_are_listed_with_word_counts_and_folder(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_sweep(folder, SWEEP, "survived", "failed")
    assert run("--runs", folder) == ExitCode.PASS
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if SWEEP in line]
    assert line.startswith("NOT CRASH-SAFE  ")
    assert "2026-02-06 00:00  reference  2 points: crash  1 survived, 1 failed" in line
    assert "sweep_point" not in out
    run("--runs", folder, "--verdict", "fail")
    assert SWEEP not in capsys.readouterr().out
    run("--runs", folder, "--json")
    (entry,) = json.loads(capsys.readouterr().out)["batches"]
    assert (entry["id"], entry["counts"]) == (SWEEP, {"survived": 1, "failed": 1})


def test_a_folder_with_only_a_sweep_is_not_called_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_sweep(tmp_path, SWEEP, "survived")
    run("--runs", tmp_path)
    assert "there are no runs" not in capsys.readouterr().out
    run("--runs", tmp_path, "--verdict", "fail")
    assert "there are no such runs" in capsys.readouterr().out


def test_prune_removes_sweeps_when_it_is_asked_to(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = add_sweep(folder, "sweep/20260205-000000-s7-ffff", "survived")
    add_sweep(folder, SWEEP, "survived")
    assert run("prune", "--keep", 5, "--runs", folder, "--yes") == ExitCode.PASS
    assert old.is_dir()
    assert run("prune", "--keep", 1, "--batches", "--runs", folder, "--yes") == ExitCode.PASS
    assert f"removed   {old}" in capsys.readouterr().out
    assert not old.exists()
    assert (folder / SWEEP).is_dir()


def test_control_characters_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = verdict("fail")
    content["findings"][1] = {**content["findings"][1], "summary": "\x1b[2J\nsecond line"}
    add_run(tmp_path, OLD, content)
    run("--runs", tmp_path)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[2J second line" in out


BAD = [
    (["--runs", "/nonexistent"], ["--runs /nonexistent: no such folder", "next:"]),
    (["prune"], ["--keep: how many", "prune --keep 20"]),
    (["prune", "--keep", "0"], ["at least 1"]),
    (["prune", "--keep", "-3"], ["at least 1"]),
    (["prune", "--keep", "3", "--verdict", "fail"], ["--verdict: it goes with list"]),
    (["--keep", "3"], ["--keep: it goes with prune"]),
    (["list", "--batches"], ["--batches: it goes with prune"]),
    (["list", "--yes"], ["--yes: it goes with prune"]),
    (["pruen"], ["unknown value 'pruen'", "did you mean 'prune'?"]),
    (["--verdict", "green"], ["--verdict: unknown value 'green'"]),
]


@pytest.mark.parametrize(("words", "said"), BAD, ids=lambda value: " ".join(value)[:40])
def test_bad_input_is_explained_and_exits_2(
    words: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert all(text in err for text in said), err


def test_a_dry_run_removes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prune", "--keep", 1, "--runs", folder, "--dry-run") == ExitCode.PASS
    out = capsys.readouterr().out
    assert f"would go  {folder / OLD}" in out
    assert "would remove 1 folder(s)" in out
    assert (folder / OLD).is_dir()


def test_without_a_terminal_and_without_yes_nothing_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run("prune", "--keep", 1, "--runs", folder) == ExitCode.USAGE
    assert "--yes" in capsys.readouterr().err
    assert (folder / OLD).is_dir()


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("", False)])
def test_on_a_terminal_it_asks(
    folder: Path,
    answer: str,
    gone: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    leader, follower = os.openpty()
    os.write(leader, answer.encode() or b"\x04")
    with os.fdopen(follower) as terminal, os.fdopen(leader):
        monkeypatch.setattr(sys, "stdin", terminal)
        assert run("prune", "--keep", 1, "--runs", folder) == ExitCode.PASS
    assert (folder / OLD).is_dir() is not gone
    assert "for good? [y/N]" in capsys.readouterr().out


def test_what_was_removed_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prune", "--keep", 1, "--runs", folder, "--yes") == ExitCode.PASS
    out = capsys.readouterr().out
    assert f"removed   {folder / OLD}" in out
    assert "removed 1 folder(s), " in out
    assert not (folder / OLD).exists()
    assert (folder / NEW).is_dir()
