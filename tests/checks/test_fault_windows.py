"""Criteria read through the fault windows, and faults that did not happen."""

from __future__ import annotations

import pytest

from chaos.record.open_run import OpenRun
from tests.checks.history_builder import PlantedRun, finding, iso, judged, judged_by, not_passed


def _shift(run: PlantedRun, start_s: float) -> None:
    """A marked fallback whose one failed call lasts from `start_s` for 3 s."""
    decision = run.first_outside()
    call = {"outcome": "failed", "started_at": iso(start_s), "ended_at": iso(start_s + 3.0)}
    decision.update(
        started_at=iso(start_s - 0.1), timestamp=iso(start_s + 3.1), heuristic_fallback=True
    )
    decision["llm_calls"] = [call]
    run.config["criteria"] = {"heuristic_fallbacks": {"allowance_s": 10}}


@pytest.mark.parametrize(
    ("start_s", "outcome"),
    [
        (35.5, "fail"),  # over before the fault began
        (37.5, "pass"),  # under way when it began
        (53.9, "pass"),  # begun as it ended
        (63.9, "pass"),  # within the allowance
        (64.3, "fail"),  # after it
    ],
)
def test_a_fallback_is_excused_by_the_window_and_its_allowance_only(
    planted: PlantedRun, start_s: float, outcome: str
) -> None:
    _shift(planted, start_s)
    assert judged_by(planted, "heuristic_fallbacks").outcome == outcome


def test_an_answer_that_overlaps_the_edge_of_the_cut_is_believed(planted: PlantedRun) -> None:
    """Only a call wholly inside the proven time is impossible."""
    planted.config["criteria"] = {"heuristic_fallbacks": {}}
    decision = planted.first_outside()
    decision["llm_calls"] = [
        {"outcome": "ok", "started_at": iso(39.5), "ended_at": iso(41.4)},
        {"outcome": "ok", "started_at": iso(53.0), "ended_at": iso(54.2)},
    ]
    assert not_passed(judged(planted)) == {}


def test_a_cut_that_no_llm_call_fell_into_proves_nothing(planted: PlantedRun) -> None:
    """The path under test was not taken: unverified, not passed."""
    planted.config["criteria"] = {"heuristic_fallbacks": {}}
    planted.decisions = [d for d in planted.decisions if d["started_at"] < iso(39.0)]
    verdict = judged(planted)
    assert finding(verdict, "heuristic_fallbacks").outcome == "unverified"
    assert (verdict.verdict, verdict.exit_code) == ("unverified", 3)


def test_a_third_party_kind_can_say_that_it_cuts_the_llm(planted: PlantedRun) -> None:
    """`cuts_llm` in the evidence of the effect is enough; the name is not known here."""
    for record in planted.records:
        if record["kind"] == "fault":
            record["name"] = "net_blackhole"
            record["evidence"]["cuts_llm"] = True
    for item in planted.schedule["items"]:
        item["name"] = "net_blackhole"
    decision = planted.first_fallback()
    for call in decision["llm_calls"]:
        call["outcome"] = "ok"
    del decision["heuristic_fallback"]
    assert judged_by(planted, "heuristic_fallbacks").outcome == "fail"


def test_a_fault_on_something_else_excuses_no_fallback(planted: PlantedRun) -> None:
    for record in planted.records:
        if record["kind"] == "fault":
            record["name"] = "disk_full"
            record["evidence"].pop("cuts_llm", None)
            if record["state"] == "armed":
                record["evidence"]["traits"] = {"group": "disk", "affects_llm": False, "ends": []}
    for item in planted.schedule["items"]:
        item["name"] = "disk_full"
    assert not_passed(judged(planted)) == {
        "heuristic_fallbacks": "fail",
        "recovery_time": "skipped",
    }


def test_window_of_a_fault_that_never_recovered_ends_with_its_own_limit(
    planted: PlantedRun,
) -> None:
    for state in ("recovered", "closed"):
        planted.drop(kind="fault", state=state)
    planted.add_fault(70.0, "f001", "recovery_unproven", {})
    with OpenRun(planted.write()) as run:
        windows = run.sql("select fault_id, until_s from faults order by fault_id")
        assert windows == [("f001", 70.0), ("f002", run.end_s)]
        assert (
            run.one("select count(*) from moments where in_fault and t_s between 70.5 and 74") == 0
        )


