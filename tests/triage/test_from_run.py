"""The intended effects of a fault are no causes."""

from __future__ import annotations

import pytest

from chaos.triage.result import Triage
from tests.checks.history_builder import FAULTS, PlantedRun, finding, iso, judged, not_passed
from tests.checks.test_process_faults import BACK_S, DOWN_S, add
from tests.triage.test_rules import causes, triaged

ALLOWANCE_S = 10.0


def why_not(found: Triage, name: str) -> str:
    return next((one.why for one in found.ruled_out if one.name == name), "")


def restarted(run: PlantedRun, exit_s: float) -> None:
    """A fault ends the Watcher, which has another PID afterwards."""
    add(run, "watcher_killed", ends=("watcher",))
    run.add_event(exit_s, "watcher_exit", owner="product", severity="error", exit_code=-9)
    run.signals["watcher.pid"] = lambda t_s, done: 20 if t_s < exit_s else 21


def test_an_exit_by_a_fault_is_no_death(control: PlantedRun) -> None:
    restarted(control, DOWN_S + 0.1)
    assert "watcher_alive" not in not_passed(judged(control))
    found = triaged(control)
    assert "process_died" not in causes(found)
    assert "except when faults ended it" in why_not(found, "process_died")


@pytest.mark.parametrize("exit_s", [DOWN_S - 5.0, BACK_S + 5.0])
def test_an_exit_outside_a_fault_window_is_a_death(control: PlantedRun, exit_s: float) -> None:
    restarted(control, exit_s)
    assert causes(triaged(control)) == ["process_died"]


def test_a_watcher_that_did_not_come_back_after_the_fault_has_died(control: PlantedRun) -> None:
    lost = ("recovery_unproven", {"did_not_return": "watcher ended with exit code 7 at its start"})
    add(control, "watcher_killed", ends=("watcher",), after=lost)
    control.add_event(DOWN_S + 0.1, "watcher_exit", owner="product", exit_code=-9)
    (cause,) = [one for one in triaged(control).causes if one.name == "process_died"]
    assert "exit code 7" in cause.summary


def timeless(run: PlantedRun, shift_s: float) -> None:
    """Failed calls of fallbacks without times; the decisions are `shift_s` after the windows."""
    for decision in run.decisions:
        if not decision.get("heuristic_fallback"):
            continue
        for call in decision["llm_calls"]:
            call.pop("started_at")
            call.pop("ended_at")
        if shift_s:
            decision["started_at"] = iso(FAULTS[0][1] + ALLOWANCE_S + shift_s)
            decision["timestamp"] = iso(FAULTS[0][1] + ALLOWANCE_S + shift_s + 1.0)


def test_calls_without_times_are_judged_by_their_decision(planted: PlantedRun) -> None:
    timeless(planted, 0.0)
    assert not_passed(judged(planted)).get("heuristic_fallbacks") in (None, "unverified")
    assert "llm_connection_drop" not in causes(triaged(planted))


def test_failed_calls_of_a_decision_outside_a_fault_are_a_cause(planted: PlantedRun) -> None:
    planted.config["criteria"]["heuristic_fallbacks"] = {"allowance_s": ALLOWANCE_S}
    timeless(planted, 5.0)
    assert finding(judged(planted), "heuristic_fallbacks").outcome == "fail"
    assert "llm_connection_drop" in causes(triaged(planted))
