"""A run in which a fault moved the Watcher's wall clock is judged by the true times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.record.clock import ClockJump, put_back, put_back_one
from chaos.record.open_run import OpenRun
from chaos.report.course import course_of
from chaos.report.stored import load
from chaos.runner.judge import judge
from tests.checks.history_builder import PlantedRun, _t_s, iso, judged, not_passed

FROM_S, TO_S = 60.0, 72.0
STAMPS = {"timestamp", "started_at", "ended_at"}


def jumped(planted: PlantedRun, offset_s: float, *, recorded: bool = True) -> PlantedRun:
    """As the Watcher would have written it: all its stamps of that time are off."""

    def move(content: Any) -> None:
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            if isinstance(value, (dict, list)):
                move(value)
            elif key in STAMPS and FROM_S <= _t_s(value) <= TO_S:
                content[key] = iso(_t_s(value) + offset_s)

    move(planted.decisions)
    move(planted.diagnostics)
    for record in planted.artefacts("telemetry/learning_health_latest.json"):
        record["detail"]["content"] = dict(record["detail"]["content"])
        move(record["detail"]["content"])
    if recorded:
        steps: list[tuple[float, str, dict[str, Any]]] = [
            (FROM_S - 0.9, "armed", {"undo": {"clock_offset_s": offset_s}}),
            (FROM_S, "injected", {}),
            (FROM_S + 2.0, "effect_proven", {"proof": "watcher_status.json:updated_at"}),
            (TO_S, "recovering", {}),
            (TO_S + 0.4, "recovered", {}),
            (TO_S + 0.41, "closed", {}),
        ]
        planted.schedule["items"].append({"fault_id": "f101", "name": "watcher_clock_jump"})
        for t_s, state, evidence in steps:
            planted.add_fault(t_s, "f101", state, evidence)
            planted.records[-1]["name"] = "watcher_clock_jump"
    return planted


@pytest.fixture
def make(tmp_path: Path) -> Callable[[], PlantedRun]:
    return lambda: PlantedRun(tmp_path / "run")


@pytest.mark.parametrize("offset_s", [3600.0, -3600.0, 60.0, -60.0])
def test_stamps_of_a_jump_are_read_as_the_times_they_were_written(
    make: Callable[[], PlantedRun], offset_s: float
) -> None:
    queries = (
        "select start_s from decisions order by line",
        "select end_s from decisions order by line",
        "select end_s from calls order by line, number",
        "select t_s from diagnostics order by path",
    )
    with OpenRun(make().write()) as plain:
        wanted = [[t_s for (t_s,) in plain.sql(query)] for query in queries]
    with OpenRun(jumped(make(), offset_s).write()) as moved:
        for query, true_s in zip(queries, wanted, strict=True):
            read_s = [t_s for (t_s,) in moved.sql(query)]
            assert read_s == pytest.approx(true_s, abs=1e-5), query


@pytest.mark.parametrize("offset_s", [3600.0, -3600.0])
def test_a_healthy_run_with_a_jump_passes(make: Callable[[], PlantedRun], offset_s: float) -> None:
    assert not_passed(judged(jumped(make(), offset_s))) == {}


def test_a_clock_that_jumps_by_itself_is_not_excused(make: Callable[[], PlantedRun]) -> None:
    """Nothing recorded: the telemetry went back in time, and that is a failure."""
    wrong = not_passed(judged(jumped(make(), 3600.0, recorded=False)))
    assert wrong["telemetry"] == "fail"


def test_a_jump_does_not_excuse_what_lies_beside_it(make: Callable[[], PlantedRun]) -> None:
    """A hidden fallback in the window of an LLM fault is found, jump or not."""
    planted = jumped(make(), 3600.0)
    del planted.first_fallback()["heuristic_fallback"]
    assert "fail" in not_passed(judged(planted)).values()


def test_where_both_readings_fit_the_neighbour_decides() -> None:
    """A long run: a stamp that is 3650 s on may be true, or 50 s with the clock an hour ahead."""
    jump = ClockJump(40.0, 60.0, 3600.0)
    fixed = put_back([10.0, 3645.0, 3655.0, 70.0, 3590.0, None, 3650.0], [jump])
    assert fixed == [10.0, 45.0, 55.0, 70.0, 3590.0, None, 3650.0]
    assert put_back_one(3650.0, 3649.0, [jump]) == 3650.0
    assert put_back_one(3650.0, 49.0, [jump]) == 50.0
    assert put_back_one(5000.0, 49.0, [jump]) == 5000.0  # no reading of then


def test_the_report_draws_decisions_at_their_true_times(make: Callable[[], PlantedRun]) -> None:
    planted = jumped(make(), 3600.0)
    judge(planted.write())
    with OpenRun(planted.run) as run:
        course = course_of(run, load(planted.run).verdict)
        wanted = [t_s for (t_s,) in run.sql("select end_s from decisions order by end_s")]
    assert course.marks["decided"] == pytest.approx(wanted)
    assert max(course.marks["decided"]) < course.end_s
