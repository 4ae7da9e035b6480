"""`chaos clean` ends only what carries the run's mark, and leaves living runs alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.base.errors import ChaosError
from chaos.cli.main import main
from chaos.faults.ledger import Ledger, Open
from chaos.record.owner import RUN_ID_VARIABLE, claim, processes_of
from chaos.record.rundir import RunDir, create
from chaos.runner.clean import clean
from tests.waiting import wait_for

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def made(root: Path) -> RunDir:
    run = create(root, "soak_c", 1)
    run.write_json(run.config, {})
    return run


def test_clean_ends_only_processes_with_the_runs_mark(tmp_path: Path) -> None:
    run = made(tmp_path)
    ours = subprocess.Popen(SLEEP, env={**os.environ, RUN_ID_VARIABLE: run.run_id})
    foreign = subprocess.Popen(SLEEP, env={**os.environ, RUN_ID_VARIABLE: run.run_id + "x"})
    try:
        # The kernel shows a new program's environment a moment after it has begun.
        wait_for("ours shows its mark", lambda: processes_of(run.run_id))
        said: list[str] = []
        assert clean(None, tmp_path, said.append) == 0
        ours.wait(30)  # (ended, and reaped by clean, which is its parent here)
        assert foreign.poll() is None
        assert any(str(ours.pid) in line for line in said)
    finally:
        for process in (ours, foreign):
            process.kill()
            process.wait()


def test_clean_removes_temporary_folders_of_processes_that_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    stale = [tmp_path / f"chaos-{kind}-{gone.pid}-0a1b" for kind in ("sql", "witness")]
    kept = [
        tmp_path / f"chaos-sql-{os.getpid()}-0a1b",
        tmp_path / f"chaos-other-{gone.pid}-0a1b",
        tmp_path / "chaos-sql-notes-0a1b",
    ]
    for folder in (*stale, *kept):
        folder.mkdir()
    (tmp_path / f"chaos-sql-{gone.pid}-link").symlink_to(kept[0])
    said: list[str] = []
    made(tmp_path / "runs")
    assert clean(None, tmp_path / "runs", said.append) == 0
    assert not any(folder.exists() for folder in stale)
    assert all(folder.exists() for folder in kept)
    assert sum("removed" in line for line in said) == 2


def test_clean_finds_the_runs_of_gates_sweeps_comparisons_and_campaigns(tmp_path: Path) -> None:
    parts = ["", "gate/g1", "sweep/s1", "gate/g1/sweep/s1", "compare/c1", "campaign/c1/scratch/1"]
    for part in parts:
        run = made(tmp_path / part)
        Ledger(run.ledger).open(Open("f001", "llm_timeout", "stack", {}))
    said: list[str] = []
    assert clean(None, tmp_path, said.append) == 0
    assert sum("f001" in line for line in said) == 6


def test_clean_leaves_a_running_run_alone(tmp_path: Path) -> None:
    run = made(tmp_path)
    claim(run)  # this very process
    Ledger(run.ledger).open(Open("f001", "llm_timeout", "stack", {}))
    said: list[str] = []
    assert clean(str(run.path), tmp_path, said.append) == 0
    assert len(Ledger(run.ledger).open_entries()) == 1
    assert "still running" in said[0]


def test_open_entries_of_a_dead_run_are_closed_once(tmp_path: Path) -> None:
    run = made(tmp_path)
    Ledger(run.ledger).open(Open("f001", "llm_timeout", "stack", {"toxic": "t"}))
    said: list[str] = []
    assert clean(None, tmp_path, said.append) == 0
    assert Ledger(run.ledger).open_entries() == []
    assert any("f001" in line for line in said)
    said.clear()
    assert clean(None, tmp_path, said.append) == 0
    assert not any("f001" in line for line in said)


def test_failed_undo_does_not_stop_the_others(tmp_path: Path) -> None:
    """A fault whose kind is not known any more cannot be undone; the next one still is."""
    run = made(tmp_path)
    ledger = Ledger(run.ledger)
    ledger.open(Open("f001", "no_such_kind", "host", {}))
    ledger.open(Open("f002", "llm_timeout", "stack", {}))
    said: list[str] = []
    assert clean(None, tmp_path, said.append) == 6
    assert [entry.fault_id for entry in ledger.open_entries()] == ["f001"]


def test_workspace_of_a_run_without_a_sandbox_is_removed(tmp_path: Path) -> None:
    run = made(tmp_path)
    (run.path / "workspace" / "logs").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = made(tmp_path)
    (other.path / "workspace").symlink_to(elsewhere)
    said: list[str] = []
    assert clean(None, tmp_path, said.append) == 0
    assert not (run.path / "workspace").exists()
    assert elsewhere.is_dir(), "a link is not followed"
    assert sum("removed" in line for line in said) == 1


def test_missing_folder_of_runs_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the default one may be missing: there just was no run yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("no folder")
    for name in ("typo", "README.md"):
        assert main(["clean", "--runs", name]) == 2
        assert f"--runs {name}: " in capsys.readouterr().err
    assert main(["clean"]) == 0
    assert "there are no runs under runs" in capsys.readouterr().out


def test_clean_works_without_the_runs_config(tmp_path: Path) -> None:
    for reference in (None, "by name"):
        run = made(tmp_path)
        run.config.unlink()
        Ledger(run.ledger).open(Open("f001", "llm_timeout", "stack", {}))
        assert clean(reference and str(run.path), tmp_path, lambda _: None) == 0
        assert Ledger(run.ledger).open_entries() == []


@pytest.mark.parametrize(
    "damage",
    [b'{"a":1}\n', b"\xff\xfe\x00\n", b"\r\r\n", b"[" * 100_000 + b"\n", b"\n", None],
    ids=["foreign", "binary", "returns", "deep", "empty", "folder"],
)
def test_unreadable_ledger_is_reported_and_stops_nothing(
    tmp_path: Path, damage: bytes | None
) -> None:
    broken, whole = sorted((made(tmp_path), made(tmp_path)), key=lambda run: run.path)
    for run in (broken, whole):
        Ledger(run.ledger).open(Open("f001", "llm_timeout", "stack", {}))
    if damage is None:
        broken.ledger.unlink()
        broken.ledger.mkdir()
    else:
        opened = broken.ledger.read_bytes().replace(b"f001", b"f002")
        broken.ledger.write_bytes(broken.ledger.read_bytes() + damage + opened)
    said: list[str] = []
    assert clean(None, tmp_path, said.append) == 6
    (unread,) = [line for line in said if line.startswith("could not undo")]
    assert str(broken.ledger) in unread and "next: " in unread
    assert Ledger(whole.ledger).open_entries() == []
    if damage is not None:
        assert f"{broken.ledger}:2: " in unread
        assert Ledger(broken.ledger).read()[0] == [], "what can be read is undone"
    with pytest.raises(ChaosError, match="cannot be read"):
        Ledger(broken.ledger).open_entries()


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"{}",
        b'{"pid": "x", "started_s": 1}',
        b'{"pid": 1e999, "started_s": 1}',
        b'{"pid": -5, "started_s": 0}',
        b'{"pid": [], "started_s": 1}',
        b"[" * 100_000,
    ],
)
def test_clean_reports_and_keeps_a_run_with_an_unreadable_owner(
    tmp_path: Path, content: bytes
) -> None:
    unknown, whole = sorted((made(tmp_path), made(tmp_path)), key=lambda run: run.path)
    for run in (unknown, whole):
        Ledger(run.ledger).open(Open("f001", "llm_timeout", "stack", {}))
    (unknown.path / "owner.json").write_bytes(content)
    said: list[str] = []
    assert clean(None, tmp_path, said.append) == 6
    assert any("owner.json" in line and "next: " in line for line in said)
    assert len(Ledger(unknown.ledger).open_entries()) == 1
    assert Ledger(whole.ledger).open_entries() == []


def test_torn_ledger_line_affects_no_later_line(tmp_path: Path) -> None:
    run = made(tmp_path)
    ledger = Ledger(run.ledger)
    ledger.open(Open("f001", "llm_timeout", "stack", {}))
    run.ledger.write_bytes(run.ledger.read_bytes() + b'{"entry":"open","fault_')
    for _ in range(2):
        assert clean(None, tmp_path, lambda _: None) == 0
        assert ledger.open_entries() == []
