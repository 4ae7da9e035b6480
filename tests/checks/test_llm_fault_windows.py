"""The LLM's life cycle and the paths taken, read through faults that end or break the server."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from chaos.checks.paths_taken import paths_of
from chaos.record import recovery_paths as paths
from chaos.record.open_run import OpenRun
from tests.checks.history_builder import EPOCH_S, PlantedRun, iso, judged_by

START_S, END_S = 40.0, 54.0  # of the builder's first fault


def becomes(run: PlantedRun, name: str, ends: list[str], **measured: Any) -> str:
    """The first fault is one that ends services; returns its id."""
    fault_id = str(run.schedule["items"][0]["fault_id"])
    run.schedule["items"][0]["name"] = name
    for record in run.records:
        if record["kind"] == "fault" and record["fault_id"] == fault_id:
            record["name"] = name
            if record["state"] == "armed":
                traits = {"group": "llm_process", "affects_llm": True, "ends": ends}
                record["evidence"]["traits"] = traits
            if record["state"] == "effect_proven":
                record["evidence"].update(measured)
    run.config["criteria"] = {"llm_lifecycle": {}}
    return fault_id


def dies(run: PlantedRun, t_s: float) -> int:
    """The server that runs at `t_s` dies then, and a new one comes half a second later."""
    before = [e for e in run.llm_events if e["time_s"] <= EPOCH_S + t_s]
    running = before[-1]
    assert running["event"] in ("start", "ready"), "the builder's server is down then"
    for event in run.llm_events:
        if event["time_s"] > EPOCH_S + t_s:
            event["generation"] += 1
    for event in run.llm_events:  # the stop that comes is that of the new process
        if event["time_s"] > EPOCH_S + t_s and event["pid"] == running["pid"]:
            event["pid"] = 99_999
    crash = {**running, "event": "crashed", "time_s": EPOCH_S + t_s, "exit_code": -9}
    new = {**crash, "event": "start", "pid": 99_999, "time_s": EPOCH_S + t_s + 0.05}
    run.llm_events = [*before, crash, new, *run.llm_events[len(before) :]]
    return int(running["pid"])


def up_s(run: PlantedRun, since_s: float, until_s: float) -> float:
    """A moment in which a server runs for a while."""
    events = sorted(run.llm_events, key=lambda one: one["time_s"])
    for one, later in pairwise(events):
        t_s = max(one["time_s"] - EPOCH_S, since_s) + 0.1
        if one["event"] in ("start", "ready") and t_s + 0.2 < later["time_s"] - EPOCH_S < until_s:
            return t_s
    raise AssertionError("no server ran for long enough")


def test_a_server_that_a_fault_killed_is_not_held_against_the_product(planted: PlantedRun) -> None:
    pid = dies(planted, up_s(planted, START_S, END_S))
    becomes(planted, "llm_killed", ["llm"], killed_pid=pid)
    found = judged_by(planted, "llm_lifecycle")
    assert found.outcome == "pass", found
    assert "1 killed by a fault" in found.summary


@pytest.mark.parametrize("killed_pid", [None, 1])
def test_another_server_that_dies_meanwhile_is(planted: PlantedRun, killed_pid: int | None) -> None:
    """Only the very process that the fault says it killed."""
    dies(planted, up_s(planted, START_S, END_S))
    becomes(planted, "llm_killed", ["llm"], killed_pid=killed_pid)
    found = judged_by(planted, "llm_lifecycle")
    assert found.outcome == "fail"
    assert "died by itself" in found.evidence[0].text


def test_a_server_that_dies_before_the_fault_is_held_against_it(planted: PlantedRun) -> None:
    pid = dies(planted, up_s(planted, 5.0, START_S - 2))
    becomes(planted, "llm_killed", ["llm"], killed_pid=pid)
    assert judged_by(planted, "llm_lifecycle").outcome == "fail"


@pytest.mark.parametrize(("ends", "outcome"), [(["llm"], "pass"), ([], "fail")])
def test_a_dispatch_beside_a_fault_that_ends_the_server_is_not_judged(
    planted: PlantedRun, ends: list[str], outcome: str
) -> None:
    """There the server was down already: no stop is seen within the dispatch."""
    becomes(planted, "llm_killed", ends)
    inside = [d for d in planted.decisions if iso(START_S) < d["started_at"] < iso(END_S)]
    since, until = inside[0]["started_at"], inside[0]["timestamp"]
    planted.llm_events = [
        e for e in planted.llm_events if not since <= iso(e["time_s"] - EPOCH_S) <= until
    ]
    found = judged_by(planted, "llm_lifecycle")
    assert found.outcome == outcome, found
    assert ("not judged" in found.summary) == (outcome == "pass")


@pytest.mark.parametrize(("times", "outcome"), [(0, "pass"), (3, "fail")])
def test_a_second_server_asked_for_during_a_slow_load_is_a_failure(
    planted: PlantedRun, times: int, outcome: str
) -> None:
    becomes(planted, "llm_slow_load", ["llm"], asked_again=times)
    assert judged_by(planted, "llm_lifecycle").outcome == outcome


def answered_in_time(run: PlantedRun, attempts: int) -> None:
    """All calls succeed; those of the first fault's time at attempt `attempts`. No cut."""
    for record in run.records:
        if record["kind"] == "fault" and record["state"] == "effect_proven":
            record["evidence"]["cuts_llm"] = False
    for decision in run.decisions:
        decision.pop("heuristic_fallback", None)
        for call in decision["llm_calls"]:
            inside = iso(START_S) < call["started_at"] < iso(END_S)
            call.update(outcome="ok", attempts=attempts if inside else 1)


