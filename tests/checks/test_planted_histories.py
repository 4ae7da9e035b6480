"""Every check against a planted bad history that trips exactly it, and a healthy one that trips
none. The defects are those of `PlantedRun`'s time line, changed in one place each."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.checks.history_builder import (
    DRAW_INTERVAL_S,
    EPOCH_S,
    PlantedRun,
    finding,
    iso,
    judged,
    judged_by,
    not_passed,
)

LEARNING = "telemetry/learning_health_latest.json"
POOL = "prediction_pool.json"
SERVED = "0.01 I slot print_timing: id  1 | task 0 |       total time =   33.43 ms /  2 tokens\n"
Plant = Callable[[PlantedRun], None]


def few_cycles(run: PlantedRun) -> None:
    run.config["criteria"]["completed_cycles"]["min"] = 500


def failed_dispatches(run: PlantedRun) -> None:
    for decision in run.decisions[4:]:
        decision["status"] = "FAILED"
    run.config["criteria"] = {"completed_cycles": {"min": 5}}


def stands_still_over_waiting_work(run: PlantedRun) -> None:
    run.config["criteria"]["completed_cycles"]["stall_s"] = 1.0


def draws_missing(run: PlantedRun) -> None:
    for _ in range(4):
        run.draws.pop()
        run.diagnostics.popitem()


def draws_at_twice_the_rate(run: PlantedRun) -> None:
    run.event("injector_started")["t_s"] += 12 * DRAW_INTERVAL_S


def draw_never_diagnosed(run: PlantedRun) -> None:
    del run.diagnostics["diag_005007.json"]


def draw_changed(run: PlantedRun) -> None:
    run.draws[5003]["value"] += 1


def draws_swapped(run: PlantedRun) -> None:
    run.draws[5003], run.draws[5004] = run.draws[5004], run.draws[5003]


def draw_history_gone(run: PlantedRun) -> None:
    run.files["artefacts/lottery_history.json"] = '{"draws": ['


def no_selfplay_of_its_own(run: PlantedRun) -> None:
    for decision in run.decisions:
        if decision["source"] != "soak_probe":
            decision["dispatch"] = "dispatch_learning"


def fallback_outside_the_windows(run: PlantedRun) -> None:
    run.first_outside()["llm_calls"][0]["outcome"] = "failed"
    run.first_outside()["heuristic_fallback"] = True


def fallback_not_marked(run: PlantedRun) -> None:
    del run.first_fallback()["heuristic_fallback"]


def answer_while_cut(run: PlantedRun) -> None:
    decision = run.first_fallback()
    for call in decision["llm_calls"]:
        call["outcome"] = "ok"
    del decision["heuristic_fallback"]


def no_llm_call_at_all(run: PlantedRun) -> None:
    run.first_outside()["llm_calls"] = []


def answers_that_the_server_never_gave(run: PlantedRun) -> None:
    """The client is broken, every decision is made up: the server only saw the harness."""
    run.files["logs/llm.log"] = SERVED * 3


def leak_per_request(run: PlantedRun) -> None:
    healthy = run.rss_mb
    run.rss_mb = lambda t_s, done: healthy(t_s, done) + 1.5 * done


def traceback_in_the_log(run: PlantedRun) -> None:
    run.files["logs/watcher.log"] = "ok\nTraceback (most recent call last):\n  File ...\n"


def traceback_in_a_rotated_log(run: PlantedRun) -> None:
    text = "Traceback (most recent call last):\n"
    run.files["artefacts/logs/watcher_agent.2026-01-01.log"] = text


def two_servers(run: PlantedRun) -> None:
    run.llm_events = [e for e in run.llm_events if e["event"] != "gone" or e["generation"] != 3]


def server_crashed(run: PlantedRun) -> None:
    last = run.llm_events[-1]
    run.llm_events.append(last | {"event": "crashed", "time_s": last["time_s"] + 0.1})


def lifecycle_never_wired(run: PlantedRun) -> None:
    run.llm_events = run.llm_events[:1]


def same_server_again(run: PlantedRun) -> None:
    for event in run.llm_events:
        event["pid"] = 77


def server_not_started_again(run: PlantedRun) -> None:
    """The last dispatch leaves the LLM down."""
    last = max(e["generation"] for e in run.llm_events)
    run.llm_events = [e for e in run.llm_events if e["generation"] < last]


def gpu_memory_stays_behind(run: PlantedRun) -> None:
    """A sawtooth of the model's size on a floor that rises."""
    run.gpu_mb = lambda t_s: (9000.0 if t_s % 4 > 1 else 500.0) + 3.0 * t_s


def no_new_candidate(run: PlantedRun) -> None:
    run.event("baseline_files")["detail"]["policy_candidates"] = list(run.candidates)


