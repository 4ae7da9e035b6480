"""A guardrail trips on the measured value, with its name and limit, and not otherwise."""

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


def test_no_guardrail_trips_within_all_limits(tmp_path: Path) -> None:
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
    """An impossible limit trips the guardrail of that name, with the measured value."""
    tripped = Guard(limits, tmp_path).check(1.0)
    assert tripped is not None and tripped.name == name
    assert tripped.measured < tripped.limit == getattr(limits, name)
    assert name in tripped.message


def test_the_run_budget_trips_only_after_it_has_passed(tmp_path: Path) -> None:
    limits = Guardrails(
        host_memory_available_mb_min=0, host_disk_free_mb_min=0, free_descriptors_min=0,
        run_budget_s=10,
    )  # fmt: skip
    guard = Guard(limits, tmp_path)
    assert guard.check(10.0) is None
    tripped = guard.check(10.5)
    assert tripped is not None and (tripped.name, tripped.measured) == ("run_budget_s", 10.5)


def test_each_open_descriptor_leaves_one_fewer(tmp_path: Path) -> None:
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
