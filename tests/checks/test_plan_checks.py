"""The checks beyond soak C's own rows: each against a planted defect that trips exactly it, all of
them against one healthy run."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

import pytest

from chaos.record.open_run import OpenRun
from chaos.runner.judge import judge
from tests.checks.history_builder import EPOCH_S, PlantedRun, finding, judged, judged_by, not_passed

POOL = "prediction_pool.json"
TELEMETRY = "telemetry/learning_health_latest.json"
PROBE = "soak_probe"
ALL = {
    "decision_log": {"count": 20},
    "disk_growth": {"limit_mb": 50},
    "fifo": {},
    "file_descriptors": {"tolerance": 5},
    "gpu_memory": {},
    "llm_slots": {"limit_s": 10},
    "log_growth": {},
    "requests_archived": {"count": 20},
    "requests_pending": {},
    "resource_growth": {},
    "routing": {},
    "stall": {},
}
# Each judges what another one judges too; a test of the one leaves the other out.
TWINS = {
    "decision_log": ["exactly_once"],
    "requests_pending": ["request_queue"],
    "requests_archived": ["exactly_once", "request_queue"],
    "stall": ["completed_cycles"],
    "routing": ["policy_candidates", "telemetry", "selfplay_dispatches", "convergence"],
    "gpu_memory": ["llm_lifecycle"],
}
Plant = Callable[[PlantedRun], None]


@pytest.fixture
def everything(planted: PlantedRun) -> PlantedRun:
    """A healthy run of which everything is asked."""
    planted.config["criteria"] |= ALL
    planted.gpu_mb = lambda t_s: 9000.0 if t_s % 4 > 1 else 500.0
    return planted


def test_a_healthy_run_trips_none(everything: PlantedRun) -> None:
    assert not_passed(judged(everything)) == {}


def served_last_in_first_out(run: PlantedRun) -> None:
    """Two waiting requests are taken in the wrong order."""
    first, second = (d for d in run.decisions if d["source"] == PROBE and _during(d, run))
    for key in ("request_file",):
        first[key], second[key] = second[key], first[key]


def _during(decision: dict[str, str], run: PlantedRun) -> bool:
    return decision["request_file"] in ("probe_0001.json", "probe_0003.json")


def trigger_overtaken_by_a_later_one(run: PlantedRun) -> None:
    """A request waits through two later ones of the same kind."""
    ours = [d for d in run.decisions if d["source"] != PROBE]
    early, late = ours[2], ours[4]
    early["request_file"], late["request_file"] = late["request_file"], early["request_file"]


def entries_missing(run: PlantedRun) -> None:
    run.config["criteria"]["decision_log"] = {"count": len(run.decisions) + 1}


def entries_of_a_source_too_many(run: PlantedRun) -> None:
    run.config["criteria"]["decision_log"] = {"count": 3, "source": PROBE}


def log_ends_in_half_a_line(run: PlantedRun) -> None:
    text = "".join(json.dumps(d) + "\n" for d in run.decisions)
    run.files["artefacts/watcher_decisions.jsonl"] = text + '{"decision_id": "d9'


def log_was_cut_in_between(run: PlantedRun) -> None:
    lines = {"decisions.lines": lambda t_s, done: done if t_s < 60 else done - 5}
    run.signals |= lines


def identity_twice(run: PlantedRun) -> None:
    run.decisions[5]["decision_id"] = run.decisions[4]["decision_id"]


def request_never_archived(run: PlantedRun) -> None:
    run.config["criteria"]["requests_archived"] = {"count": len(run.folders["archive"]) + 1}


def request_left_pending(run: PlantedRun) -> None:
    run.folders[""].append("late.json")


def misrouted(run: PlantedRun) -> None:
    """The label of the other dispatch."""
    learned = next(d for d in run.decisions if "learning" in d["request_file"])
    learned["dispatch"] = "dispatch_selfplay"


def archived_without_a_child(run: PlantedRun) -> None:
    run.decisions[3]["effects"] = {}


def child_failed_and_completed_was_written(run: PlantedRun) -> None:
    run.decisions[3]["effects"]["child_exit"] = 1


def no_child_ever_seen(run: PlantedRun) -> None:
    """The log tells of children; the harness never saw one, nor what it left."""
    run.signals["watcher.children"] = lambda t_s, done: 0
    run.signals["watcher.children_faults"] = lambda t_s, done: 17


def candidate_of_another_request(run: PlantedRun) -> None:
    made = [d for d in run.decisions if d["effects"]["artefacts"]]
    made[1]["effects"]["artefacts"] = made[0]["effects"]["artefacts"]


def candidate_is_not_what_was_written(run: PlantedRun) -> None:
    made = next(d for d in run.decisions if d["effects"]["artefacts"])
    made["effects"]["artefacts"] = dict.fromkeys(made["effects"]["artefacts"], "0" * 64)


def nothing_was_learned(run: PlantedRun) -> None:
    """Completed learning loops, and always the same artefacts."""
    for record in (*run.artefacts(POOL), *run.artefacts(TELEMETRY)):
        record["detail"]["sha256"] = "0" * 64


def slots_never_free_again(run: PlantedRun) -> None:
    run.signals["llm.requests_processing"] = lambda t_s, done: 1 if t_s > run.cuts[0][0] else 0


def work_deferred_for_ever(run: PlantedRun) -> None:
    run.signals["llm.requests_deferred"] = lambda t_s, done: 2 if t_s > run.cuts[1][0] else 0


def descriptor_per_request(run: PlantedRun) -> None:
    run.signals["watcher.fds"] = lambda t_s, done: 6 + done


def descriptors_per_hour(run: PlantedRun) -> None:
    run.signals["watcher.fds"] = lambda t_s, done: 6 + int(t_s / 4)


def connections_never_closed(run: PlantedRun) -> None:
    run.signals["watcher.sockets_close_wait"] = lambda t_s, done: done // 2


def children_never_reaped(run: PlantedRun) -> None:
    run.signals["watcher.zombies"] = lambda t_s, done: done


def thread_per_request(run: PlantedRun) -> None:
    run.signals["watcher.threads"] = lambda t_s, done: 1 + done


def temporary_files_stay(run: PlantedRun) -> None:
    run.signals["workspace.temp_files"] = lambda t_s, done: done


def disk_fills(run: PlantedRun) -> None:
    run.signals["disk.workspace_used_bytes"] = lambda t_s, done: 15e6 + 1e6 * t_s


def log_flood(run: PlantedRun) -> None:
    """All within one minute, and in a fault window at that."""
    since_s = run.cuts[0][0] + 2
    run.signals["log.bytes"] = lambda t_s, done: 1000 + min(8e6, max(0, t_s - since_s) * 1e6)


def log_grows(run: PlantedRun) -> None:
    run.config["criteria"]["log_growth"] = {"limit_mb": 1}
    run.signals["log.bytes"] = lambda t_s, done: 20_000 * t_s


def nothing_progresses(run: PlantedRun) -> None:
    run.config["criteria"]["stall"] = {"polls": 5}


def gpu_memory_left_over(run: PlantedRun) -> None:
    run.gpu_mb = lambda t_s: (9000.0 if t_s % 4 > 1 else 500.0) + 3.0 * t_s


@pytest.mark.parametrize(
    ("check", "plant"),
    [
        ("fifo", served_last_in_first_out),
        ("fifo", trigger_overtaken_by_a_later_one),
        ("decision_log", entries_missing),
        ("decision_log", entries_of_a_source_too_many),
        ("decision_log", log_ends_in_half_a_line),
        ("decision_log", log_was_cut_in_between),
        ("decision_log", identity_twice),
        ("requests_archived", request_never_archived),
        ("requests_pending", request_left_pending),
        ("routing", misrouted),
        ("routing", archived_without_a_child),
        ("routing", child_failed_and_completed_was_written),
        ("routing", no_child_ever_seen),
        ("routing", candidate_of_another_request),
        ("routing", candidate_is_not_what_was_written),
        ("routing", nothing_was_learned),
        ("llm_slots", slots_never_free_again),
        ("llm_slots", work_deferred_for_ever),
        ("file_descriptors", descriptor_per_request),
        ("file_descriptors", descriptors_per_hour),
        ("resource_growth", connections_never_closed),
        ("resource_growth", children_never_reaped),
        ("resource_growth", thread_per_request),
        ("resource_growth", temporary_files_stay),
        ("disk_growth", disk_fills),
        ("log_growth", log_flood),
        ("log_growth", log_grows),
        ("stall", nothing_progresses),
        ("gpu_memory", gpu_memory_left_over),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_each_defect_trips_exactly_its_check(
    everything: PlantedRun, check: str, plant: Plant
) -> None:
    for twin in TWINS.get(check, []):
        everything.config["criteria"].pop(twin, None)
    plant(everything)
    verdict = judged(everything)
    assert not_passed(verdict) == {check: "fail"}
    found = finding(verdict, check)
    assert found.owner == "product" and found.evidence and found.evidence_count


def test_a_server_that_was_replaced_holds_nothing_of_the_old_one(everything: PlantedRun) -> None:
    """The gauges show the new server's own work; the process says that it is a new one."""
    slots_never_free_again(everything)
    healed_s = everything.cuts[-1][1]
    everything.signals["llm.pid"] = lambda t_s, done: 100 + int(max(0.0, t_s - healed_s) / 4)
    everything.config["criteria"] = {"llm_slots": {"limit_s": 10}}
    first = judged_by(everything, "llm_slots")
    assert "holds nothing of it" in " ".join(item.text for item in first.evidence)
    everything.signals["llm.pid"] = lambda t_s, done: 100
    assert judged_by(everything, "llm_slots").outcome == "fail"


