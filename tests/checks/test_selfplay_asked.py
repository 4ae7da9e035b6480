"""A daemon that asks for no selfplay by itself, and one that has its own words for it."""

from __future__ import annotations

import pytest

from tests.checks.history_builder import PlantedRun, judged_by


def say(run: PlantedRun, selfplay: str) -> None:
    """The decision log's word for a dispatch of selfplay."""
    decisions = run.config["target"]["records"]["decisions"]
    assert "then 'selfplay'" in decisions["sql"]
    decisions["sql"] = decisions["sql"].replace("then 'selfplay'", f"then '{selfplay}'")


@pytest.mark.parametrize("check", ["selfplay_dispatches", "routing"])
def test_kind_may_be_the_word_that_the_target_lists_for_it(check: str, control: PlantedRun) -> None:
    say(control, "retrain")
    control.config["criteria"] = {check: {}}
    assert judged_by(control, check).outcome == "fail"
    control.config["target"]["work"]["types_selfplay"] = ["selfplay", "retrain"]
    assert judged_by(control, check).outcome == "pass"


@pytest.mark.parametrize("check", ["selfplay_dispatches", "policy_candidates"])
def test_selfplay_that_nobody_asked_for_is_neither_failed_nor_passed(
    check: str, control: PlantedRun
) -> None:
    say(control, "other")
    control.candidates.clear()
    control.config["criteria"] = {check: {}}
    assert judged_by(control, check).outcome == "fail"  # asked for, and not done
    control.config["target"]["work"]["types_selfplay"] = ["retrain"]
    control.config["target"]["work"]["emits_selfplay"] = False
    found = judged_by(control, check)
    assert (found.outcome, "asked for" in found.summary) == ("unverified", True)


def test_trigger_that_never_fires_fails_where_the_target_says_that_it_does(
    control: PlantedRun,
) -> None:
    say(control, "other")
    control.config["target"]["work"]["types_selfplay"] = ["retrain"]
    found = judged_by(control, "selfplay_dispatches")
    assert (found.outcome, found.evidence[0].text) == (
        "fail",
        "the daemon asked for no selfplay by itself",
    )


def test_diagnostics_may_name_one_request_as_text(control: PlantedRun) -> None:
    requests = [d["requests"] for d in control.diagnostics.values()]
    assert any(requests)
    for diagnosis in control.diagnostics.values():
        diagnosis["requests"] = "".join(diagnosis["requests"][:1])
    control.config["criteria"] = {"request_queue": {}}
    found = judged_by(control, "request_queue")
    assert (found.outcome, found.summary.split()[0]) == ("pass", str(sum(map(bool, requests))))
