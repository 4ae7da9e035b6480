"""Recorded real runs judged again: the same outcomes when whole, no accusation when cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.checks.verdict import Verdict
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.report.junit import junit_text
from chaos.report.stored import load
from chaos.runner.judge import judge, judgement_of, store
from tests.records import EXPECTED, unpacked

LATER = {
    "work_completed",
    "growth_per_fault",
    "idle_cpu",
    "steady_state",
}  # checks that came after the recording


def cut(run: RunDir, lines: int) -> None:
    """Keep the first `lines` of the history: what `head` leaves, or a crash of the harness."""
    kept = run.history.read_bytes().splitlines(keepends=True)[:lines]
    run.history.write_bytes(b"".join(kept))


def accused(verdict: Verdict) -> list[str]:
    return [
        finding.check
        for finding in verdict.findings
        if finding.outcome == "fail" and finding.owner == "product"
    ]


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_run_has_the_outcomes_it_had_when_recorded(name: str, tmp_path: Path) -> None:
    verdict = judge(unpacked(name, tmp_path))
    outcomes = [[f.check, f.outcome] for f in verdict.findings if f.check not in LATER]
    assert outcomes == EXPECTED[name]["outcomes"]
    assert verdict.exit_code == EXPECTED[name]["exit_code"]


@pytest.mark.parametrize("part", [0.05, 0.2, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("name", ["soak_c_watcher_restarted", "soak_c_injector_killed"])
def test_cut_record_is_invalid_and_accuses_nobody(name: str, part: float, tmp_path: Path) -> None:
    run = unpacked(name, tmp_path)
    cut(run, round(part * len(run.history.read_bytes().splitlines())))
    verdict = judge(run)
    assert accused(verdict) == []
    assert (verdict.verdict, verdict.exit_code) == ("invalid", 4)
    assert not any("check itself failed" in f.summary for f in verdict.findings)
    assert "<failure" not in junit_text([load(run)])


def test_worse_record_does_not_replace_a_better_verdict(tmp_path: Path) -> None:
    run = unpacked("soak_b_llm_timeout", tmp_path)
    judge(run)
    before = run.verdict.read_bytes()
    cut(run, 150)
    with OpenRun(run) as opened:
        judgement = judgement_of(opened)
    assert judgement.verdict.exit_code == 4
    assert "150" in store(run, judgement)
    assert run.verdict.read_bytes() == before


def test_better_record_replaces_a_worse_verdict(tmp_path: Path) -> None:
    run = unpacked("soak_b_llm_timeout", tmp_path)
    whole = run.history.read_bytes()
    cut(run, 150)
    judge(run)
    run.history.write_bytes(whole)
    assert judge(run).exit_code == 0
    assert json.loads(run.verdict.read_text("utf-8"))["exit_code"] == 0


def test_file_missing_from_the_record_accuses_nobody(tmp_path: Path) -> None:
    for missing in ("schedule.json", "history.jsonl"):
        run = unpacked("soak_c_watcher_restarted", tmp_path / missing)
        (run.path / missing).unlink()
        verdict = judge(run)
        assert accused(verdict) == [] and verdict.exit_code == 4, missing
