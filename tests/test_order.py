"""The longest tests begin first, and what they share goes to one worker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.order import QUICK_S, SLOW_S, cost_s, group_of, in_order


def item(name: str, seconds: float | None = None, *, slow: bool = False) -> pytest.Item:
    """Stands for a collected test."""
    mark = SimpleNamespace(kwargs={} if seconds is None else {"seconds": seconds})
    found = mark if slow or seconds is not None else None
    return cast(pytest.Item, SimpleNamespace(nodeid=name, get_closest_marker=lambda _name: found))


def names(items: list[pytest.Item]) -> list[str]:
    return [one.nodeid for one in items]


def test_cost_is_the_declared_one_or_a_default() -> None:
    assert cost_s(item("a")) == QUICK_S
    assert cost_s(item("a", slow=True)) == SLOW_S
    assert cost_s(item("a", 120)) == 120


def test_slow_tests_begin_by_falling_cost() -> None:
    items = [item("a", 10), item("b", 170), item("c", slow=True), item("d", 60)]
    assert names(in_order(items)) == ["b", "d", "c", "a"]


def test_quick_tests_are_spread_over_the_time_of_the_slow_ones() -> None:
    quick = [item(f"q{number}") for number in range(8)]
    order = names(in_order([*quick, item("long", 30), item("short", 10)]))
    assert order[0] == "long" and order.index("short") == 7
    assert [name for name in order if name[0] == "q"] == names(quick)


def test_tests_that_share_a_stack_stay_together_and_count_once() -> None:
    together = [
        f"tests/stack/test_contract.py::test_{name}[{case}]"
        for name, case in (("a", "local"), ("b", "local-x"), ("a", "docker"))
    ]
    assert len({group_of(name) for name in together}) == 2
    items: list[Any] = [item("other", 100), *(item(name, 90) for name in together)]
    assert names(in_order([items[1], items[3], items[0], items[2]])) == [
        "other",
        together[0],
        together[1],
        together[2],
    ]


def test_tests_of_the_wire_faults_share_one_worker() -> None:
    names = ("effect_and_recovery_are_proven[a]", "noop_twin_proves_no_effect[b]", "cuts_llm_is")
    assert len({group_of(f"tests/faults/test_llm_wire.py::test_{name}") for name in names}) == 1
    alone = "tests/faults/test_llm_wire.py::test_an_invalid_answer_is_not_usable"
    assert group_of(alone) == alone


def test_every_test_is_kept_once() -> None:
    items = [item(str(number), number or None) for number in range(50)]
    assert sorted(names(in_order(items))) == sorted(names(items))
    assert in_order([]) == []
