"""Only a finished gate whose runs are still what was judged is attested."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.attest.evidence import read_evidence
from chaos.base.errors import ChaosError, EnvironmentProblem, UsageError
from chaos.base.exitcode import ExitCode
from chaos.gate.loop import read_verdict
from chaos.gate.state import GateDir, find_gate
from chaos.record.record_hash import record_sha256
from chaos.record.rundir import RunDir
from tests.attest.gates import STEPS, finished_gate
from tests.gate.standin import Bench, ScriptedRunner


def first_run(gate: GateDir) -> RunDir:
    run = gate.run(gate.read().steps[0])
    assert run is not None
    return run


def rewrite_state(gate: GateDir, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(gate.state.read_text())
    change(content)
    gate.state.write_text(json.dumps(content))


def test_untouched_gate_is_evidence(gate: GateDir) -> None:
    evidence = read_evidence(gate)
    assert [run.step.name for run in evidence.runs] == STEPS
    assert evidence.verdict.verdict == "PRODUCTION-READY"


def test_reports_may_be_written_again(gate: GateDir) -> None:
    run = first_run(gate)
    for name in ("report.md", "report.html", "junit.xml", "metrics.prom", "ledger.jsonl"):
        (run.path / name).write_text("new")
    assert read_evidence(gate).runs


def append(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as stream:
        stream.write("\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: append(run.verdict), "not the verdict of soak_b clean any more"),
        (lambda run: append(run.history), "the record of soak_b clean was changed"),
        (lambda run: append(run.provenance), "the record of soak_b clean was changed"),
        (lambda run: append(run.config), "the record of soak_b clean was changed"),
        (lambda run: append(run.schedule), "the record of soak_b clean was changed"),
        (lambda run: append(run.witness), "the record of soak_b clean was changed"),
        (lambda run: append(run.artefacts / "decisions.jsonl"), "the record of soak_b clean"),
        (lambda run: append(run.logs / "watcher.log"), "the record of soak_b clean"),
        (lambda run: run.history.unlink(), "the record of soak_b clean was changed"),
        (lambda run: run.verdict.unlink(), "the run of soak_b clean cannot be read"),
    ],
)
def test_changed_run_is_refused(
    change: Callable[[RunDir], object], message: str, gate: GateDir
) -> None:
    change(first_run(gate))
    with pytest.raises(EnvironmentProblem, match=message) as caught:
        read_evidence(gate)
    assert caught.value.exit_code == ExitCode.INVALID
    assert caught.value.place and caught.value.next_step


def test_file_that_moves_inside_a_run_changes_its_record(gate: GateDir) -> None:
    run = first_run(gate)
    (run.artefacts / "a").write_text("x")
    before = record_sha256(run)
    (run.artefacts / "a").rename(run.artefacts / "b")
    assert record_sha256(run) != before


def test_link_counts_by_its_text(gate: GateDir, tmp_path: Path) -> None:
    run = first_run(gate)
    target = tmp_path / "elsewhere"
    target.write_text("1")
    (run.artefacts / "link").symlink_to(target)
    before = record_sha256(run)
    target.write_text("2")
    assert record_sha256(run) == before
    (run.artefacts / "link").unlink()
    (run.artefacts / "link").symlink_to(tmp_path)
    assert record_sha256(run) != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["verdict"].update(verdict="NOT PROVEN"), "its runs say PRODUCTION-READY"),
        (lambda s: s["steps"][1].update(verdict="fail"), "its verdict is not that of"),
        (lambda s: s["steps"][1].update(exit_code=4), "its runs say NOT PROVEN"),
        (lambda s: s["steps"][0].update(digest="0"), "its plan is not that of soak_b clean"),
        (lambda s: s["steps"][0].update(schedule_hash="0"), "its schedule is not that of"),
        (lambda s: s["steps"][0].update(run=None), "is done and has no run"),
        (lambda s: s["steps"].pop(), "its runs say"),
        (lambda s: s.update(required=["soak_b", "soak_c", "soak_a"]), "left out: soak_a"),
    ],
)
def test_state_that_does_not_follow_from_the_runs_is_refused(
    change: Callable[[dict[str, Any]], object], message: str, gate: GateDir
) -> None:
    rewrite_state(gate, change)
    if message == "its runs say":  # three passing runs of four would be a ready gate, by its text
        with pytest.raises(EnvironmentProblem, match="all 3 runs pass"):
            read_evidence(gate)
        return
    with pytest.raises(EnvironmentProblem, match=message):
        read_evidence(gate)


def test_failed_runs_that_are_called_passed_are_refused(tmp_path: Path) -> None:
    gate = finished_gate(tmp_path, {"soak_c clean": "fail"})

    def lie(content: dict[str, Any]) -> None:
        content["verdict"] |= {"verdict": "PRODUCTION-READY", "exit_code": 0}
        for step in content["steps"]:
            step |= {"verdict": "pass", "exit_code": 0}

    rewrite_state(gate, lie)
    with pytest.raises(EnvironmentProblem, match="its verdict is not that of soak_c clean"):
        read_evidence(gate)


@pytest.mark.parametrize("state", ["running", "interrupted"])
def test_unfinished_gate_is_refused(state: str, gate: GateDir) -> None:
    rewrite_state(gate, lambda s: s.update(state=state))
    with pytest.raises(UsageError, match="the gate is not finished: 4 of 4") as caught:
        read_evidence(gate)
    assert "chaos gate --resume" in caught.value.next_step
    rewrite_state(gate, lambda s: s.update(state="complete", verdict=None))
    with pytest.raises(UsageError, match="not finished"):
        read_evidence(gate)


def test_gate_without_hashes_of_its_runs_is_refused(gate: GateDir) -> None:
    rewrite_state(gate, lambda s: s["steps"][2].pop("record_sha256"))
    with pytest.raises(UsageError, match="recorded no hashes"):
        read_evidence(gate)


def test_gate_of_another_version_is_refused(gate: GateDir) -> None:
    rewrite_state(gate, lambda s: s.update(chaos="99.0"))
    with pytest.raises(UsageError, match=r"begun by chaos 99\.0"):
        read_evidence(gate)


@pytest.mark.parametrize("content", ["", "{}", "[" * 100_000, "null", "\x00"])
def test_damaged_state_is_refused(content: str, gate: GateDir) -> None:
    gate.state.write_text(content)
    with pytest.raises(UsageError, match="not the state of a gate"):
        read_evidence(gate)


def test_gate_that_stopped_at_its_first_failure_is_evidence(tmp_path: Path) -> None:
    gate = finished_gate(tmp_path, {"soak_b clean": "fail"}, fail_fast=True)
    evidence = read_evidence(gate)
    assert evidence.verdict.verdict == "NEEDS FIXES"
    assert [run.step.name for run in evidence.runs] == ["soak_b clean"]


def test_changed_record_is_judged_again_when_the_gate_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is attested afterwards carries the note; the stand-in for judging writes a verdict."""
    bench = Bench(tmp_path)
    bench.begin(ScriptedRunner())
    run = first_run(bench.folder)
    append(run.history)
    judged: list[str] = []

    def judge_again(run: RunDir) -> Any:
        judged.append(run.run_id)
        return read_verdict(run)

    monkeypatch.setattr("chaos.gate.loop.judge", judge_again)
    with pytest.raises(ChaosError):
        read_evidence(bench.folder)
    bench.resume(ScriptedRunner())
    assert judged == [run.run_id]
    notes = "".join(read_evidence(bench.folder).verdict.notes)
    assert "judged again: its record had been changed" in notes


def test_gate_is_found_by_name_and_by_latest(tmp_path: Path) -> None:
    gate = finished_gate(tmp_path)
    runs = tmp_path / "runs"
    for reference in ("latest", gate.path.name, str(gate.path)):
        assert find_gate(reference, runs, place="chaos attest").path == gate.path
    with pytest.raises(UsageError) as caught:
        find_gate("nothing", runs, place="chaos attest")
    assert caught.value.place == "chaos attest"
