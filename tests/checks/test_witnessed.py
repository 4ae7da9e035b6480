"""What a decision claims against what the system-call witness saw: each lie is found, and a run in
which both agree is left alone.
"""

from __future__ import annotations

from typing import Any

import pytest

from chaos.record.open_run import OpenRun
from tests.checks.history_builder import (
    EPOCH_S,
    PlantedRun,
    _t_s,
    finding,
    judged,
    judged_by,
    not_passed,
)
from tests.checks.wire_builder import Wire
from tests.checks.witness_builder import INJECTOR, LLM, WATCHER, Witnessed

CHECKS = (
    *("child_witnessed", "publication_witnessed", "bystanders", "retry_storm"),
    *("requests_witnessed", "order_witnessed", "log_rewritten", "files_left"),
    *("parameters_witnessed", "steady_state"),
)
SERVER = 4711


def selfplay(witnessed: Witnessed) -> dict[str, Any]:
    """A decision that claims a file."""
    return next(d for d in witnessed.run.decisions[1:] if d["effects"]["artefacts"])


def test_a_run_whose_claims_were_all_seen_passes(witnessed: Witnessed) -> None:
    witnessed.write()
    verdict = judged(witnessed.run)
    assert not_passed(verdict) == {}
    assert set(CHECKS) <= {found.check for found in verdict.findings}


def test_a_completed_dispatch_without_a_child_fails(witnessed: Witnessed) -> None:
    decision = selfplay(witnessed)
    child = decision["effects"]["child_pid"]
    witnessed.drop(lambda line: line["pid"] == child)
    found = witnessed.judged("child_witnessed")
    assert (found.outcome, found.measured) == ("fail", 1)
    assert decision["request_file"] in found.evidence[0].text


def test_a_child_that_wrote_nothing_did_no_work(witnessed: Witnessed) -> None:
    child = selfplay(witnessed)["effects"]["child_pid"]
    witnessed.drop(lambda line: line["pid"] == child and line["call"] == "open")
    assert witnessed.judged("child_witnessed").measured == 1


def test_a_worker_that_lives_on_counts_for_each_work_that_it_writes_in(
    witnessed: Witnessed,
) -> None:
    """A pool of workers instead of a child for each request."""
    witnessed.drop(lambda line: line["call"] in ("exit", "end"))
    children = {d["effects"]["child_pid"] for d in witnessed.run.decisions}
    witnessed.drop(lambda line: line["pid"] in children and line["call"] != "open")
    witnessed.add(2.1, "process", 30, parent=WATCHER, service="watcher", argv=["worker"])
    for line in witnessed.lines:
        if line["pid"] in children:
            line["pid"] = 30
    for decision in witnessed.run.decisions:
        decision["effects"]["child_pid"] = 30
    assert witnessed.judged("child_witnessed").outcome == "pass"


@pytest.mark.parametrize("pid", [SERVER, INJECTOR])
def test_a_child_that_is_none_of_the_daemons_fails(witnessed: Witnessed, pid: int) -> None:
    decision = selfplay(witnessed)
    decision["effects"]["child_pid"] = pid
    found = witnessed.judged("child_witnessed")
    assert found.measured == 1 and f"process {pid}, which it names" in found.evidence[0].text


def test_a_daemon_that_names_no_children_may_work_in_its_own_process(
    witnessed: Witnessed,
) -> None:
    children = {d["effects"]["child_pid"] for d in witnessed.run.decisions}
    witnessed.drop(lambda line: line["pid"] in children)
    record = witnessed.run.config["target"]["records"]["decisions"]
    record["sql"] = record["sql"].replace("effects.child_pid as child_pid, ", "")
    witnessed.write()
    assert {f.outcome for f in judged(witnessed.run).findings if f.check == "child_witnessed"} == {
        "skipped"
    }


def test_the_injectors_process_is_no_child_of_the_watcher(witnessed: Witnessed) -> None:
    child = selfplay(witnessed)["effects"]["child_pid"]
    for line in witnessed.lines:
        if line["pid"] == child and line["call"] == "process":
            line |= {"parent": INJECTOR, "service": "injector"}
    assert witnessed.judged("child_witnessed").measured == 1


def test_work_of_a_process_that_a_fault_ended_counts(witnessed: Witnessed) -> None:
    """The child ran before the crash; the restarted Watcher commits, and decides later."""
    decision = selfplay(witnessed)
    before_s, child = _t_s(decision["started_at"]), decision["effects"]["child_pid"]
    for line in witnessed.lines:
        claims = str(line.get("to", "")).endswith(decision["request_file"])
        if line["pid"] == child or claims:
            line["time_s"] -= 3.0
    assert before_s > 5.0
    assert witnessed.judged("child_witnessed").outcome == "pass"


