"""Whether a child ran in the dispatches of a kind: seen alive, or by what it left when it ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chaos.checks.finding import Finding
from tests.checks.history_builder import PlantedRun, _t_s, judged_by


def routing(run: PlantedRun) -> Finding:
    run.config["criteria"]["routing"] = {}
    return judged_by(run, "routing")


def unseen(run: PlantedRun) -> None:
    """Each child lives between two samples."""
    run.signals["watcher.children"] = lambda t_s, done: 0


def seen_of(found: Finding) -> tuple[int, int]:
    words = found.summary.split("seen in ")[1].split()
    return int(words[0]), int(words[2])


def test_children_that_no_sample_met_are_told_by_their_page_faults(planted: PlantedRun) -> None:
    """Sampling and dispatches may run in step: then it meets none of many short children. Only
    some are told apart where one dispatch begins before the sample that follows another.
    """
    whole = seen_of(routing(planted))
    unseen(planted)
    found = routing(planted)
    assert found.outcome == "pass"
    assert whole[0] == whole[1] == seen_of(found)[1]
    assert whole[0] / 2 < seen_of(found)[0] < whole[0]


def test_a_child_that_ended_in_the_middle_is_told_also_between_close_dispatches(
    planted: PlantedRun,
) -> None:
    """By the samples within the dispatch alone."""
    whole = seen_of(routing(planted))
    unseen(planted)
    middles = [(_t_s(d["started_at"]) + _t_s(d["timestamp"])) / 2 for d in planted.decisions]
    planted.signals["watcher.children_faults"] = lambda t_s, done: sum(m <= t_s for m in middles)
    assert seen_of(routing(planted)) == whole


@pytest.mark.parametrize("absent", [True, False])
def test_no_child_at_all_fails_with_and_without_the_signal(
    planted: PlantedRun, absent: bool
) -> None:
    """Without it (an older run) as many samples as there are must have met none."""
    unseen(planted)
    planted.signals["watcher.children_faults"] = lambda t_s, done: None if absent else 400
    found = routing(planted)
    assert found.outcome == "fail"
    assert "no child process was ever seen" in found.evidence[-1].text


def test_an_older_run_is_judged_by_the_children_that_were_met(planted: PlantedRun) -> None:
    planted.signals["watcher.children_faults"] = lambda t_s, done: None
    assert routing(planted).outcome == "pass"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda t_s, done: 5000 * (t_s > 1), id="before the first dispatch"),
        pytest.param(lambda t_s, done: -5000 * done, id="another life began with nothing"),
    ],
)
def test_what_rose_outside_a_dispatch_is_no_child_of_it(
    planted: PlantedRun, other: Callable[[float, int], int]
) -> None:
    unseen(planted)
    planted.signals["watcher.children_faults"] = other
    assert routing(planted).outcome == "fail"


def test_a_restart_between_two_samples_tells_nothing(planted: PlantedRun) -> None:
    """A new process has waited for nobody yet, whatever its number of faults."""
    unseen(planted)
    planted.signals["watcher.pid"] = lambda t_s, done: int(t_s * 10)
    assert "a child process seen in 0 of" in routing(planted).summary