def candidate_twice(run: PlantedRun) -> None:
    name, content = next(iter(run.candidates.items()))
    run.candidates[f"copy_of_{name}"] = content


def candidate_torn(run: PlantedRun) -> None:
    run.files["artefacts/policy_history/torn.json"] = '{"candidate_id": "x'


def telemetry_stands_still(run: PlantedRun) -> None:
    for record in run.artefacts(LEARNING):
        record["detail"]["content"]["total_models"] = 5


def telemetry_torn(run: PlantedRun) -> None:
    run.artefacts(LEARNING)[3]["detail"].update(content=None, invalid=True)


def telemetry_goes_back(run: PlantedRun) -> None:
    run.artefacts(LEARNING)[4]["detail"]["content"]["total_models"] = 1


def telemetry_never_written_again(run: PlantedRun) -> None:
    first = run.artefacts(LEARNING)[0]
    run.records = [r for r in run.records if r is first or r not in run.artefacts(LEARNING)]


def request_stuck(run: PlantedRun) -> None:
    run.folders[""].append("ch13_005099_selfplay.json")


def request_claimed_for_ever(run: PlantedRun) -> None:
    run.folders["claimed"].append("ch13_005099_selfplay.json")


def request_set_aside(run: PlantedRun) -> None:
    run.folders["quarantine"] += ["odd.json", "odd.json.reason.json"]


def queue_not_drained(run: PlantedRun) -> None:
    run.event("drained")["detail"].update(in_time=False, pending=1)


def decided_twice(run: PlantedRun) -> None:
    run.decisions.append(run.decisions[-1] | {"decision_id": "d999999", "sequence_number": 999})


def decision_id_twice(run: PlantedRun) -> None:
    run.decisions[5]["decision_id"] = run.decisions[4]["decision_id"]


def sequence_number_twice(run: PlantedRun) -> None:
    assert run.decisions[1]["source"] == run.decisions[2]["source"]
    run.decisions[2]["sequence_number"] = run.decisions[1]["sequence_number"]


def archived_without_a_decision(run: PlantedRun) -> None:
    run.folders["archive"].append("unseen.json")


def archived_and_set_aside(run: PlantedRun) -> None:
    run.config["criteria"].pop("request_queue")
    run.folders["quarantine"].append(run.folders["archive"][0])


def decision_log_damaged(run: PlantedRun) -> None:
    lines = [json.dumps(d) for d in run.decisions]
    lines.insert(5, '{"decision_id": "d0')
    run.files["artefacts/watcher_decisions.jsonl"] = "\n".join(lines) + "\n"


def connection_lost_for_ever(run: PlantedRun) -> None:
    """Every decision after the last fault is a (marked) fallback; fallbacks are not asked about,
    since the one defect shows in both."""
    run.config["criteria"].pop("heuristic_fallbacks")
    for decision in run.decisions:
        if decision["started_at"] > iso(run.cuts[-1][0]):
            decision["heuristic_fallback"] = True
            for call in decision["llm_calls"]:
                call["outcome"] = "failed"


def slow_recovery(run: PlantedRun) -> None:
    run.config["criteria"]["recovery_time"]["limit_s"] = 0.5


def pool_never_learns(run: PlantedRun) -> None:
    for record in run.artefacts(POOL):
        for prediction in record["detail"]["content"]["predictions"]:
            prediction["values"] = [1001]


def pool_names_everything(run: PlantedRun) -> None:
    for record in run.artefacts(POOL)[-6:]:
        for prediction in record["detail"]["content"]["predictions"]:
            prediction["values"] = list(range(1000))


def pool_of_known_draws(run: PlantedRun) -> None:
    """Each prediction comes true, because its draw had come before."""
    run.signals["draws.count"] = lambda t_s, done: 1_000_000


def pool_unreadable(run: PlantedRun) -> None:
    run.artefacts(POOL)[2]["detail"].update(content=None, invalid=True)


def halt_ignored(run: PlantedRun) -> None:
    run.event("halted")["detail"].update(took_s=35.0, killed=True, exit_code=None)


def halt_slow(run: PlantedRun) -> None:
    run.event("halted")["detail"].update(took_s=31.0)


def halt_with_an_error(run: PlantedRun) -> None:
    run.event("halted")["detail"].update(exit_code=1)


def watcher_died(run: PlantedRun) -> None:
    run.add_event(100.0, "watcher_exit", owner="product", severity="error", exit_code=-11)


