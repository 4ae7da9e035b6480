"""Daemons that do less than the reference Watcher: they are judged by what can be seen of them."""

from __future__ import annotations

import signal

import pytest

from chaos.record import recovery_paths as paths
from tests.checks.history_builder import (
    FAULTS,
    PlantedRun,
    _t_s,
    finding,
    judged,
    judged_by,
)
from tests.checks.wire_builder import Wire


def _at_the_stop_signal(run: PlantedRun, **detail: object) -> str:
    run.config["target"].pop("halt")
    run.event("halted")["detail"] = {"took_s": 0.3, "killed": False, "how": "signal", **detail}
    return judged_by(run, "halt").outcome


@pytest.mark.parametrize("code", [0, -signal.SIGTERM, 128 + signal.SIGTERM, -signal.SIGINT])
def test_daemon_without_a_halt_command_is_halted_by_its_stop_signal(
    control: PlantedRun, code: int
) -> None:
    assert _at_the_stop_signal(control, exit_code=code) == "pass"


@pytest.mark.parametrize(
    "detail",
    [
        {"exit_code": 1},
        {"exit_code": -signal.SIGSEGV},
        {"exit_code": -signal.SIGKILL, "killed": True},
        {"exit_code": 0, "took_s": 31.0},
    ],
)
def test_daemon_that_does_not_end_cleanly_at_its_stop_signal_fails(
    control: PlantedRun, detail: dict[str, object]
) -> None:
    assert _at_the_stop_signal(control, **detail) == "fail"


def test_halt_may_take_as_long_as_the_target_says(control: PlantedRun) -> None:
    control.event("halted")["detail"]["took_s"] = 45.0
    control.config["target"]["halt"]["limit_s"] = 60
    assert judged_by(control, "halt").outcome == "pass"
    control.config["target"]["halt"]["limit_s"] = 40
    assert judged_by(control, "halt").outcome == "fail"
    control.config["target"]["halt"]["limit_s"] = 60
    control.config["criteria"]["halt"] = {"limit_s": 20}
    assert judged_by(control, "halt").outcome == "fail"


def test_daemon_that_keeps_its_llm_server_need_not_restart_it(control: PlantedRun) -> None:
    control.llm_events = [e for e in control.llm_events if e["event"] == "start"][:1]
    control.config["target"]["llm"]["stopped_for_work"] = False
    assert judged_by(control, "llm_lifecycle").outcome == "pass"
    control.config["target"]["llm"]["stopped_for_work"] = True
    assert judged_by(control, "llm_lifecycle").outcome == "fail"


def test_failed_call_without_a_decision_shows_on_the_wire_that_the_fault_was_met(
    planted: PlantedRun,
) -> None:
    planted.decisions = [  # a log of what was done without a fault
        d
        for d in planted.decisions
        if not any(begin_s - 8 < _t_s(d["timestamp"]) < end_s + 8 for begin_s, end_s in FAULTS)
    ]
    named = {"triage": paths.LLM_DROP, "reconnection": paths.LLM_CLIENT}
    planted.add_event(1.0, "fault_paths", paths={"llm_timeout": named})
    wire = Wire(planted)
    wire.write()
    found = finding(judged(planted), "paths_taken")
    assert found.outcome == "unverified" and "triage, f001" in found.summary
    for begin_s, _ in FAULTS:
        wire.exchange(begin_s + 1.0, begin_s + 3.0, ended="given_up", status=None)
    wire.write()
    assert finding(judged(planted), "paths_taken").outcome == "pass"
