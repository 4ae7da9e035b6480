"""Stands for a daemon whose decisions only another program logs: a line for each whole cycle.

The line names its requests in a list, has a duration in place of a start time, and words of its own
for how it ended.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.record.open_run import OpenRun
from tests.checks.history_builder import PlantedRun, iso
from tests.targets.habits.stand_in import StandIn, finding_of

TARGET = """
target: cycles
watcher: {start: ["{python}", daemon.py]}
work: {submit: {folder: in}, done: out/*, body: {id: "{id}"}}
services: {orchestrator: {start: ["{python}", orchestrator.py]}}
records:
  decisions:
    sql: |
      select line, cycle_id || '/' || request as id, request, outcome as status,
        epoch(cast(ended as timestamptz)) - cast(duration_s as double) as started_at,
        ended as ended_at
      from (
        select line, cycle_id, outcome, duration_s, ended,
          unnest(cast(steps.requests as varchar[])) as request
        from jsonl('cycle_history.jsonl')
      )
outcomes: {done: [success], failed: [partial]}
"""


def cycle(number: int, outcome: str = "success") -> dict[str, Any]:
    return {
        "cycle_id": f"c{number}",
        "steps": {"requests": [f"c{number}_a.json", f"c{number}_b.json"]},
        "outcome": outcome,
        "duration_s": 4.0,
        "ended": iso(10.0 * number),
    }


def recorded(folder: Path, run: PlantedRun, *cycles: dict[str, Any]) -> PlantedRun:
    daemon = StandIn(folder, TARGET)
    text = "".join(json.dumps(entry) + "\n" for entry in cycles)
    (daemon.workspace / "cycle_history.jsonl").write_text(text)
    return daemon.recorded(run)


def test_request_of_a_cycle_is_a_decision_with_its_times(
    tmp_path: Path, control: PlantedRun
) -> None:
    run = recorded(tmp_path, control, cycle(1), cycle(2, "partial"))
    with OpenRun(run.write()) as opened:
        rows = opened.sql("select request, completed, start_s, end_s from decisions order by 1")
    assert rows == [
        ("c1_a.json", True, 6.0, 10.0),
        ("c1_b.json", True, 6.0, 10.0),
        ("c2_a.json", False, 16.0, 20.0),
        ("c2_b.json", False, 16.0, 20.0),
    ]


@pytest.mark.parametrize(
    ("last", "outcome"), [(cycle(4), "pass"), (cycle(4, "partial"), "fail")], ids=["good", "failed"]
)
def test_cycle_that_failed_is_found(
    tmp_path: Path, control: PlantedRun, last: dict[str, Any], outcome: str
) -> None:
    run = recorded(tmp_path, control, *(cycle(number) for number in (1, 2, 3)), last)
    assert finding_of(run, "completed_cycles", min=3).outcome == "pass"
    assert finding_of(run, "work_completed").outcome == outcome