def test_evidence_points_to_lines_that_show_it(everything: PlantedRun) -> None:
    """A reader follows the reference and sees the decision that was named."""
    archived_without_a_child(everything)
    found = judged_by(everything, "routing")
    path, _, line = found.evidence[0].ref.rpartition(":")
    shown = (everything.run.path / path).read_text().splitlines()[int(line) - 1]
    assert json.loads(shown)["request_file"] in found.evidence[0].text


def test_requests_that_arrived_together_may_be_served_in_any_order(
    everything: PlantedRun,
) -> None:
    """Two requests of one draw; a probe within the tie of a draw."""
    same = everything.diagnostics["diag_005000.json"]["timestamp"]
    everything.diagnostics["diag_005002.json"]["timestamp"] = same
    ours = [d for d in everything.decisions if d["source"] != PROBE]
    a, b = ours[0], ours[1]
    a["request_file"], b["request_file"] = b["request_file"], a["request_file"]
    everything.config["criteria"] = {"fifo": {}}
    assert not_passed(judged(everything)) == {}


@pytest.mark.parametrize(("order", "outcome"), [("arrival", "fail"), ("", "pass")])
def test_order_by_name_is_as_good_where_no_order_is_promised(
    everything: PlantedRun, order: str, outcome: str
) -> None:
    """The one with the lower name came later and was taken first."""
    everything.config["target"]["work"]["order"] = order
    first, second = (everything.diagnostics[f"diag_{n}.json"] for n in ("005004", "005006"))
    first["timestamp"], second["timestamp"] = second["timestamp"], first["timestamp"]
    assert judged_by(everything, "fifo").outcome == outcome