@pytest.mark.parametrize(
    ("check", "plant"),
    [
        ("completed_cycles", few_cycles),
        ("completed_cycles", failed_dispatches),
        ("completed_cycles", stands_still_over_waiting_work),
        ("draws_ingested", draws_missing),
        ("draws_ingested", draws_at_twice_the_rate),
        ("selfplay_dispatches", no_selfplay_of_its_own),
        ("heuristic_fallbacks", fallback_outside_the_windows),
        ("heuristic_fallbacks", fallback_not_marked),
        ("heuristic_fallbacks", answer_while_cut),
        ("heuristic_fallbacks", no_llm_call_at_all),
        ("heuristic_fallbacks", answers_that_the_server_never_gave),
        ("memory_growth", leak_per_request),
        ("errors", traceback_in_the_log),
        ("errors", traceback_in_a_rotated_log),
        ("llm_lifecycle", two_servers),
        ("llm_lifecycle", server_crashed),
        ("llm_lifecycle", lifecycle_never_wired),
        ("llm_lifecycle", same_server_again),
        ("llm_lifecycle", server_not_started_again),
        ("llm_lifecycle", gpu_memory_stays_behind),
        ("policy_candidates", no_new_candidate),
        ("policy_candidates", candidate_twice),
        ("policy_candidates", candidate_torn),
        ("telemetry", telemetry_stands_still),
        ("telemetry", telemetry_torn),
        ("telemetry", telemetry_goes_back),
        ("telemetry", telemetry_never_written_again),
        ("request_queue", request_stuck),
        ("request_queue", request_claimed_for_ever),
        ("request_queue", request_set_aside),
        ("request_queue", queue_not_drained),
        ("draws_expected", draw_changed),
        ("draws_expected", draws_swapped),
        ("exactly_once", decided_twice),
        ("exactly_once", decision_id_twice),
        ("exactly_once", sequence_number_twice),
        ("exactly_once", archived_without_a_decision),
        ("exactly_once", archived_and_set_aside),
        ("exactly_once", decision_log_damaged),
        ("recovery_time", connection_lost_for_ever),
        ("recovery_time", slow_recovery),
        ("convergence", pool_never_learns),
        ("convergence", pool_names_everything),
        ("convergence", pool_of_known_draws),
        ("convergence", pool_unreadable),
        ("halt", halt_ignored),
        ("halt", halt_slow),
        ("halt", halt_with_an_error),
        ("watcher_alive", watcher_died),
    ],
)
def test_a_planted_defect_trips_exactly_its_check(
    planted: PlantedRun, check: str, plant: Plant
) -> None:
    """One defect, one failed criterion with evidence, exit 1."""
    plant(planted)
    verdict = judged(planted)
    # A dispatch that failed is, beside its criterion, work that no fault explains.
    twins = {"work_completed": "fail"} if plant is failed_dispatches else {}
    assert not_passed(verdict) == {check: "fail"} | twins
    assert (verdict.verdict, verdict.exit_code) == ("fail", 1)
    assert finding(verdict, check).owner == "product"


@pytest.mark.parametrize("cuts", [(), ((40.0, 54.0), (75.0, 89.0))])
def test_a_healthy_run_passes_every_check(
    tmp_path_factory: pytest.TempPathFactory, cuts: tuple[tuple[float, float], ...]
) -> None:
    """Nothing is held against a healthy Watcher, under faults or without."""
    verdict = judged(PlantedRun(tmp_path_factory.mktemp("healthy") / "run", cuts=cuts))
    assert set(not_passed(verdict).values()) <= {"skipped"}
    assert (verdict.verdict, verdict.exit_code) == ("pass", 0)


def test_a_lost_request_is_seen_by_the_queue_and_by_exactly_once(planted: PlantedRun) -> None:
    """Emitted by the diagnostics, and nowhere to be found."""
    planted.diagnostics["diag_005001.json"]["requests"].append("ch13_005001_selfplay.json")
    verdict = judged(planted)
    assert not_passed(verdict) == {"request_queue": "fail", "exactly_once": "fail"}
    evidence = finding(verdict, "exactly_once").evidence
    assert evidence[0].ref == "artefacts/diagnostics_history/diag_005001.json"


def test_a_draw_never_diagnosed_is_not_ingested(planted: PlantedRun) -> None:
    """A draw may be in the history and still be lost to the loop."""
    draw_never_diagnosed(planted)
    assert not_passed(judged(planted)) == {"draws_ingested": "fail"}


def test_an_unreadable_draw_history_fails_what_needs_it(planted: PlantedRun) -> None:
    draw_history_gone(planted)
    assert not_passed(judged(planted)) == {"draws_ingested": "fail", "draws_expected": "fail"}


def test_a_probe_of_unknown_outcome_is_not_missed(planted: PlantedRun) -> None:
    """A submit that may or may not have happened obliges the Watcher to nothing."""
    planted._add(60.0, "op", op="submit", id="probe_0099.json", outcome="info", detail={})
    assert not_passed(judged(planted)) == {}


def test_missing_sequence_numbers_are_not_duplicates(planted: PlantedRun) -> None:
    """Two decisions without a number share nothing (a trap of the plan's own shell check)."""
    for decision in planted.decisions:
        del decision["sequence_number"]
    assert not_passed(judged(planted)) == {}


