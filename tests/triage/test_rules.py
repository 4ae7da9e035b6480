"""Each planted defect leads to its cause and to no other; too little or contradictory evidence
leads to `unknown`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.checks.finding import Finding
from chaos.record.open_run import OpenRun
from chaos.runner.judge import judge, verdict_of
from chaos.triage import steps
from chaos.triage.direct_rules import DIRECT, SYMPTOMS
from chaos.triage.from_run import facts_of, triage_run
from chaos.triage.result import TITLES, Triage
from chaos.triage.text import markdown, plain
from tests.checks.history_builder import FAULTS, HALT_S, PlantedRun, _t_s, iso
from tests.checks.wire_builder import Wire
from tests.checks.witness_builder import Witnessed

Plant = Callable[[PlantedRun], None]
WATCHER_LOG = "artefacts/logs/watcher_agent.log"


def triaged(run: PlantedRun) -> Triage:
    view = OpenRun(run.write())
    return triage_run(view, verdict_of(view))


def causes(found: Triage) -> list[str]:
    return [cause.name for cause in found.causes]


def without_answer(run: PlantedRun) -> None:
    """Every call fails after the first fault, although the LLM has recovered."""
    for decision in run.decisions[-8:]:
        decision["heuristic_fallback"] = True
        for call in decision["llm_calls"]:
            call |= {"outcome": "failed", "attempts": 0}


def leak(run: PlantedRun) -> None:
    healthy = run.rss_mb
    run.rss_mb = lambda t_s, done: healthy(t_s, done) + 2.0 * done


def corrupt_and_stuck(run: PlantedRun) -> None:
    run.files["artefacts/watcher_requests/torn.json"] = '{"request_type": "selfpl'
    run.event("drained")["detail"] |= {"pending": 1, "took_s": 45.0, "in_time": False}


def gpu_kept(run: PlantedRun) -> None:
    run.gpu_mb = lambda t_s: 500.0 + 12.0 * t_s


def disk_full(run: PlantedRun) -> None:
    for t_s in (100.0, 101.0):
        values = {"disk.workspace_used_bytes": 268_000_000, "watcher.pid": 20}
        run.records.append({"kind": "sample", "t_s": t_s, "values": values})
    run.files[WATCHER_LOG] = (
        "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device\n"
    )


def watcher_killed(run: PlantedRun) -> None:
    run.cut_off(100.0)
    run.collected = True
    run.decisions = [d for d in run.decisions if d["timestamp"] < iso(100.0)]
    run.add_event(100.1, "watcher_exit", owner="product", severity="error", exit_code=-9)
    run.add_event(100.2, "stopped", reason="error", message="the Watcher ended by itself")
    run.add_event(100.3, "cleanup", complete=True, left=[])
    run.files[WATCHER_LOG] = "INFO ready\nMemoryError: <b>|`x`\n"


def stalled(run: PlantedRun) -> None:
    run.files["artefacts/watcher_requests/waits.json"] = '{"request_type": "selfplay"}'
    run.event("drained")["detail"] |= {"pending": 1, "took_s": 45.0, "in_time": False}


def proxy_died(run: PlantedRun) -> None:
    run.add_event(
        90.0, "service_exit", owner="infrastructure", severity="error", service="proxy", exit_code=1
    )


def twice(run: PlantedRun) -> None:
    """A request is worked twice."""
    again = dict(run.decisions[-1], decision_id="d999999")
    run.decisions.append(again)


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (without_answer, ["llm_connection_drop"]),
        (leak, ["memory_leak"]),
        (corrupt_and_stuck, ["queue_corruption"]),
        (gpu_kept, ["vram_not_freed"]),
        (disk_full, ["disk_exhaustion"]),
        (watcher_killed, ["process_died"]),
        (stalled, ["stall"]),
        (proxy_died, ["harness_or_infrastructure"]),
        (twice, ["duplicate_work"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_planted_defect_leads_to_its_cause_and_to_no_other(
    plant: Plant, expected: list[str], planted: PlantedRun
) -> None:
    plant(planted)
    found = triaged(planted)
    assert causes(found) == expected, plain(found)
    assert all(cause.evidence for cause in found.causes)
    names = {one.name for one in [*found.causes, *found.ruled_out, *found.undecided]}
    silent = {one.name for one in (*DIRECT, *SYMPTOMS)} | {
        "unknown"
    }  # where the check was not judged
    assert names >= set(TITLES) - silent, "each cause is found, ruled out or open"


def test_a_healthy_run_has_nothing_to_explain_and_shows_its_paths(planted: PlantedRun) -> None:
    found = triaged(planted)
    assert found.causes == [] and "nothing failed" in found.sentence
    assert [(p.fault_id, p.role, p.taken) for p in found.paths] == [
        ("f001", "triage", True),
        ("f001", "reconnection", True),
        ("f002", "triage", True),
        ("f002", "reconnection", True),
    ]


def test_a_memory_leak_names_the_top_allocators_of_the_last_inspection_with_any(
    planted: PlantedRun,
) -> None:
    leak(planted)
    report = {
        "examined": 90000,
        "complete": True,
        "types": [{"type": "bytes", "bytes": 82_400_000, "count": 41}],
        "largest": [{"type": "bytes", "bytes": 2_000_033}],
        "lines": [{"line": "held.py:7", "bytes": 82_000_000, "count": 41}],
    }
    planted.add_event(100.0, "inspection", why="a stall", memory=report)
    planted.add_event(101.0, "inspection", why="the end", memory={"absent": "no answer"})
    [cause] = triaged(planted).causes
    texts = [item.text for item in cause.evidence]
    assert texts[-3:] == [
        "top allocators by type: bytes 82.4 MB in 41",
        "largest single objects: bytes 2.0 MB",
        "top allocators by line: held.py:7 82.0 MB in 41",
    ]
    assert cause.evidence[-1].ref.startswith("history.jsonl:") and len(texts) > 3


def test_a_leak_says_why_there_are_no_top_allocators(planted: PlantedRun) -> None:
    leak(planted)
    planted.add_event(101.0, "inspection", why="the end", memory={"absent": "no answer"})
    [cause] = triaged(planted).causes
    assert cause.evidence[-1].text == "top allocators cannot be had: no answer"


def test_two_defects_are_two_causes(planted: PlantedRun) -> None:
    leak(planted)
    corrupt_and_stuck(planted)
    assert causes(triaged(planted)) == ["queue_corruption", "memory_leak"]


def test_fallbacks_against_answered_calls_contradict_each_other(planted: PlantedRun) -> None:
    """Marked as fallbacks while the record of every call says that it was answered."""
    planted.first_outside()["heuristic_fallback"] = True
    found = triaged(planted)
    assert causes(found) == ["unknown"]
    [drop] = [one for one in found.undecided if one.name == "llm_connection_drop"]
    assert "yet each of their calls was answered" in drop.why
    assert drop.would_decide in found.causes[0].summary


def test_no_space_in_the_log_on_an_empty_volume_stays_open(planted: PlantedRun) -> None:
    values = {"disk.workspace_used_bytes": 10_000_000}
    planted.records.append({"kind": "sample", "t_s": 99.0, "values": values})
    planted.files[WATCHER_LOG] = (
        "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device\n"
    )
    found = triaged(planted)
    assert causes(found) == ["unknown"]
    [disk] = [one for one in found.undecided if one.name == "disk_exhaustion"]
    assert "which volume" in disk.would_decide


def test_an_exit_after_which_the_same_process_was_sampled_is_no_death(planted: PlantedRun) -> None:
    planted.add_event(100.0, "watcher_exit", owner="product", severity="error", exit_code=1)
    found = triaged(planted)
    assert "process_died" not in causes(found)
    assert [one.name for one in found.undecided if one.name == "process_died"]


def test_too_little_memory_evidence_is_open_not_ruled_out(planted: PlantedRun) -> None:
    planted.cut_off(12.0)
    found = triaged(planted)
    assert "memory_leak" in {one.name for one in found.undecided}
    assert "memory_leak" not in {one.name for one in found.ruled_out}


def test_a_failed_check_of_the_harness_is_not_held_against_the_product(
    planted: PlantedRun,
) -> None:
    view = OpenRun(planted.write())
    lost = Finding(outcome="fail", owner="harness", summary="gone", check="record_complete")
    facts = facts_of(view, [lost])
    assert facts.failed == () and facts.trouble == (lost,)


@pytest.mark.parametrize(
    "plant",
    [without_answer, leak, corrupt_and_stuck, gpu_kept, disk_full, watcher_killed, stalled, twice],
)
def test_next_steps_can_be_pasted_and_name_files_that_exist(
    plant: Plant, planted: PlantedRun
) -> None:
    plant(planted)
    found = triaged(planted)
    steps = [step for cause in found.causes for step in cause.steps]
    assert steps
    named = 0
    for step in steps:
        words = shlex.split(step.command)
        assert words and "\n" not in step.command
        for word in words:
            if word.startswith(str(planted.run.path.parent)):
                assert Path(word).exists(), step.command
                named += 1
    assert named


def test_the_report_has_the_triage_section_and_is_reproducible(
    planted: PlantedRun,
) -> None:
    corrupt_and_stuck(planted)
    run = planted.write()
    judge(run)
    first = run.report.read_text(encoding="utf-8")
    assert "## Triage" in first and "### Queue corruption (owner: product)" in first
    judge(run)
    assert run.report.read_text(encoding="utf-8") == first


def test_log_text_is_escaped_in_markdown(planted: PlantedRun) -> None:
    watcher_killed(planted)
    text = markdown(triaged(planted))
    outside = re.sub(r"(?ms)^```.*?^```$", "", text)
    assert "MemoryError: \\<b\\>\\|\\`x\\`" in outside and "<b>" not in outside


def test_an_inspection_during_the_run_is_shown(planted: PlantedRun) -> None:
    """The triage of a stored run shows its inspections."""
    corrupt_and_stuck(planted)
    process = {"pid": 20, "role": "watcher", "state": "S (sleeping)", "threads": 3,
               "descriptors": {"file": 4, "socket": 2}, "sockets": {"CLOSE_WAIT": 2},
               "rss_anon_bytes": 40_000_000, "descriptor_limit": 1024}  # fmt: skip
    planted.add_event(HALT_S - 0.5, "inspection", why="the end of quiet", processes=[process])
    text = plain(triaged(planted))
    assert "watcher 20: S (sleeping)" in text and "2 CLOSE_WAIT" in text
    assert "the end of quiet" in text


def test_lines_of_a_log_of_many_blocks_keep_their_numbers(planted: PlantedRun) -> None:
    """The log is read in blocks; the last errors have the right line numbers."""
    usual = "INFO nothing to see here, and it is said at some length\n" * 60_000
    planted.files[WATCHER_LOG] = f"{usual}MemoryError: a\n{usual}CRITICAL: b\n"
    errors = facts_of(OpenRun(planted.write()), []).process.last_errors
    assert [(error.ref, error.text) for error in errors] == [
        (f"{WATCHER_LOG}:60001", "MemoryError: a"),
        (f"{WATCHER_LOG}:120002", "CRITICAL: b"),
    ]


@pytest.mark.parametrize("killed_by_fault", [True, False])
def test_a_server_that_a_fault_killed_did_not_die_by_itself(
    tmp_path: Path, killed_by_fault: bool
) -> None:
    run = PlantedRun(tmp_path)
    last = run.llm_events[-1]
    run.llm_events.append({**last, "event": "crashed", "exit_code": -9})
    window = next(r for r in run.records if r.get("state") == "effect_proven")
    if killed_by_fault:
        window["evidence"]["killed_pid"] = last["pid"]
    view = OpenRun(run.write())
    facts = facts_of(view, verdict_of(view).findings)
    assert bool(facts.llm.server_lost) != killed_by_fault


def last_first(run: PlantedRun) -> None:
    one, other = run.decisions[4], run.decisions[5]
    for key in ("request_file", "dispatch", "source"):
        one[key], other[key] = other[key], one[key]
    run.config["criteria"]["fifo"] = {}


def ignores_halt(run: PlantedRun) -> None:
    run.event("halted")["detail"] |= {"took_s": 40.0, "killed": True}


def invents_an_answer(planted: PlantedRun) -> None:
    wire = Wire(planted)
    wire.lines.remove(next(line for line in wire.lines if not line.get("harness")))
    wire.write()


def hides_attempts(planted: PlantedRun) -> None:
    wire = Wire(planted)
    call = planted.decisions[0]["llm_calls"][0]
    call["attempts"] = 1
    for number in range(3):
        begin_s = _t_s(call["started_at"]) + 0.02 + number * 0.01
        wire.exchange(begin_s, begin_s + 0.005, ended="reset", status=None)
    wire.write()


def passes_the_link_by(planted: PlantedRun) -> None:
    witnessed = Witnessed(planted)
    for line in witnessed.lines:
        if line["call"] == "connect":
            line["address"] = "127.0.0.1:8081"
    witnessed.write()
    planted.files["wire.jsonl"] = planted.files["wire.jsonl"].splitlines(keepends=True)[0]


def waits_for_ever(planted: PlantedRun) -> None:
    planted.config["target"]["llm"]["call_limit_s"] = "2"
    wire = Wire(planted)
    wire.exchange(FAULTS[0][0] + 0.5, FAULTS[0][1], ended="given_up", status=None)
    wire.write()


def unusable(planted: PlantedRun, **answer: Any) -> None:
    """No call gets an answer that can be used: on the wire stands why."""
    without_answer(planted)
    wire = Wire(planted)
    for line in wire.lines:
        if line["ended"] == "given_up":
            line.update({"ended": "answered", "status": 200, **answer})
    wire.write()


def asks_wrongly(planted: PlantedRun) -> None:
    unusable(planted, status=400, text="Failed to parse grammar")


def has_another_key(planted: PlantedRun) -> None:
    unusable(planted, status=401, text="Invalid API Key")


def allows_two_tokens(planted: PlantedRun) -> None:
    unusable(planted, text='{"ef', finish="limit")


def repeats_an_id(planted: PlantedRun) -> None:
    planted.decisions[3]["decision_id"] = planted.decisions[2]["decision_id"]


def spins(planted: PlantedRun) -> None:
    planted.signals["queue.pending"] = lambda t_s, done: 0
    planted.signals["watcher.cpu_s"] = lambda t_s, done: t_s


def hides_fallbacks(run: PlantedRun) -> None:
    decision = run.first_fallback()
    del decision["heuristic_fallback"]
    decision["decided_by"] = "llm"


@pytest.mark.parametrize(
    ("plant", "cause", "words"),
    [
        (last_first, "wrong_order", "order of their arrival"),
        (ignores_halt, "halt_ignored", "it did not stop and was killed"),
        (hides_fallbacks, "hidden_fallback", "not marked as a fallback"),
        (invents_an_answer, "answers_made_up", "no answer came over the wire"),
        (hides_attempts, "attempts_hidden", "4 were seen"),
        (passes_the_link_by, "past_the_link", "went to 127.0.0.1:8081"),
        (waits_for_ever, "no_time_limit", "the daemon waited 13.5 s"),
        (asks_wrongly, "llm_request_refused", "HTTP 400: Failed to parse grammar"),
        (has_another_key, "llm_request_refused", "HTTP 401: Invalid API Key"),
        (allows_two_tokens, "answers_cut_short", "reached the limit of tokens"),
        (repeats_an_id, "ids_repeated", "decision id d000003 again"),
        (spins, "busy_idle", "of processor time"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_finding_that_is_the_defect_names_its_cause_first(
    plant: Plant, cause: str, words: str, planted: PlantedRun
) -> None:
    plant(planted)
    found = triaged(planted)
    assert causes(found)[0] == cause, plain(found)
    assert words in found.causes[0].summary
    assert "unknown" not in causes(found)


def test_a_check_that_passed_rules_its_cause_out(planted: PlantedRun) -> None:
    ruled_out = {one.name: one.why for one in triaged(planted).ruled_out}
    assert ruled_out["duplicate_work"] == "passed: exactly_once"


def test_what_the_watcher_did_while_it_stalled_is_evidence(planted: PlantedRun) -> None:
    stacks = {"python": ["Thread 20 (idle)", "    wait (a.py:1)", "    work (b.py:2)"]}
    process = {"pid": 20, "role": "watcher", "stacks": stacks}
    why = "no decision for 40 s while requests wait"
    planted.add_event(100.0, "inspection", why=why, processes=[process])
    planted.add_event(120.0, "inspection", why="the end", processes=[])
    [where] = facts_of(OpenRun(planted.write()), []).progress.where
    assert where.text == "the Watcher was in wait (a.py:1) <- work (b.py:2)"


def test_no_step_looks_for_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a line\n")
    assert steps.grep(log, ['""', ""], "nothing") is None
    found = steps.grep(log, ['"fallback"', '""'], "one word")
    assert found is not None and found.command.startswith(f"grep -nF -e '\"fallback\"' -- {log}")
