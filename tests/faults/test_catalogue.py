"""Every kind of the catalogue on the real stack: it proves itself, and its no-op twin does not.

Nobody has to remember to add a kind here: what is registered is lived.
"""

from __future__ import annotations

import inspect

import pytest

from chaos import paths
from chaos.faults.base import GROUPS, Fault, may_overlap, noop_twin
from chaos.faults.registry import our_kinds
from tests.faults.on_stack import live

KINDS = our_kinds()
HOLD_S = 4.0
# Kinds whose effect needs a longer hold to be felt, or other parameters to be quick.
PARAMETERS: dict[str, str] = {}
BATCH = 4  # one stack for so many kinds
BATCHES = [sorted(KINDS)[i : i + BATCH] for i in range(0, len(KINDS), BATCH)]


def asked(name: str) -> str:
    """As on the command line."""
    return f"{name}:{PARAMETERS.get(name, f'hold={HOLD_S:g}s')}"


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize("names", BATCHES, ids="+".join)
def test_each_kind_proves_itself_and_its_twin_does_not(names: list[str]) -> None:
    for one in live([asked(name) for name in names]):
        name = one.fault.partition(":")[0]
        assert one.problems == [], f"{one.fault}: {one.problems}\n{one.states}\n{one.twin}"
        here = KINDS[name].available_here()
        assert not one.unavailable or here, f"{name} is listed as available, and was not: {one}"
        assert not (here and not one.unavailable), f"{name} is listed as unavailable, and was lived"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_a_kind_says_of_itself_makes_sense(name: str) -> None:
    kind = KINDS[name]
    assert kind.name == name
    assert kind.group in GROUPS and kind.group != "other"
    assert kind.summary and kind.summary[-1] != "." and len(kind.summary) <= 80
    assert kind.triage_path in paths.TRIAGE_PATHS
    assert kind.reconnection_path in paths.RECONNECTION_PATHS
    assert kind.compatible_groups <= set(GROUPS)
    assert not may_overlap(kind, kind), "two of a kind would prove each other's effect"
    assert inspect.getmodule(kind).__doc__  # type: ignore[union-attr]
    names = [param.name for param in kind.params]
    assert len(set(names)) == len(names) and {"hold", "count", "period"} <= set(names)
    assert all(param.help for param in kind.params)
    if kind.scope == "host":
        assert kind.undo is not Fault.undo, "what outlives the stack must be undone by record"


def test_every_group_has_kinds_and_every_twin_differs_from_its_kind() -> None:
    assert {kind.group for kind in KINDS.values()} == set(GROUPS) - {"other"}
    for kind in KINDS.values():
        twin = noop_twin(kind)
        assert twin.inject is not kind.inject and twin.effect is kind.effect