def test_last_in_first_out_is_no_order_by_name(everything: PlantedRun) -> None:
    del everything.config["target"]["work"]["order"]
    served_last_in_first_out(everything)
    assert judged_by(everything, "fifo").outcome == "fail"


def test_slow_daemon_owes_as_many_cycles_as_it_has_time_for(everything: PlantedRun) -> None:
    everything.decisions = everything.decisions[:2]
    assert judged_by(everything, "completed_cycles").outcome == "fail"
    everything.config["target"]["poll_interval_s"] = 30
    assert judged_by(everything, "completed_cycles").outcome == "pass"


def test_stall_lasts_longer_than_a_piece_of_work_may(everything: PlantedRun) -> None:
    everything.config["criteria"]["stall"] = {"limit_s": 1}
    everything.config["target"]["llm"]["call_limit_s"] = ""
    assert judged_by(everything, "stall").outcome == "fail"
    everything.config["target"]["llm"]["call_limit_s"] = "600"
    assert judged_by(everything, "stall").outcome == "pass"


def test_a_step_in_descriptors_that_stands_is_not_called_a_leak(everything: PlantedRun) -> None:
    """More than the tolerance, and no growth: too little to say."""
    everything.signals["watcher.fds"] = lambda t_s, done: 6 if t_s < 70 else 14
    everything.config["criteria"] = {"file_descriptors": {"tolerance": 5}}
    assert not_passed(judged(everything)) == {"file_descriptors": "inconclusive"}


