"""How long the Watcher lacked an answer after the LLM came back, and what is not counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.checks.finding import Finding
from tests.checks.history_builder import PlantedRun, iso, judged_by

CUT_S, BACK_S = 40.0, 54.0
Call = tuple[float, float, bool]


@pytest.fixture
def run(tmp_path: Path) -> PlantedRun:
    """The LLM is cut once, and nothing is decided from then on; a probe asks for work after it."""
    planted = PlantedRun(tmp_path / "run", cuts=((CUT_S, BACK_S),))
    planted.decisions = [d for d in planted.decisions if d["timestamp"] < iso(CUT_S)]
    planted.config["criteria"] = {"recovery_time": {"limit_s": 20}}
    return planted


def decide(run: PlantedRun, start_s: float, end_s: float, *calls: Call) -> None:
    """A dispatch with these LLM calls: (start, end, whether it was answered)."""
    told: list[dict[str, Any]] = [
        {"started_at": iso(a), "ended_at": iso(b), "outcome": "ok" if ok else "failed"}
        for a, b, ok in calls
    ]
    run.decisions.append(
        {**run.decisions[0], "started_at": iso(start_s), "timestamp": iso(end_s)}
        | {"llm_calls": told, "heuristic_fallback": not all(ok for _, _, ok in calls)}
    )


def recovery(run: PlantedRun) -> Finding:
    return judged_by(run, "recovery_time")


def without_work(run: PlantedRun) -> None:
    """Nothing is asked for but what was decided before the fault."""
    run.records = [r for r in run.records if r["kind"] != "op"]
    asked = {d["request_file"] for d in run.decisions}
    for diagnosis in run.diagnostics.values():
        diagnosis["requests"] = [name for name in diagnosis["requests"] if name in asked]


@pytest.mark.parametrize("plan_ended_s", [44.0, 55.0])
def test_the_work_of_a_dispatch_is_not_the_connections_time(
    run: PlantedRun, plan_ended_s: float
) -> None:
    """The fault is over in mid-dispatch, while the server is stopped for the work."""
    decide(run, 41.0, 85.0, (41.0, plan_ended_s, False), (84.2, 84.5, True))
    found = recovery(run)
    assert found.outcome == "pass"
    assert found.measured == pytest.approx(0.3 + max(0.0, plan_ended_s - BACK_S))


def test_a_watcher_without_work_may_be_late(run: PlantedRun) -> None:
    without_work(run)
    decide(run, 100.0, 101.0, (100.1, 100.4, True))
    assert recovery(run).outcome == "pass"


def test_work_that_waits_is_the_connections_time(run: PlantedRun) -> None:
    """Half a minute in which nobody knows what the Watcher waited for, and no call was made; it
    may take a moment to find its work.
    """
    decide(run, 84.0, 85.0, (84.1, 84.4, True))
    found = recovery(run)
    assert (found.outcome, found.measured) == ("fail", pytest.approx(30.1))


def test_work_that_waited_before_the_recovery_counts_from_there(run: PlantedRun) -> None:
    without_work(run)
    run.diagnostics["diag_005005.json"]["requests"] = ["waited.json"]
    decide(run, 84.0, 85.0, (84.1, 84.4, True))
    assert recovery(run).outcome == "fail"
    run.folders["quarantine"].append("waited.json")
    assert recovery(run).outcome == "pass"


def test_dispatches_that_never_ask_are_no_use_of_the_llm(run: PlantedRun) -> None:
    without_work(run)
    for start_s in (55.0, 65.0, 75.0):
        decide(run, start_s, start_s + 9.0)
    decide(run, 84.0, 85.0, (84.1, 84.4, True))
    assert recovery(run).outcome == "fail"


def test_calls_that_go_on_failing_are_found(run: PlantedRun) -> None:
    """Also where each fails at once, and the time between them is spent on the work."""
    for start_s in (55.0, 65.0, 75.0):
        decide(run, start_s, start_s + 9.0, (start_s, start_s + 0.1, False))
    decide(run, 84.0, 85.0, (84.1, 84.4, True))
    assert recovery(run).outcome == "fail"
    run.decisions.pop()
    assert recovery(run).outcome == "fail"


@pytest.mark.parametrize("answered", [True, False])
def test_a_call_that_waits_on_a_dead_connection_is_found(run: PlantedRun, answered: bool) -> None:
    decide(run, 41.0, 86.0, (41.0, 80.0, answered), (84.0, 84.3, True))
    assert recovery(run).outcome == "fail"


def test_a_decision_that_lasts_beyond_the_time_watched_shows_nothing(run: PlantedRun) -> None:
    """No call was due before the run was over, so none is missing."""
    decide(run, 41.0, 160.0, (41.0, 44.0, False), (159.0, 159.5, True))
    assert recovery(run).outcome == "inconclusive"
