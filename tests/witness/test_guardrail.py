"""Guardrails trip on the measured value, name themselves, and hold otherwise."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from chaos.plan.experiment import Guardrails
from chaos.witness.guardrail import Guard

NONE = Guardrails(
    host_memory_available_mb_min=0,
    host_disk_free_mb_min=0,
    run_budget_s=1e9,
    free_descriptors_min=0,
)


def test_limits_that_hold_trip_nothing(tmp_path: Path) -> None:
    """A host within all limits is left alone."""
    assert Guard(NONE, tmp_path).check(1.0) is None


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("host_memory_available_mb_min", Guardrails(host_memory_available_mb_min=1e9)),
        (
            "host_disk_free_mb_min",
            Guardrails(host_memory_available_mb_min=0, host_disk_free_mb_min=1e12),
        ),
        (
            "free_descriptors_min",
            Guardrails(
                host_memory_available_mb_min=0, host_disk_free_mb_min=0, free_descriptors_min=10**9
            ),
        ),
    ],
)
def test_each_limit_trips_with_its_measurement(
    tmp_path: Path, name: str, limits: Guardrails
) -> None:
    """An impossible limit trips the guardrail of that name, and says what was measured."""
    tripped = Guard(limits, tmp_path).check(1.0)
    assert tripped is not None and tripped.name == name
    assert tripped.measured < tripped.limit == getattr(limits, name)
    assert name in tripped.message


def test_the_budget_is_a_limit_on_run_time(tmp_path: Path) -> None:
    """At the budget the run goes on, past it it ends."""
    limits = Guardrails(
        host_memory_available_mb_min=0, host_disk_free_mb_min=0, free_descriptors_min=0,
        run_budget_s=10,
    )  # fmt: skip
    guard = Guard(limits, tmp_path)
    assert guard.check(10.0) is None
    tripped = guard.check(10.5)
    assert tripped is not None and (tripped.name, tripped.measured) == ("run_budget_s", 10.5)


def test_descriptors_in_use_are_counted(tmp_path: Path) -> None:
    """Each descriptor that the harness opens leaves one fewer."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = Guardrails(
        host_memory_available_mb_min=0, host_disk_free_mb_min=0, free_descriptors_min=soft
    )
    guard = Guard(limits, tmp_path)
    before = guard.check(0.0)
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
    after = guard.check(0.0)
    for descriptor in opened:
        os.close(descriptor)
    assert before is not None and after is not None
    assert before.measured - after.measured == 5