def test_a_claimed_file_that_nobody_published_fails(witnessed: Witnessed) -> None:
    (path,) = selfplay(witnessed)["effects"]["artefacts"]
    witnessed.drop(lambda line: line.get("to") == path)
    found = witnessed.judged("publication_witnessed")
    assert (found.outcome, found.measured) == ("fail", 1)
    assert f"{path} is claimed, and nobody published it in this work" in found.evidence[0].text


def test_a_claimed_file_that_was_there_before_fails(witnessed: Witnessed) -> None:
    """The stale file certifies the work: its hash is true, and it is not of this work."""
    (path,) = selfplay(witnessed)["effects"]["artefacts"]
    for line in witnessed.lines:
        if line.get("to") == path:
            line["time_s"] = EPOCH_S + 2.5
    found = witnessed.judged("publication_witnessed")
    assert "was published before this work began" in found.evidence[0].text


def test_a_file_published_with_another_content_than_claimed_fails(witnessed: Witnessed) -> None:
    (path,) = selfplay(witnessed)["effects"]["artefacts"]
    for line in witnessed.lines:
        if line.get("to") == path:
            line["sha256"] = "0" * 64
    assert witnessed.judged("publication_witnessed").measured == 1


def test_a_file_written_in_place_counts_as_published(witnessed: Witnessed) -> None:
    decision = selfplay(witnessed)
    (path,) = decision["effects"]["artefacts"]
    witnessed.drop(lambda line: line.get("to") == path)
    witnessed.add(_t_s(decision["timestamp"]), "open", WATCHER, path=path, flags=577)
    assert witnessed.judged("publication_witnessed").outcome == "pass"


def test_a_file_that_is_published_long_after_the_decision_was_stamped_counts(
    witnessed: Witnessed,
) -> None:
    """On a full disk: the decision is made, and its files wait until there is room."""
    decisions = witnessed.run.decisions
    decision = selfplay(witnessed)
    next_s = _t_s(decisions[decisions.index(decision) + 1]["started_at"])
    (path,) = decision["effects"]["artefacts"]
    for line in witnessed.lines:
        if line.get("to") == path:
            line["time_s"] = EPOCH_S + next_s - 0.01
    assert witnessed.judged("publication_witnessed").outcome == "pass"
    for line in witnessed.lines:
        if line.get("to") == path:
            line["time_s"] = EPOCH_S + next_s + 7.0
    assert witnessed.judged("publication_witnessed").outcome == "fail"


def test_a_server_beside_the_child_at_work_fails(witnessed: Witnessed) -> None:
    """Stopped and started around the dispatch, but started before the child was done."""
    decision = selfplay(witnessed)
    child = decision["effects"]["child_pid"]
    assert witnessed.judged("llm_lifecycle").outcome == "pass"
    end_s = _t_s(decision["timestamp"]) + 0.02
    for line in witnessed.lines:
        if line["pid"] == child and line["call"] in ("exit", "end"):
            line["time_s"] = EPOCH_S + end_s + 2.0
    found = witnessed.judged("llm_lifecycle")
    assert found.outcome == "fail" and f"beside the child {child}" in found.evidence[0].text


def test_a_file_that_comes_with_its_folder_counts_as_published(witnessed: Witnessed) -> None:
    decision = selfplay(witnessed)
    (path,) = decision["effects"]["artefacts"]
    witnessed.drop(lambda line: line.get("to") == path)
    folder = path.rpartition("/")[0]
    witnessed.add(_t_s(decision["timestamp"]), "rename", WATCHER, path="staging", to=folder)
    assert witnessed.judged("publication_witnessed").outcome == "pass"


def test_hashes_of_another_kind_are_not_compared(witnessed: Witnessed) -> None:
    """Where none fits, the daemon means another hash: then paths alone are compared."""
    for line in witnessed.lines:
        if "sha256" in line:
            line["sha256"] = "0" * 64
    assert witnessed.judged("publication_witnessed").outcome == "pass"
    (path,) = selfplay(witnessed)["effects"]["artefacts"]
    witnessed.drop(lambda line: line.get("to") == path)
    assert witnessed.judged("publication_witnessed").measured == 1


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (SERVER, "which is none of its own"),
        (INJECTOR, f"process {INJECTOR} of the injector"),
        (-1, "every process"),
    ],
)
def test_a_signal_to_a_process_that_is_not_its_own_fails(
    witnessed: Witnessed, target: int, words: str
) -> None:
    watched = {SERVER: False, INJECTOR: True}.get(target)
    witnessed.add(50.0, "kill", WATCHER, target=target, signal=15, target_watched=watched)
    found = witnessed.judged("bystanders")
    assert (found.outcome, found.measured) == ("fail", 1)
    assert words in found.evidence[0].text