def test_growth_inside_a_fault_window_is_masked(everything: PlantedRun) -> None:
    """Retries hold connections while the LLM is cut; that they go afterwards is what counts."""
    cuts = everything.cuts

    def held(t_s: float, done: int) -> float:
        return 6 + next((3 * (t_s - a) for a, b in cuts if a <= t_s <= b), 0.0)

    everything.signals["watcher.fds"] = held
    assert not_passed(judged(everything)) == {}


def test_a_disk_that_a_fault_filled_is_masked(everything: PlantedRun) -> None:
    everything.signals["disk.workspace_used_bytes"] = lambda t_s, done: (
        2e8 if any(a <= t_s <= b for a, b in everything.cuts) else 15e6
    )
    assert not_passed(judged(everything)) == {}


def test_signals_that_were_never_sampled_are_inconclusive_or_skipped(
    everything: PlantedRun,
) -> None:
    everything.signals = {}
    everything.gpu_mb = None
    assert not_passed(judged(everything)) == {
        "file_descriptors": "inconclusive",
        "disk_growth": "inconclusive",
        "gpu_memory": "skipped",
        "llm_slots": "inconclusive",
        "log_growth": "inconclusive",
        "convergence": "inconclusive",
    }


def test_a_short_record_is_too_little_evidence_for_growth(everything: PlantedRun) -> None:
    """Fewer than ten usable blocks."""
    descriptor_per_request(everything)
    everything.config["criteria"] = {"file_descriptors": {"tolerance": 5}}
    everything.records = [r for r in everything.records if r["kind"] != "sample"]
    original = everything._samples
    everything._samples = lambda: original()[::40]  # type: ignore[method-assign]
    assert judged_by(everything, "file_descriptors").outcome == "inconclusive"


def test_a_run_cut_short_proves_no_shortfall(everything: PlantedRun) -> None:
    """Nine of ten archived in a run that was interrupted is no failure."""
    request_never_archived(everything)
    everything.event("stopped")["detail"]["reason"] = "interrupt"
    everything.config["criteria"] = {"requests_archived": {"count": 99}}
    assert judged_by(everything, "requests_archived").outcome == "inconclusive"


def test_rejudging_gives_the_same_bytes_with_many_repetitions(everything: PlantedRun) -> None:
    """Columns hold hashes that differ from process to process; findings must not."""
    for decision in everything.decisions[3:12]:
        decision["decision_id"] = "d000001"
    run = everything.write()
    judge(run)
    first = run.verdict.read_bytes()
    judge(run)
    assert run.verdict.read_bytes() == first
    assert finding(judge(run), "decision_log").evidence_count == 9
    assert "d000001 again (line 1)" in finding(judge(run), "decision_log").evidence[0].text


def test_odd_lines_of_the_log_are_read_like_usual_ones(everything: PlantedRun) -> None:
    """Stamps without a zone, numbers for names, nulls: what the quick decoder refuses."""
    entries = json.loads(json.dumps(everything.decisions))
    entries[2]["started_at"] = entries[2]["started_at"][:-6]
    entries[3]["llm_calls"].append("not a call")
    entries[4]["timestamp"] = "never"
    entries[5]["started_at"] = EPOCH_S + 40.25
    entries[6]["source"] = "größer"
    lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    everything.files["artefacts/watcher_decisions.jsonl"] = "\n" + lines
    everything.config["criteria"] = {}
    run = everything.write()
    with OpenRun(run) as opened:
        rows = opened.sql(
            "select line, start_s, end_s, calls, completed, fallback, source from decisions "
            "order by line"
        )
    assert [row[0] for row in rows] == list(range(2, len(everything.decisions) + 2))
    assert all(row[4] for row in rows)
    assert rows[2][1] == pytest.approx(_seconds(everything.decisions[2]["started_at"]))
    assert rows[3][3] == len(everything.decisions[3]["llm_calls"])
    assert rows[4][2] is None and rows[5][1] == pytest.approx(40.25)
    assert rows[6][6] == "größer"
    marked = [bool(one.get("heuristic_fallback")) for one in everything.decisions]
    assert [row[5] for row in rows] == marked


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp() - EPOCH_S
