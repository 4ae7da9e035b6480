"""The order in which tests begin: the longest first, short ones in between.

The cost of a test is declared: `@pytest.mark.slow(seconds=120)`. It is a hint and no limit: a
wrong one costs time at the end of a session, when the other workers have nothing left to do.
Tests that share what is dear to make go to one worker, one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

SLOW_S = 15.0  # slow, and nothing said of how slow
QUICK_S = 0.2
_TOGETHER = (
    # A stack is brought up once for all promises of the contract.
    re.compile(r"(tests/stack/test_contract\.py)::\w+\[(local|docker)\b"),
    # A wheel is built and installed once.
    re.compile(r"(tests/installed)/"),
    # One LLM server serves all tests of these kinds.
    re.compile(r"(tests/faults/test_llm_wire\.py)::test_(?:effect|noop|each|a_failing_path|cuts)_"),
)


def cost_s(item: pytest.Item) -> float:
    """About how long the test takes."""
    slow = item.get_closest_marker("slow")
    return QUICK_S if slow is None else float(slow.kwargs.get("seconds", SLOW_S))


def group_of(node_id: str) -> str:
    """The name of the test's group, or its own."""
    matches = (pattern.match(node_id) for pattern in _TOGETHER)
    return next((" ".join(match.groups()) for match in matches if match), node_id)


class LongestFirst(LoadScopeScheduling):  # type: ignore[misc]
    """The next test, or group of tests, for each worker that is free.

    `--dist loadgroup` would do, but with pytest 9.2 xdist 3.8 does not see its own mark.
    """

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def in_order(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The slow tests by falling cost, with the quick ones spread evenly over their time.

    All slow ones first would leave a machine idle while they wait, and all quick ones last would
    make it wait for the processor then.
    """
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group_of(item.nodeid), []).append(item)
    # What a group shares is declared on each of its tests, and made once.
    units = [(max(map(cost_s, group)), group) for group in groups.values()]
    slow = sorted((unit for unit in units if unit[0] > QUICK_S), key=lambda unit: -unit[0])
    quick = [unit for unit in units if unit[0] <= QUICK_S]
    placed = sorted([*_placed(slow), *_placed(quick)], key=lambda one: one[0])
    return [item for _, group in placed for item in group]


def _placed(
    units: Sequence[tuple[float, list[pytest.Item]]],
) -> Iterator[tuple[float, list[pytest.Item]]]:
    """Each with the share of the whole cost that comes before it."""
    whole_s, before_s = sum(cost for cost, _ in units), 0.0
    for cost, group in units:
        yield before_s / whole_s, group
        before_s += cost
