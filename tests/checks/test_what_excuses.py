"""What excuses a failure, and for how long: defects that once passed, planted one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.checks.history_builder import HALT_S, PlantedRun, finding, iso, judged, judged_by


@pytest.fixture
def planted(tmp_path: Path) -> PlantedRun:
    return PlantedRun(tmp_path / "run")


@pytest.fixture
def control(tmp_path: Path) -> PlantedRun:
    return PlantedRun(tmp_path / "run", cuts=())


def add_fault(planted: PlantedRun, name: str, states: dict[str, tuple[float, Any]]) -> None:
    """A scheduled fault that goes through `states`: state -> (when, what was measured)."""
    planted.schedule["items"].append({"fault_id": "f009", "name": name})
    for state, (t_s, evidence) in states.items():
        record = {"kind": "fault", "t_s": t_s, "fault_id": "f009", "name": name, "state": state}
        planted.records.append(record | {"scheduled_s": t_s, "evidence": evidence})


def ends_watcher(effect: dict[str, Any], *, back_s: float | None = 66.0) -> dict[str, Any]:
    traits = {"group": "process", "affects_llm": False, "ends": ["watcher"]}
    states = {
        "armed": (59.0, {"undo": {"service": "watcher"}, "traits": traits}),
        "injected": (60.0, {"late_ms": 0.3, "took_ms": 20.0}),
        "effect_proven": (61.0, effect),
        "recovering": (65.0, {}),
    }
    if back_s is None:
        return {**states, "recovery_unproven": (70.0, {})}
    return {**states, "recovered": (back_s, {}), "closed": (back_s, {"why": "recovery proven"})}


# -- a fault that never recovers --------------------------------------------------------------


def test_fault_that_never_recovers_excuses_no_stall_after_its_own_limit(
    planted: PlantedRun,
) -> None:
    planted.config["criteria"] = {"stall": {"limit_s": 30}}
    for state in ("recovered", "closed"):
        planted.drop(kind="fault", fault_id="f002", state=state)
    planted.add_fault(95.0, "f002", "recovery_unproven", {})
    planted.decisions = [one for one in planted.decisions if one["timestamp"] < iso(75.0)]
    found = judged_by(planted, "stall")
    assert found.outcome == "fail" and found.measured == pytest.approx(HALT_S - 95.0, abs=2.0)


def test_fault_that_recovers_excuses_its_window(planted: PlantedRun) -> None:
    planted.config["criteria"] = {"stall": {"limit_s": 30}}
    assert judged_by(planted, "stall").outcome == "pass"


# -- a Watcher that is not there --------------------------------------------------------------


def gone_from(planted: PlantedRun, t_s: float) -> None:
    """No process of the Watcher is sampled from `t_s` on."""
    planted.signals["watcher.pid"] = lambda now_s, done: 20 if now_s < t_s else None  # type: ignore[assignment, return-value]


def test_watcher_that_did_not_come_back_fails_alive_and_halt(control: PlantedRun) -> None:
    control.config["criteria"] = {"halt": {}}
    add_fault(control, "watcher_killed", ends_watcher({}, back_s=None))
    gone_from(control, 60.0)
    verdict = judged(control)
    alive, halt = finding(verdict, "watcher_alive"), finding(verdict, "halt")
    assert alive.outcome == "fail" and "did not come back" in alive.summary
    assert halt.outcome == "fail" and "no process to halt" in halt.summary


def test_watcher_that_came_back_passes_both(control: PlantedRun) -> None:
    control.config["criteria"] = {"halt": {}}
    add_fault(control, "watcher_killed", ends_watcher({}))
    control.signals["watcher.pid"] = lambda t_s, done: 20 if t_s < 60 else 21
    verdict = judged(control)
    alive = finding(verdict, "watcher_alive")
    assert alive.outcome == "pass" and "1 fault ended it on purpose" in alive.summary
    assert finding(verdict, "halt").outcome == "pass"


def test_halt_of_a_process_that_the_harness_saw_missing_fails(control: PlantedRun) -> None:
    control.event("halted")["detail"]["was_running"] = False
    assert judged_by(control, "halt").outcome == "fail"


@pytest.mark.parametrize(("took_s", "outcome"), [(7.0, "pass"), (31.0, "fail")])
def test_stop_counts_as_clean_only_within_its_limit(
    control: PlantedRun, took_s: float, outcome: str
) -> None:
    stop = {"clean": True, "took_s": took_s, "exit_code": 0, "killed": False}
    add_fault(control, "watcher_restarted", ends_watcher({"stop": stop}))
    control.signals["watcher.pid"] = lambda t_s, done: 20 if t_s < 60 else 21
    assert judged_by(control, "watcher_alive").outcome == outcome


def test_fault_that_left_the_same_process_ended_nobody(control: PlantedRun) -> None:
    add_fault(control, "watcher_killed", ends_watcher({}))
    assert "on purpose" not in judged_by(control, "watcher_alive").summary


# -- the injector -----------------------------------------------------------------------------


def test_injector_that_dies_by_itself_is_an_outage_of_ours(control: PlantedRun) -> None:
    control.signals["injector.pid"] = lambda t_s, done: 30 if t_s < 60 else None  # type: ignore[assignment, return-value]
    control.draws = control.draws[:5020]
    verdict = judged(control)
    health = finding(verdict, "stack_health")
    assert (health.outcome, health.owner) == ("invalid", "harness")
    assert "injector ended by itself" in health.summary
    assert not [f.check for f in verdict.findings if f.outcome == "fail"]
    assert verdict.exit_code == 4


def test_injector_that_a_fault_ends_is_no_outage(control: PlantedRun) -> None:
    states = ends_watcher({})
    states["armed"][1]["undo"]["service"] = "injector"
    states["armed"][1]["traits"]["ends"] = ["injector"]
    add_fault(control, "injector_killed", states)
    control.signals["injector.pid"] = lambda t_s, done: None if 60 <= t_s < 66 else 30  # type: ignore[assignment, return-value]
    assert judged_by(control, "stack_health").outcome == "pass"


# -- work that did not complete ---------------------------------------------------------------


def test_failed_work_in_a_control_is_a_finding(control: PlantedRun) -> None:
    for decision in control.decisions[3:6]:
        decision["status"] = "FAILED"
    found = judged_by(control, "work_completed")
    assert found.outcome == "fail" and found.evidence_count == 3
    assert "ended FAILED" in found.evidence[0].text


def test_failed_work_beside_a_fault_is_explained(planted: PlantedRun) -> None:
    planted.first_fallback()["status"] = "FAILED"
    found = judged_by(planted, "work_completed")
    assert found.outcome == "pass" and "1 did not" in found.summary
