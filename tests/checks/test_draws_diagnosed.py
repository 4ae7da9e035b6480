"""Each injected draw is diagnosed once, told by the draw that each diagnosis names."""

from __future__ import annotations

import pytest

from tests.checks.history_builder import (
    DRAW_INTERVAL_S,
    PlantedRun,
    finding,
    judged,
    judged_by,
    not_passed,
)

LOST = "diag_005007.json"


@pytest.mark.parametrize("lost", [True, False])
def test_a_second_diagnosis_makes_not_good_for_one_that_is_missing(
    planted: PlantedRun, lost: bool
) -> None:
    """As many files as draws, or more: each draw must have its own."""
    again = planted.diagnostics["diag_005006.json"] | {"requests": []}
    planted.diagnostics["diag_again.json"] = again
    if lost:
        del planted.diagnostics[LOST]
    verdict = judged(planted)
    assert not_passed(verdict) == {"draws_ingested": "fail"}
    told = str(finding(verdict, "draws_ingested"))
    assert "2 diagnostics of draw 5006" in told
    assert ("draw 5007 was never diagnosed" in told) == lost


@pytest.mark.parametrize("draw", [None, True, "5007", -1, 1 << 70])
def test_a_diagnosis_that_names_no_draw_is_of_none(planted: PlantedRun, draw: object) -> None:
    planted.diagnostics[LOST]["draw_index"] = draw
    assert not_passed(judged(planted)) == {"draws_ingested": "fail"}


@pytest.mark.parametrize("outcome", ["pass", "fail"])
def test_without_a_selector_diagnostics_are_counted_and_that_is_said(
    planted: PlantedRun, outcome: str
) -> None:
    del planted.config["target"]["paths"]["diagnostics_draw"]
    if outcome == "fail":
        del planted.diagnostics[LOST]
    found = judged_by(planted, "draws_ingested")
    assert found.outcome == outcome and "only counted" in found.summary


@pytest.mark.parametrize(("lost", "outcome"), [(False, "unverified"), (True, "fail")])
def test_a_rate_that_the_target_does_not_set_is_not_judged(
    planted: PlantedRun, lost: bool, outcome: str
) -> None:
    """An injector with an interval of its own; its draws are to be diagnosed all the same."""
    target = planted.config["target"]
    del target["policies"]["values"]["synthetic_injection.interval_seconds"]
    target["injector"]["start"] = ["{python}", "injector.py", "--daemon"]
    planted.event("injector_started")["t_s"] += 12 * DRAW_INTERVAL_S
    if lost:
        del planted.diagnostics[LOST]
    found = judged_by(planted, "draws_ingested")
    assert found.outcome == outcome and "{draw_interval_s}" in found.summary
