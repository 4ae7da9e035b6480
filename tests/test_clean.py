"""`chaos clean` ends only what carries the run's mark, and leaves living runs alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from chaos.clean import clean
from chaos.faults.ledger import Ledger, Open
from chaos.owner import RUN_ID_VARIABLE, claim
from chaos.rundir import RunDir, create

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def made(root: Path) -> RunDir:
    run = create(root, "soak_c", 1)
    run.write_json(run.config, {})
    return run


def test_marked_processes_end_and_foreign_ones_live(tmp_path: Path) -> None:
    run = made(tmp_path)
    ours = subprocess.Popen(SLEEP, env={**os.environ, RUN_ID_VARIABLE: run.run_id})
    foreign = subprocess.Popen(SLEEP, env={**os.environ, RUN_ID_VARIABLE: run.run_id + "x"})
    try:
        said: list[str] = []
        assert clean(None, tmp_path, said.append) == 0
        ours.wait(5)  # (ended, and reaped by clean, which is its parent here)
        assert foreign.poll() is None
        assert any(str(ours.pid) in line for line in said)
    finally:
        for process in (ours, foreign):
            process.kill()
            process.wait()


def test_a_living_run_is_left_alone(tmp_path: Path) -> None:
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


def test_one_failed_undo_does_not_stop_the_others(tmp_path: Path) -> None:
    """A fault whose kind is not known any more cannot be undone; the next one still is."""
    run = made(tmp_path)
    ledger = Ledger(run.ledger)
    ledger.open(Open("f001", "no_such_kind", "host", {}))
    ledger.open(Open("f002", "llm_timeout", "stack", {}))
    said: list[str] = []
    assert clean(None, tmp_path, said.append) == 6
    assert [entry.fault_id for entry in ledger.open_entries()] == ["f001"]


def test_the_workspace_of_a_run_without_a_sandbox_is_removed(tmp_path: Path) -> None:
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
