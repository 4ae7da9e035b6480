"""Steady state: a daemon that stays slow after the faults is found; a busy machine is not held
against it.
"""

from __future__ import annotations

import pytest

from tests.checks.history_builder import EPOCH_S, FAULTS, PlantedRun, judged
from tests.checks.witness_builder import Witnessed

_OVER_S = FAULTS[-1][1] + 5.0


@pytest.fixture
def witnessed(planted: PlantedRun) -> Witnessed:
    return Witnessed(planted)


def slow_afterwards(witnessed: Witnessed, longer_s: float) -> None:
    """After the faults each piece of work takes so much longer, and those behind it wait."""
    late_s = 0.0
    for line in sorted(witnessed.lines, key=lambda line: float(line["time_s"])):
        if "/archive/" in str(line.get("to", "")) and line["time_s"] - EPOCH_S > _OVER_S:
            late_s += longer_s
            line["time_s"] += late_s


def test_a_healthy_run_is_as_fast_afterwards(witnessed: Witnessed) -> None:
    found = witnessed.judged("steady_state")
    assert found.outcome == "pass", found.summary
    assert "as fast after the faults" in found.summary and "(95 %)" in found.summary


def test_a_daemon_that_stays_slow_fails(witnessed: Witnessed) -> None:
    slow_afterwards(witnessed, 4.0)
    found = witnessed.judged("steady_state")
    assert found.outcome == "fail", found.summary
    assert "slower after the faults" in found.summary
    assert found.evidence[0].ref == "witness.jsonl"


def test_a_little_slower_is_no_finding(witnessed: Witnessed) -> None:
    slow_afterwards(witnessed, 0.3)
    assert witnessed.judged("steady_state").outcome == "pass"


def test_a_machine_that_was_busier_accuses_nobody(witnessed: Witnessed) -> None:
    slow_afterwards(witnessed, 4.0)
    witnessed.run.signals["host.load1"] = lambda t_s, done: 1.0 if t_s < _OVER_S else 6.0
    found = witnessed.judged("steady_state")
    assert found.outcome == "skipped" and "the machine was busier" in found.summary


def test_without_a_fault_there_is_nothing_to_come_back_from(control: PlantedRun) -> None:
    Witnessed(control).write()
    assert "steady_state" not in {f.check for f in judged(control).findings}
