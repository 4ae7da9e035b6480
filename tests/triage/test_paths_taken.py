"""A scheduled path that the record does not show to have been taken is unverified."""

from __future__ import annotations

import pytest

from chaos.checks.paths_taken import CHECK, paths_of
from chaos.faults.registry import fault_kinds
from chaos.faults.registry import paths_of as declared_paths
from chaos.record import recovery_paths as paths
from chaos.record.open_run import OpenRun
from tests.checks.history_builder import EPOCH_S, PlantedRun, finding, judged
from tests.checks.wire_builder import Wire


def test_every_fault_names_paths_that_are_known() -> None:
    for kind in fault_kinds().values():
        declared = declared_paths(kind)
        assert declared["triage"] in paths.TRIAGE_PATHS
        assert declared["reconnection"] in paths.RECONNECTION_PATHS


def test_taken_paths_pass_with_the_decision_that_shows_it(planted: PlantedRun) -> None:
    found = finding(judged(planted), "paths_taken")
    assert found.outcome == "pass" and found.measured == 4
    assert all(one.ref.startswith("artefacts/watcher_decisions.jsonl:") for one in found.evidence)


def test_a_path_that_nothing_shows_is_unverified(planted: PlantedRun) -> None:
    """No call of the Watcher was made during the second fault."""
    start, end = planted.cuts[1]
    planted.decisions = [d for d in planted.decisions if not _touches(d, start - 3, end + 3)]
    verdict = judged(planted)
    found = finding(verdict, "paths_taken")
    assert found.outcome == "unverified" and "triage, f002" in found.summary
    assert "reconnection" not in found.summary.partition("not:")[2]
    assert verdict.verdict != "pass"


@pytest.mark.parametrize(("looked", "taken"), [(True, True), (False, False)])
def test_look_at_health_that_got_no_answer_met_the_fault(
    planted: PlantedRun, looked: bool, taken: bool
) -> None:
    """A daemon that lists no calls, and looks at the server's health before it asks."""
    del planted.config["target"]["records"]["calls"]
    start, end = planted.cuts[1]
    planted.decisions = [d for d in planted.decisions if not _touches(d, start - 3, end + 3)]
    wire = Wire(planted)
    if looked:
        wire.exchange(start + 3, start + 5, method="GET", path="/health", ended="given_up")
    wire.write()
    found = [p for p in paths_of(OpenRun(planted.write())) if p.fault_id == "f002"]
    assert found[0].taken is taken


def test_an_answer_just_before_the_fault_does_not_count_as_taken(planted: PlantedRun) -> None:
    """The fault is armed a second early; an answer in that second is not affected by it."""
    start, end = planted.cuts[1]
    planted.decisions = [d for d in planted.decisions if not _touches(d, start, end + 3)]
    found = [p for p in paths_of(OpenRun(planted.write())) if p.fault_id == "f002"]
    assert [p.taken for p in found] == [False, True]


def test_a_connection_never_used_again_is_no_reconnection(planted: PlantedRun) -> None:
    """Every call after the last fault fails, so the reconnection path was not taken."""
    for decision in planted.decisions:
        if _touches(decision, planted.cuts[1][0], 1e9):
            for call in decision["llm_calls"]:
                call["outcome"] = "failed"
            decision["heuristic_fallback"] = True
    view = OpenRun(planted.write())
    last = [p for p in paths_of(view) if p.fault_id == "f002"]
    assert [(p.role, p.taken) for p in last] == [("triage", True), ("reconnection", False)]


def test_an_unknown_path_of_a_third_party_is_shown_by_what_its_fault_measured(
    planted: PlantedRun,
) -> None:
    named = {"llm_timeout": {"triage": "Their own", "reconnection": paths.NO_PATH}}
    planted.event("fault_paths")["detail"]["paths"] = named
    view = OpenRun(planted.write())
    assert [p.taken for p in paths_of(view)] == [False, False]
    for record in planted.records:
        if record.get("state") == "effect_proven":
            record["evidence"]["path_taken"] = "seen"
    assert [p.taken for p in paths_of(OpenRun(planted.write()))] == [True, True]


def test_a_fault_that_is_unavailable_here_has_no_path_to_take(planted: PlantedRun) -> None:
    planted.records = [
        r for r in planted.records if r.get("fault_id") != "f002" or r["state"] == "armed"
    ]
    for record in planted.records:
        if record.get("fault_id") == "f002":
            record["state"] = "unavailable"
    assert {p.fault_id for p in paths_of(OpenRun(planted.write()))} == {"f001"}


def test_a_run_without_faults_has_no_finding(control: PlantedRun) -> None:
    assert CHECK.judge(OpenRun(control.write()), CHECK.parsed({})) == []


def _touches(decision: dict[str, object], start_s: float, end_s: float) -> bool:
    from datetime import datetime

    def at(key: str) -> float:
        return datetime.fromisoformat(str(decision[key])).timestamp() - EPOCH_S

    return at("started_at") <= end_s and at("timestamp") >= start_s