@pytest.mark.parametrize("state", ["effect_proven", "recovered", "closed", "injected"])
def test_a_fault_without_proof_is_unverified(planted: PlantedRun, state: str) -> None:
    """Effect, recovery, and the closed undo record: each is asked for, for every fault."""
    planted.config["criteria"] = {"halt": {}}
    planted.drop(kind="fault", fault_id="f002", state=state)
    if state == "injected":
        planted.drop(kind="fault", fault_id="f002", state="effect_proven")
    verdict = judged(planted)
    assert not_passed(verdict) == {"fault_effect": "unverified"}
    assert verdict.exit_code == 3


def test_a_fault_that_could_strike_nothing_of_the_daemon_is_unverified(
    planted: PlantedRun,
) -> None:
    planted.config["criteria"] = {"halt": {}}
    for record in planted.records:
        if (record.get("fault_id"), record.get("state")) == ("f002", "recovered"):
            record["evidence"] = {"not_struck": "2 answers were due"}
    verdict = judged(planted)
    assert not_passed(verdict) == {"fault_effect": "unverified"}
    assert "2 answers were due" in finding(verdict, "fault_effect").evidence[0].text


def test_a_run_in_which_no_scheduled_fault_acted_is_never_a_pass(planted: PlantedRun) -> None:
    """Also when none of them is even in the history."""
    planted.drop(kind="fault")
    planted.config["criteria"] = {"halt": {}}
    verdict = judged(planted)
    assert verdict.verdict == "unverified"
    assert [fault.state for fault in verdict.faults] == ["never reached", "never reached"]


def test_one_unavailable_fault_among_proven_ones_is_skipped(planted: PlantedRun) -> None:
    planted.schedule["items"].append({"fault_id": "f003", "name": "gpu_taken"})
    record = {"kind": "fault", "t_s": 91.0, "fault_id": "f003", "name": "gpu_taken"}
    evidence = {"reason": "no GPU here"}
    planted.records.append(
        record | {"state": "unavailable", "scheduled_s": 91.0, "evidence": evidence}
    )
    verdict = judged(planted)
    assert not_passed(verdict) == {"fault_effect": "skipped"}
    assert verdict.verdict == "pass"
    assert "no GPU here" in finding(verdict, "fault_effect").evidence[0].text


def test_only_unavailable_faults_are_not_a_pass(planted: PlantedRun) -> None:
    planted.drop(kind="fault")
    planted.config["criteria"] = {"halt": {}}
    for fault_id in ("f001", "f002"):
        planted.add_fault(40.0, fault_id, "unavailable", {"reason": "no proxy"})
    assert judged(planted).verdict == "unverified"


def test_too_little_time_after_the_last_fault_is_inconclusive(planted: PlantedRun) -> None:
    """No answer yet, but the run was over before the limit was."""
    planted.config["criteria"] = {"recovery_time": {"limit_s": 200}}
    planted.decisions = [d for d in planted.decisions if d["started_at"] < iso(75.0)]
    verdict = judged(planted)
    assert finding(verdict, "recovery_time").outcome == "inconclusive"


def test_a_watcher_without_work_cannot_be_seen_to_recover(planted: PlantedRun) -> None:
    planted.config["criteria"] = {"recovery_time": {"limit_s": 20}}
    planted.decisions = [d for d in planted.decisions if d["started_at"] < iso(75.0)]
    planted.drop(kind="op")
    for diagnosis in planted.diagnostics.values():
        diagnosis["requests"] = []
    assert judged_by(planted, "recovery_time").outcome == "inconclusive"


def test_a_probe_left_unanswered_is_work(planted: PlantedRun) -> None:
    """Asked after the recovery, never decided: the connection is lost for good."""
    planted.config["criteria"] = {"recovery_time": {"limit_s": 20}}
    planted.decisions = [d for d in planted.decisions if d["started_at"] < iso(75.0)]
    assert judged_by(planted, "recovery_time").outcome == "fail"
