"""What the checks say of a Watcher and an injector that faults end, pause or double."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.checks.generators import first_draws
from chaos.checks.verdict import Verdict
from tests.checks.history_builder import (
    BOOTSTRAP,
    PlantedRun,
    finding,
    iso,
    judged,
    not_passed,
)

DOWN_S, BACK_S = 95.0, 105.0
PROOF = {"exit_code": -9}


@pytest.fixture
def planted(tmp_path: Path) -> PlantedRun:
    """A healthy run without faults, to be given some."""
    return PlantedRun(tmp_path / "run", cuts=())


def wrong_in(verdict: Verdict) -> dict[str, str]:
    """Everything but passes and what there was nothing of to judge."""
    return {check: said for check, said in not_passed(verdict).items() if said != "skipped"}


def add(
    planted: PlantedRun,
    name: str,
    *,
    ends: tuple[str, ...] = (),
    effect: dict[str, Any] | None = None,
    undo: dict[str, Any] | None = None,
    after: tuple[str, dict[str, Any]] = ("recovered", {}),
    fault_id: str = "f101",
) -> None:
    """One fault from `DOWN_S` to `BACK_S`."""
    planted.schedule["items"].append({"fault_id": fault_id, "name": name})
    traits = {"group": "process", "affects_llm": False, "ends": list(ends)}
    steps: list[tuple[float, str, dict[str, Any]]] = [
        (DOWN_S - 1.0, "armed", {"undo": undo or {}, "traits": traits}),
        (DOWN_S, "injected", {}),
        (DOWN_S + 1.1, "effect_proven", effect or PROOF),
        (BACK_S - 0.5, "recovering", {}),
        (BACK_S, *after),
    ]
    if after[0] == "recovered":
        steps.append((BACK_S + 0.01, "closed", {"why": "recovery proven"}))
    for t_s, state, evidence in steps:
        planted.add_fault(t_s, fault_id, state, evidence)
        planted.records[-1]["name"] = name


def test_a_death_that_the_fault_intends_is_no_failure_and_is_said(planted: PlantedRun) -> None:
    add(planted, "watcher_killed", ends=("watcher",))
    planted.add_event(DOWN_S + 0.1, "watcher_exit", owner="product", exit_code=-9)
    verdict = judged(planted)
    assert wrong_in(verdict) == {}
    assert "1 fault ended it on purpose" in finding(verdict, "watcher_alive").summary


@pytest.mark.parametrize("t_s", [DOWN_S - 5.0, BACK_S + 5.0])
def test_a_death_beside_the_fault_is_a_failure(planted: PlantedRun, t_s: float) -> None:
    add(planted, "watcher_killed", ends=("watcher",))
    planted.add_event(t_s, "watcher_exit", owner="product", exit_code=1)
    assert wrong_in(judged(planted)) == {"watcher_alive": "fail"}


@pytest.mark.parametrize("state", ["recovered", "recovery_unproven"])
def test_an_end_at_an_injected_error_must_name_it(planted: PlantedRun, state: str) -> None:
    end = {"exit_code": 1, "said": "", "last_words": "claimed a.json"}
    add(planted, "syscall_error", ends=("watcher",), effect={}, after=(state, end))
    found = finding(judged(planted), "watcher_alive")
    assert found.outcome == "fail"
    assert found.summary.startswith("it ended at an error without naming it 1 time")
    assert "exit code 1 and named no error; its last line: claimed a.json" in found.evidence[0].text


@pytest.mark.parametrize("end", [{"exit_code": 1, "said": "cannot go on: [Errno 5]"}, {}])
def test_an_end_that_names_the_error_and_none_at_all_are_no_failures(
    planted: PlantedRun, end: dict[str, Any]
) -> None:
    add(planted, "syscall_error", ends=("watcher",), effect={}, after=("recovered", end))
    assert finding(judged(planted), "watcher_alive").outcome == "pass"


def test_a_death_under_a_fault_that_does_not_end_it_is_a_failure(planted: PlantedRun) -> None:
    add(planted, "watcher_paused")
    planted.add_event(DOWN_S + 2.0, "watcher_exit", owner="product", exit_code=1)
    assert wrong_in(judged(planted)) == {"watcher_alive": "fail"}


@pytest.mark.parametrize(("clean", "wrong"), [(True, {}), (False, {"watcher_alive": "fail"})])
def test_a_watcher_that_does_not_stop_as_asked_fails(
    planted: PlantedRun, clean: bool, wrong: dict[str, str]
) -> None:
    stop = {"took_s": 30.0, "limit_s": 30.0, "exit_code": -9, "clean": clean}
    add(planted, "watcher_restarted", ends=("watcher",), effect={"stop": stop})
    assert wrong_in(judged(planted)) == wrong


def test_a_watcher_that_does_not_come_back_fails(planted: PlantedRun) -> None:
    lost = ("recovery_unproven", {"did_not_return": "watcher ended with exit code 7 at its start"})
    add(planted, "watcher_killed", ends=("watcher",), after=lost)
    verdict = judged(planted)
    assert not_passed(verdict)["watcher_alive"] == "fail"
    assert "exit code 7" in finding(verdict, "watcher_alive").evidence[0].text


# -- a second Watcher -----------------------------------------------------------------------------

REFUSED = {
    "refused": True,
    "exit_code": 4,
    "message": "another one works here",
    "first_lives": True,
    "owner": 20,
}
GOES_ON = ("recovered", {"same": True})


def test_a_second_watcher_that_refuses_passes(planted: PlantedRun) -> None:
    add(planted, "watcher_second", effect=REFUSED, undo={"owner": 20}, after=GOES_ON)
    verdict = judged(planted)
    assert wrong_in(verdict) == {}
    evidence = finding(verdict, "single_watcher").evidence
    assert "exit code 4 (another one works here)" in evidence[0].text


@pytest.mark.parametrize(
    "change",
    [
        {"refused": False, "exit_code": None, "message": ""},
        {"refused": False, "exit_code": 0},
        {"first_lives": False},
        {"owner": 99},
    ],
)
def test_a_second_watcher_that_does_harm_fails(planted: PlantedRun, change: dict[str, Any]) -> None:
    add(planted, "watcher_second", effect=REFUSED | change, undo={"owner": 20}, after=GOES_ON)
    assert wrong_in(judged(planted)) == {"single_watcher": "fail"}


def test_refused_writes_are_no_second_watcher(planted: PlantedRun) -> None:
    add(planted, "disk_full", effect={"refused": 2})
    assert "single_watcher" not in {f.check for f in judged(planted).findings}


def test_without_a_second_watcher_there_is_nothing_to_say(planted: PlantedRun) -> None:
    assert "single_watcher" not in {f.check for f in judged(planted).findings}


# -- draws ----------------------------------------------------------------------------------------


def lose_draws(planted: PlantedRun, count: int) -> None:
    """As if so many had never been made; the generator goes on where it was."""
    left = len(planted.draws) - count
    planted.draws = planted.draws[:left]
    for index in range(left - BOOTSTRAP, left - BOOTSTRAP + count):
        planted.diagnostics.pop(f"diag_{BOOTSTRAP + index:06d}.json")
    assert [d["value"] for d in planted.draws] == first_draws(12345, 1000, left)


def only_draws(planted: PlantedRun) -> None:
    """Judge nothing that asks for the requests of the draws that are left out."""
    planted.config["criteria"] = {"draws_ingested": {"tolerance": 2}, "draws_expected": {}}


@pytest.mark.parametrize(("lost", "wrong"), [(4, {}), (8, {"draws_ingested": "fail"})])
def test_a_dead_injector_makes_no_draws(
    planted: PlantedRun, lost: int, wrong: dict[str, str]
) -> None:
    """Dead for 10 s at one draw per 3 s: three to four fewer are due, eight are too many."""
    back = ("recovered", {"down_s": 9.5})
    add(planted, "injector_killed", ends=("injector",), after=back)
    lose_draws(planted, lost)
    only_draws(planted)
    verdict = judged(planted)
    assert wrong_in(verdict) == wrong
    assert "faults ended the injector 1 time" in finding(verdict, "draws_ingested").summary


def test_draws_made_by_a_dead_injector_are_too_many(planted: PlantedRun) -> None:
    add(planted, "injector_killed", ends=("injector",), after=("recovered", {"down_s": 20.0}))
    only_draws(planted)
    assert wrong_in(judged(planted)) == {"draws_ingested": "fail"}


def test_an_injector_that_never_came_back_makes_none_until_the_end(planted: PlantedRun) -> None:
    gone = ("recovery_unproven", {"did_not_return": "it ended"})
    add(planted, "injector_killed", ends=("injector",), after=gone)
    only_draws(planted)
    assert not_passed(judged(planted))["draws_ingested"] == "fail"


@pytest.mark.parametrize(("lost", "wrong"), [(0, {}), (4, {}), (7, {"draws_ingested": "fail"})])
def test_a_paused_injector_may_make_up_for_draws_or_give_them_up(
    planted: PlantedRun, lost: int, wrong: dict[str, str]
) -> None:
    add(planted, "injector_paused", undo={"service": "injector"})
    lose_draws(planted, lost)
    only_draws(planted)
    assert wrong_in(judged(planted)) == wrong


# -- recovery -------------------------------------------------------------------------------------


def test_a_watcher_that_came_back_must_use_the_llm_again(planted: PlantedRun) -> None:
    """A crash in mid-dispatch leaves the LLM server stopped: whoever comes back starts it."""
    add(planted, "watcher_killed", ends=("watcher",))
    for decision in planted.decisions:
        for call in decision["llm_calls"]:
            if call["ended_at"] > iso(BACK_S - 0.5):
                call["outcome"] = "failed"
        if any(call["outcome"] == "failed" for call in decision["llm_calls"]):
            decision["heuristic_fallback"] = True
    wrong = not_passed(judged(planted))
    assert wrong == {"recovery_time": "fail", "heuristic_fallbacks": "fail"}


def test_a_stall_is_read_from_the_moment_of_the_break(planted: PlantedRun) -> None:
    """What was finished between the arming and the break does not hide that nothing was then."""
    add(planted, "watcher_paused")
    kept = []
    for decision in planted.decisions:  # nothing is finished while it is paused
        if not iso(DOWN_S) < decision["timestamp"] < iso(BACK_S):
            kept.append(decision)
    planted.decisions = kept
    paths = {"watcher_paused": {"triage": "Stall", "reconnection": "Work resumes"}}
    planted.add_event(27.3, "fault_paths", paths=paths)
    planted.config["criteria"] = {"halt": {"limit_s": 30}}
    assert wrong_in(judged(planted)) == {}
