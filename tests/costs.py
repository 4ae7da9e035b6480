"""What each test costs in processor time: measured now and then, and kept in tests/costs.json.

    python -m pytest -p tests.costs -n 4 -m 'not long'

renews the file: seconds of the process and of its children that have ended, for each test function
that takes `SLOW_CPU_S` or more on average. Those are marked `slow`, unless they declare it; those
of `WHOLE_RUN_CPU_S` or more are marked `whole_run`, except for two runs that show the whole way.
"""

from __future__ import annotations

import json
import resource
from collections import defaultdict
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest

SLOW_CPU_S = 0.3
WHOLE_RUN_CPU_S = 4.0  # the test command of the README leaves these to CI
_KEPT = (
    # A healthy Watcher passes under a fault, a lying one is caught, an example is judged.
    "tests/integration/test_soak_b.py::test_clean_watcher_completes_ten_requests_while_its_llm_is_cut",
    "tests/integration/test_planted.py::test_defective_watcher_fails_by_the_check_for_its_defect",
    "tests/examples/test_minimal.py::test_control_of_soak_b_passes",
)
_FILE = Path(__file__).with_name("costs.json")
_NAME = "cpu_s"


@cache
def costs() -> dict[str, float]:
    """Test function (`file::name`) -> seconds; quick ones are not in it."""
    measured: dict[str, float] = json.loads(_FILE.read_text())
    return measured


def mark_cost(item: pytest.Item) -> None:
    """Mark what costs much and does not say so."""
    name = _function(item.nodeid)
    cost_s = costs().get(name)
    if cost_s is None:
        return
    if item.get_closest_marker("slow") is None:
        item.add_marker(pytest.mark.slow(seconds=cost_s))
    if cost_s >= WHOLE_RUN_CPU_S and name not in _KEPT:
        item.add_marker(pytest.mark.whole_run)


def _function(node_id: str) -> str:
    return node_id.partition("[")[0]


def _used_s() -> float:
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


# Hooks of pytest, if this module is loaded as a plugin.

_begun_s = pytest.StashKey[float]()
_seen: dict[str, list[float]] = defaultdict(list)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    item.stash[_begun_s] = _used_s()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    try:
        return (yield)
    finally:
        item.user_properties.append((_NAME, _used_s() - item.stash[_begun_s]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, value in report.user_properties:
        if name == _NAME and isinstance(value, float):
            _seen[_function(report.nodeid)].append(value)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput") or not _seen:
        return
    kept = {name: cost for name, cost in costs().items() if name not in _seen}
    means = {name: round(sum(values) / len(values), 1) for name, values in _seen.items()}
    kept |= {name: mean for name, mean in means.items() if mean >= SLOW_CPU_S}
    _FILE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