@pytest.mark.parametrize(("attempts", "taken"), [(1, False), (2, True)])
def test_a_call_that_had_to_be_repeated_has_met_the_fault(
    planted: PlantedRun, attempts: int, taken: bool
) -> None:
    fault_id = becomes(planted, "llm_killed", ["llm"])
    answered_in_time(planted, attempts)
    listed = {"llm_killed": {"triage": paths.LLM_DROP, "reconnection": paths.NO_PATH}}
    event = {"kind": "event", "t_s": 1.0, "name": "fault_paths", "severity": "info"}
    planted.records.append({**event, "owner": "harness", "detail": {"paths": listed}})
    planted.write()
    [found] = [one for one in paths_of(OpenRun(planted.run)) if one.fault_id == fault_id]
    assert found.taken is taken
    assert ("attempt 2" in found.evidence.text) is taken


def test_a_break_that_takes_its_time_may_act_all_the_while(planted: PlantedRun) -> None:
    """A kind that waits for a server at work returns late, and has acted before."""
    planted.write()
    plain = OpenRun(planted.run).faults[0].earliest_s
    for record in planted.records:
        if record["kind"] == "fault" and record["state"] == "armed":
            record["t_s"] -= 5.0
        if record["kind"] == "fault" and record["state"] == "injected":
            record["evidence"]["took_ms"] = 3000.0
    planted.write()
    slow = OpenRun(planted.run).faults[0].earliest_s
    assert plain is not None and slow is not None
    assert plain - slow == pytest.approx(3.0, abs=1.1)


def test_an_answer_stamped_in_whole_seconds_came_perhaps_after_the_cut(
    planted: PlantedRun,
) -> None:
    """The second fault is undone at 88.8 s: an answer of 88.95 s is stamped 88 s."""
    decision = [d for d in planted.decisions if d.get("heuristic_fallback")][-1]
    del decision["heuristic_fallback"]
    decision["llm_calls"] = [
        {**call, "started_at": iso(88.85), "ended_at": iso(88.95), "outcome": "ok"}
        for call in decision["llm_calls"]
    ]
    for one in planted.decisions:
        for stamped in (one, *one["llm_calls"]):
            for key in stamped.keys() & {"started_at", "ended_at", "timestamp"}:
                stamped[key] = stamped[key][:19] + "+00:00"
    assert judged_by(planted, "heuristic_fallbacks").outcome == "pass"