def test_signals_to_its_own_children_and_questions_pass(witnessed: Witnessed) -> None:
    decision = selfplay(witnessed)
    child, start_s = decision["effects"]["child_pid"], _t_s(decision["started_at"])
    witnessed.add(start_s + 0.45, "kill", WATCHER, target=child, signal=9)
    witnessed.add(start_s + 0.46, "kill", WATCHER, target=-child, signal=15)
    witnessed.add(50.0, "kill", WATCHER, target=SERVER, signal=0)
    witnessed.add(50.0, "kill", INJECTOR, target=SERVER, signal=15, target_watched=False)
    assert witnessed.judged("bystanders").outcome == "pass"


@pytest.mark.parametrize(
    ("target", "watched"),
    [
        pytest.param(4712, True, id="a process of its own that made no watched call"),
        pytest.param(4713, None, id="a process that is gone"),
        pytest.param(101, False, id="its LLM server"),
    ],
)
def test_a_signal_to_a_process_that_may_be_its_own_passes(
    witnessed: Witnessed, target: int, watched: bool | None
) -> None:
    assert {event["pid"] for event in witnessed.run.llm_events} >= {101}
    witnessed.add(50.0, "kill", WATCHER, target=target, signal=15, target_watched=watched)
    assert witnessed.judged("bystanders").outcome == "pass"


def burst(witnessed: Witnessed, from_s: float, **facts: Any) -> None:
    for number in range(120):
        witnessed.add(
            from_s + number * 0.025, "connect", **{"pid": WATCHER, "address": LLM, **facts}
        )


def test_retries_without_a_pause_fail(witnessed: Witnessed) -> None:
    cut_s = witnessed.run.cuts[0][0]
    burst(witnessed, cut_s + 2.0)
    found = witnessed.judged("retry_storm")
    assert found.outcome == "fail"
    assert "attempts to reach the LLM in the 5 s before" in found.evidence[0].text


def test_the_end_of_a_storm_is_not_the_daemons_own_pace(witnessed: Witnessed) -> None:
    """The span that is counted after a fault has the storm still in it."""
    healed_s = witnessed.run.cuts[0][1]
    burst(witnessed, healed_s - 2.9)
    witnessed.add(healed_s + 1.0, "connect", WATCHER, address=LLM)
    assert witnessed.judged("retry_storm").outcome == "fail"


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"address": "127.0.0.1:8079"}, id="to another address"),
        pytest.param({"pid": INJECTOR}, id="by another service"),
    ],
)
def test_other_connections_are_no_retries(witnessed: Witnessed, facts: dict[str, Any]) -> None:
    burst(witnessed, witnessed.run.cuts[0][0] + 2.0, **facts)
    assert witnessed.judged("retry_storm").outcome == "pass"


def test_a_daemon_that_asks_often_anyway_is_not_retrying(witnessed: Witnessed) -> None:
    cut_s, healed_s = witnessed.run.cuts[0]
    burst(witnessed, healed_s + 6.0)
    assert witnessed.judged("retry_storm").outcome == "pass"
    burst(witnessed, cut_s + 2.0)
    assert witnessed.judged("retry_storm").outcome == "pass"


def test_without_the_witness_these_checks_do_not_judge(planted: PlantedRun) -> None:
    assert not set(CHECKS) & {found.check for found in judged(planted).findings}


def test_a_witness_that_was_asked_for_and_could_not_be_had_is_unverified(
    planted: PlantedRun,
) -> None:
    planted.config["witness"] = "all"
    why = "the kernel does not load the filter"
    planted.add_event(2.05, "not_witnessed", witness="syscalls", reason=why)
    Wire(planted).write()
    verdict = judged(planted)
    assert not_passed(verdict) == dict.fromkeys(CHECKS, "unverified")
    assert "does not load the filter" in finding(verdict, "bystanders").summary


def test_a_lost_record_of_the_witness_is_unverified(witnessed: Witnessed) -> None:
    Wire(witnessed.run).write()
    assert not_passed(judged(witnessed.run)) == dict.fromkeys(CHECKS, "unverified")