def test_a_torn_decision_log_is_tolerated_and_said(planted: PlantedRun) -> None:
    lines = "".join(json.dumps(d) + "\n" for d in planted.decisions)
    planted.files["artefacts/watcher_decisions.jsonl"] = lines + '{"decision_id": "d0'
    verdict = judged(planted)
    assert not_passed(verdict) == {}
    assert any("half a line" in note for note in verdict.notes)


def test_a_queue_fault_excuses_what_was_set_aside(planted: PlantedRun) -> None:
    """Unreadable requests that a fault put there belong into quarantine: those very files."""
    request_set_aside(planted)
    planted.schedule["items"].append({"fault_id": "q1", "name": "queue_torn"})
    undo = {"planted": {"odd.json": "quarantined"}}
    planted.add_fault(94.0, "q1", "armed", {"undo": undo})
    for t_s, state in ((95.0, "injected"), (96.0, "effect_proven"), (97.0, "recovered")):
        planted.add_fault(t_s, "q1", state, {})
    planted.add_fault(97.1, "q1", "closed", {})
    assert not_passed(judged(planted)) == {}


def test_telemetry_that_was_never_seen_is_not_a_pass(planted: PlantedRun) -> None:
    planted.records = [r for r in planted.records if r not in planted.artefacts(LEARNING)]
    for decision in planted.decisions:
        decision["dispatch"] = "dispatch_selfplay"
    assert not_passed(judged(planted)) == {"telemetry": "inconclusive"}


def test_without_the_supervisors_record_the_lifecycle_is_unverified(planted: PlantedRun) -> None:
    """No record, no claim: neither pass nor fail."""
    verdict = judged(planted)
    (planted.run.artefacts / "logs/llm_events.jsonl").unlink()
    from chaos.runner.judge import judge

    verdict = judge(planted.run)
    assert not_passed(verdict) == {"llm_lifecycle": "unverified"}
    assert verdict.exit_code == 3


def test_a_server_that_will_not_go_is_found(planted: PlantedRun) -> None:
    """The last stop is never followed by the end of the process."""
    planted.config["criteria"] = {"llm_lifecycle": {}}
    end = EPOCH_S + 144.9
    planted.llm_events.append({"time_s": end, "event": "stop", "pid": 999, "generation": 99})
    verdict = judged(planted)
    assert "never gone" in finding(verdict, "llm_lifecycle").evidence[0].text


def test_gpu_memory_that_is_freed_each_time_is_no_growth(planted: PlantedRun) -> None:
    planted.gpu_mb = lambda t_s: 9000.0 if t_s % 4 > 1 else 500.0
    assert not_passed(judged(planted)) == {}


@pytest.mark.parametrize("log", ["", SERVED * 99, "I listening\n"])
def test_a_server_log_that_agrees_or_says_nothing_is_no_objection(
    planted: PlantedRun, log: str
) -> None:
    planted.files["logs/llm.log"] = log
    assert not_passed(judged(planted)) == {}


def test_a_rotated_server_log_cannot_be_counted(planted: PlantedRun) -> None:
    planted.files |= {"logs/llm.log": SERVED, "logs/llm.log.1": SERVED}
    assert not_passed(judged(planted)) == {}


def test_few_pools_are_inconclusive(planted: PlantedRun) -> None:
    kept = planted.artefacts(POOL)[:3]
    planted.records = [r for r in planted.records if r in kept or r not in planted.artefacts(POOL)]
    assert not_passed(judged(planted)) == {"convergence": "inconclusive"}


def test_a_pool_that_is_right_from_the_start_passes(planted: PlantedRun) -> None:
    """Nothing is left to rise."""
    best = planted.artefacts(POOL)[-1]["detail"]["content"]
    for record in planted.artefacts(POOL):
        record["detail"]["content"] = best
    assert not_passed(judged(planted)) == {}


def test_a_watcher_that_restarted_is_judged_over_its_longest_life(planted: PlantedRun) -> None:
    """A new process begins small: the step down must not hide growth, nor count as shrinking."""
    planted.config["criteria"] = {"memory_growth": {"limit_mb": 0.5, "unit": "request"}}
    leak = planted.rss_mb
    planted.rss_mb = lambda t_s, done: leak(t_s, done) + (2.0 * done if t_s > 20 else 200.0)
    original = planted._samples

    def with_restart() -> list[dict[str, object]]:
        samples = original()
        for record in samples:
            record["values"]["watcher.pid"] = 20 if record["t_s"] <= 20 else 21
        return samples

    planted._samples = with_restart  # type: ignore[method-assign]
    found = judged_by(planted, "memory_growth")
    assert found.outcome == "fail"
    assert "restarted 1x" in found.summary
