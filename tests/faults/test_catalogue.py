"""Every kind of the catalogue on the real stack: proven, and its no-op twin is not.

At every change one kind of each group is tested, before a release all registered kinds; none has
to be added here.
"""

from __future__ import annotations

import inspect

import pytest

from chaos.faults.base import GROUPS, Fault, may_overlap, noop_twin
from chaos.faults.params import declared
from chaos.faults.registry import our_kinds
from chaos.record import recovery_paths as paths
from tests.faults.on_stack import run_faults

KINDS = our_kinds()
HOLD_S = 4  # a proof may take longer on a busy machine: see `PROOF_LIMIT_S`
VARIANTS = ["watcher_killed:hold=4s,children=kill", "llm_killed:hold=4s,keep_down=yes"]
BATCH = 5  # one stack for so many


def asked(name: str) -> str:
    """The value of `--fault`."""
    hold = next(param for param in declared(KINDS[name].Params) if param.name == "hold")
    return f"{name}:hold={max(HOLD_S, hold.min or 0):g}s"


# One of each group, of those that take the least time.
EVERY_TIME = (
    "disk_full",
    "gpu_memory_taken",
    "llm_error",
    "llm_paused",
    "llm_refused",
    "queue_zero_length",
    "syscall_error",
    "watcher_fd_limit",
    "watcher_paused",
)
ASKED = [*map(asked, sorted(KINDS)), *VARIANTS]
# Neighbours by name are of one group: apart from each other they take about the same time. The
# injector's have a stack of their own, on which draws come often.
DRAWS = [text for text in ASKED if text.startswith("injector_")]
OTHERS = [text for text in ASKED if text not in DRAWS]
STRIDE = -(-len(OTHERS) // BATCH)
BATCHES = [DRAWS, *(OTHERS[first::STRIDE] for first in range(STRIDE))]


@pytest.mark.stack
@pytest.mark.slow(seconds=110)
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([*map(asked, EVERY_TIME)], id="one of each group"),
        *(pytest.param(batch, id=" ".join(batch), marks=pytest.mark.long) for batch in BATCHES),
    ],
)
def test_effect_of_each_kind_is_proven_and_its_noop_twin_proves_none(faults: list[str]) -> None:
    for one in run_faults(faults):
        name = one.fault.partition(":")[0]
        assert one.problems == [], f"{one.fault}: {one.problems}\n{one.states}\n{one.twin}"
        here = KINDS[name].available_here()
        assert not one.unavailable or here, f"{name} is listed as available, and was not: {one}"
        assert not (here and not one.unavailable), (
            f"{name} is listed as unavailable, and was injected"
        )


@pytest.mark.parametrize("name", sorted(KINDS))
def test_metadata_of_each_kind_is_complete(name: str) -> None:
    kind = KINDS[name]
    assert kind.name == name
    assert kind.group in GROUPS and kind.group != "other"
    assert kind.summary and kind.summary[-1] != "." and len(kind.summary) <= 80
    assert kind.triage_path in paths.TRIAGE_PATHS
    assert kind.reconnection_path in paths.RECONNECTION_PATHS
    assert kind.compatible_groups <= set(GROUPS)
    assert not may_overlap(kind, kind), "two of a kind would prove each other's effect"
    assert inspect.getmodule(kind).__doc__
    params = declared(kind.Params)
    names = [param.name for param in params]
    assert len(set(names)) == len(names) and {"hold", "count", "period"} <= set(names)
    assert all(param.help for param in params)
    if kind.scope == "host":
        assert kind.undo is not Fault.undo, "what outlives the stack must be undone by record"


def test_compatible_groups_are_declared_by_both_sides() -> None:
    """A one-sided declaration has no effect, and a reader of the catalogue would believe it."""
    for kind in KINDS.values():
        for group in kind.compatible_groups:
            others = [other for other in KINDS.values() if other.group == group]
            assert others and all(may_overlap(kind, other) for other in others), (kind, group)


def test_every_group_has_kinds_and_every_twin_differs_from_its_kind() -> None:
    groups = set(GROUPS) - {"other"}
    assert {kind.group for kind in KINDS.values()} == groups
    assert {KINDS[name].group for name in EVERY_TIME} == groups
    for kind in KINDS.values():
        twin = noop_twin(kind)
        assert twin.inject is not kind.inject and twin.effect is kind.effect