def test_the_tables_tell_processes_apart_that_had_the_same_id(witnessed: Witnessed) -> None:
    for start_s, code in ((60.0, 3), (70.0, 4)):
        witnessed.add(start_s, "process", 77, parent=WATCHER, service="watcher", argv=["a"])
        witnessed.add(start_s + 1, "exec", 77, argv=["program", str(code)])
        witnessed.add(start_s + 2, "exit", 77, code=code, cpu_s=0.5)
        witnessed.add(start_s + 3, "end", 77)
    witnessed.add(61.5, "kill", WATCHER, target=77, signal=15)
    witnessed.write()
    query = "select argv, start_s, end_s, cpu_s, exit_code, killed_by from processes where pid = 77"
    with OpenRun(witnessed.run.write()) as run:
        rows = [(list(argv), *rest) for argv, *rest in run.sql(f"{query} order by line")]
    assert [(argv[1], code, by) for argv, _, _, _, code, by in rows] == [
        ("3", 3, WATCHER),
        ("4", 4, None),
    ]
    assert [(round(a), round(b)) for _, a, b, *_ in rows] == [(60, 63), (70, 73)]


def test_half_a_line_of_a_crash_is_left_out(witnessed: Witnessed) -> None:
    witnessed.write()
    whole = witnessed.run.files["witness.jsonl"]
    assert isinstance(whole, str)
    witnessed.run.files["witness.jsonl"] = whole + '{"time_s": 1.0, "call": "ren'
    assert finding(judged(witnessed.run), "child_witnessed").outcome == "pass"


def test_retries_over_a_connection_that_is_kept_count_too(witnessed: Witnessed) -> None:
    """On the wire: the system-call witness sees one connection."""
    wire = Wire(witnessed.run)
    begin_s = witnessed.run.cuts[0][0] + 2.0
    for number in range(300):
        at_s = begin_s + number * 0.01
        wire.exchange(at_s, at_s + 0.005, status=503, connection=99)
    witnessed.write()
    wire.write()
    found = judged_by(witnessed.run, "retry_storm")
    assert found.outcome == "fail" and found.evidence[0].ref.startswith("wire.jsonl:")


# -- calls that a fault changed -------------------------------------------------------------------


def test_a_file_whose_publication_a_fault_prevented_was_not_published(
    witnessed: Witnessed,
) -> None:
    claimed = selfplay(witnessed)["effects"]["artefacts"]
    for line in witnessed.lines:
        if line["call"] == "rename" and line.get("to") in claimed:
            line |= {"rule": "f001", "injected": "EIO"}
    assert witnessed.judged("publication_witnessed").outcome == "fail"


def test_calls_that_a_fault_prevented_and_the_daemon_repeated_are_left_alone(
    witnessed: Witnessed,
) -> None:
    """Each rename fails once, one process is ended at one, and each unlink comes late."""
    renames = [line for line in witnessed.lines if line["call"] == "rename"]
    for line in renames:
        failed = {**line, "time_s": line["time_s"] - 0.001, "rule": "f001"}
        witnessed.lines.append({**failed, "injected": "EIO"})
    witnessed.lines.append({**renames[0], "rule": "f001", "crashed": True})
    for line in witnessed.lines:
        if line["call"] == "unlink":
            line |= {"rule": "f001", "delayed_ms": 300.5}
    witnessed.write()
    assert not_passed(judged(witnessed.run)) == {}
    with OpenRun(witnessed.run.write()) as run:
        done = run.one("select count(*) from file_ops where call = 'rename'")
        changes = dict(run.sql("select change, count(*) from calls_changed group by change"))
    assert done == len(renames) == changes["EIO"]
    assert changes["SIGKILL"] == 1 and changes["delayed"] >= 1


@pytest.mark.parametrize(
    ("change", "times", "outcome"),
    [("EIO", 1, "fail"), ("EIO", 3, "pass"), ("delayed", 3, "fail"), (None, 3, "fail")],
)
def test_a_server_that_is_not_stopped_is_excused_only_by_refused_attempts(
    witnessed: Witnessed, change: str | None, times: int, outcome: str
) -> None:
    """A Watcher that gives up after the first refusal is not excused."""
    run = witnessed.run
    decision = run.decisions[2]
    start_s, end_s = _t_s(decision["started_at"]), _t_s(decision["timestamp"])
    run.llm_events = [
        event for event in run.llm_events if not start_s < event["time_s"] - EPOCH_S < end_s
    ]
    done = {"EIO": {"injected": "EIO"}, "delayed": {"delayed_ms": 1.0}, None: {}}[change]
    rule = {"rule": "f001", **done} if done else {}
    for count in range(times):
        address = str(run.config["target"]["llm"]["control"])
        witnessed.add(start_s + 0.1 + count / 100, "connect", WATCHER, address=address, **rule)
    found = witnessed.judged("llm_lifecycle")
    assert found.outcome == outcome, found
    assert ("not judged" in found.summary) == (outcome == "pass")
