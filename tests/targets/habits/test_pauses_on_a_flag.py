"""Stands for a daemon that a flag outside of its folder only pauses, and another command ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.checks.history_builder import PlantedRun
from tests.targets.habits.stand_in import StandIn, finding_of

TARGET = """
target: pausing
watcher: {start: ["{python}", daemon.py]}
work: {submit: {folder: inbox}, done: outbox/*, body: {id: "{id}"}}
halt:
  command: [touch, /tmp/agent_halt]
  flags: [/tmp/agent_halt]
  then: pauses
  stop: [bash, -c, "kill $(cat daemon.pid)"]
"""
HEALTHY = {
    "how": "pauses",
    "flag_seen": True,
    "command_exit_code": 0,
    "paused": True,
    "paused_s": 2.0,
    "stop_exit_code": 0,
    "exit_code": 0,
    "killed": False,
    "took_s": 0.4,
}


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({}, "pass"),
        ({"paused": False}, "fail"),  # it took work while the flag lay there
        ({"killed": True, "exit_code": -9}, "fail"),  # the stop command did not end it
    ],
)
def test_pause_and_end_are_judged_apart(
    tmp_path: Path, control: PlantedRun, change: dict[str, Any], outcome: str
) -> None:
    run = StandIn(tmp_path, TARGET).recorded(control)
    run.event("halted")["detail"] = {**HEALTHY, **change}
    assert finding_of(run, "halt").outcome == outcome
