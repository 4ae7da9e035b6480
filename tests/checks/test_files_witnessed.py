"""Logs, files that are left behind and the command lines of children, as the calls show them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chaos.checks.finding import Finding
from chaos.record.globs import regex_of
from tests.checks.history_builder import _t_s, judged
from tests.checks.witness_builder import WATCHER, Witnessed

DECISIONS = "watcher_decisions.jsonl"
OWN = "logs/watcher_agent.log"


# -- logs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "facts"),
    [
        ("open", {"path": DECISIONS, "cut_bytes": 300}),
        ("truncate", {"path": DECISIONS, "cut_bytes": 300}),
        ("rename", {"path": f".{DECISIONS}.tmp", "to": DECISIONS, "cut_bytes": 300}),
        ("unlink", {"path": DECISIONS}),
    ],
)
def test_lines_taken_out_of_the_decision_log_are_found(
    witnessed: Witnessed, call: str, facts: dict[str, Any]
) -> None:
    witnessed.add(100.0, "open", WATCHER, path=f".{DECISIONS}.tmp")
    witnessed.add(100.1, call, WATCHER, **facts)
    found = witnessed.judged("log_rewritten")
    assert (found.outcome, found.measured) == ("fail", 1)
    assert DECISIONS in found.evidence[0].text


def test_copy_that_then_takes_the_place_of_the_log_is_no_rotation(witnessed: Witnessed) -> None:
    new = "watcher_decisions.new"
    witnessed.add(100.0, "open", WATCHER, path=new)
    witnessed.add(100.1, "rename", WATCHER, path=new, to=DECISIONS, cut_bytes=300)
    assert witnessed.judged("log_rewritten").outcome == "fail"


def test_own_log_that_is_emptied_while_it_is_written_is_found(witnessed: Witnessed) -> None:
    for t_s in range(10, 20):
        witnessed.add(t_s, "open", WATCHER, path=OWN)
    witnessed.add(100.0, "open", WATCHER, path=OWN, cut_bytes=300)
    found = witnessed.judged("log_rewritten")
    assert (found.outcome, found.measured) == ("fail", 1)


@pytest.mark.parametrize(("path", "outcome"), [(DECISIONS, "pass"), ("out/a.json", "fail")])
def test_lines_that_a_power_cut_took_are_not_held_against_the_daemon(
    witnessed: Witnessed, path: str, outcome: str
) -> None:
    witnessed.run.signals["decisions.lines"] = lambda t_s, done: done if t_s < 100 else done - 1
    for t_s, state in ((98.0, "armed"), (98.5, "injected"), (99.0, "recovering")):
        witnessed.run.add_fault(t_s, "f101", state, {})
    lost = {"lost": [f"{path} cut to 10 bytes"]}
    witnessed.run.add_fault(101.0, "f101", "recovered", lost)
    assert witnessed.judged("log_rewritten").outcome == outcome


def test_line_count_that_falls_is_found(witnessed: Witnessed) -> None:
    witnessed.run.signals["decisions.lines"] = lambda t_s, done: done if t_s < 100 else 1
    assert witnessed.judged("log_rewritten").outcome == "fail"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(
            [("truncate", {"path": DECISIONS})],
            id="half a line is repaired",
        ),
        pytest.param(
            [("rename", {"path": f".{DECISIONS}.tmp", "to": DECISIONS})],
            id="written whole each time, and longer",
        ),
        pytest.param(
            [("open", {"path": OWN, "cut_bytes": 300})],
            id="a log of its own begins anew with its process",
        ),
        pytest.param(
            [("rename", {"path": OWN, "to": "logs/watcher_agent.1.log"}), ("open", {"path": OWN})],
            id="rotated by a rename",
        ),
        pytest.param(
            [
                ("open", {"path": OWN}),
                ("open", {"path": "logs/watcher_agent.1.log"}),
                ("truncate", {"path": OWN, "cut_bytes": 300}),
            ],
            id="rotated by a copy",
        ),
        pytest.param(
            [("open", {"path": OWN, "cut_bytes": 300})] * 5,
            id="the last state, in a file that matches the pattern of the logs",
        ),
        pytest.param(
            [("open", {"path": OWN}), ("truncate", {"path": OWN, "cut_bytes": 5_000_000})],
            id="kept to a size",
        ),
        pytest.param([("open", {"path": "watcher_status.json", "cut_bytes": 300})], id="no log"),
    ],
)
def test_healthy_ways_to_keep_a_log_pass(
    witnessed: Witnessed, lines: list[tuple[str, dict[str, Any]]]
) -> None:
    for number, (call, facts) in enumerate(lines):
        witnessed.add(100.0 + 0.1 * number, call, WATCHER, **facts)
    assert witnessed.judged("log_rewritten").outcome == "pass"


# -- files ------------------------------------------------------------------------------------


def each_request(witnessed: Witnessed, path: str, *, pid: int | None = None) -> None:
    """A file for each request; `*` is its number. By its child, unless `pid` says another."""
    for number, decision in enumerate(witnessed.run.decisions):
        child = pid or decision["effects"]["child_pid"]
        t_s = _t_s(decision["started_at"]) + 0.45
        witnessed.add(t_s, "open", child, path=path.replace("*", str(number)))


@pytest.mark.parametrize(
    "path",
    ["/tmp/prompt*", "/tmp/work*/prompt", "/var/lib/x/*.json", "work/.state*.tmp", "x/tmpabcdef1*"],
)
def test_files_left_for_each_request_are_found(witnessed: Witnessed, path: str) -> None:
    each_request(witnessed, path, pid=None if path != "x/tmpabcdef1*" else WATCHER)
    if path == "x/tmpabcdef1*":
        for line in witnessed.lines:
            if str(line.get("path")).startswith("x/tmp"):
                line["path"] = f"x/tmp{int(line['path'][12:]):08d}"
    found = witnessed.judged("files_left")
    assert (found.outcome, found.measured) == ("fail", 1)
    count = len(witnessed.run.decisions)
    assert f"{count} files left" in found.evidence[0].text


def test_files_left_for_each_failed_call_are_found(witnessed: Witnessed) -> None:
    for begin_s, _ in witnessed.run.cuts:
        for number in range(4):
            witnessed.add(begin_s + 1 + number, "open", WATCHER, path=f"/tmp/e{begin_s}{number}")
    found = witnessed.judged("files_left")
    assert "8 while faults were in force" in found.evidence[0].text


def remove(witnessed: Witnessed, prefix: str, after_s: float, keep: int = 0) -> None:
    made = [line for line in witnessed.lines if str(line.get("path")).startswith(prefix)]
    for line in made[: len(made) - keep]:
        witnessed.lines.append(
            line | {"call": "unlink", "time_s": line["time_s"] + after_s, "pid": WATCHER}
        )


def test_temporary_files_that_are_removed_pass(witnessed: Witnessed) -> None:
    each_request(witnessed, "/tmp/prompt*")
    remove(witnessed, "/tmp/prompt", 0.5)
    assert witnessed.judged("files_left").outcome == "pass"


def test_number_of_files_that_is_bounded_passes(witnessed: Witnessed) -> None:
    """Each new one removes the oldest: the last five stay."""
    each_request(witnessed, "/tmp/recent*", pid=WATCHER)
    made = [line for line in witnessed.lines if str(line.get("path")).startswith("/tmp/recent")]
    for old, new in zip(made, made[5:], strict=False):
        witnessed.lines.append(old | {"call": "unlink", "time_s": new["time_s"]})
    assert witnessed.judged("files_left").outcome == "pass"


def test_files_that_are_made_once_pass(witnessed: Witnessed) -> None:
    for number in range(40):
        witnessed.add(3.0, "open", WATCHER, path=f"/tmp/part{number}")
    assert witnessed.judged("files_left").outcome == "pass"


def test_one_file_for_each_process_of_the_daemon_passes(witnessed: Witnessed) -> None:
    """It is restarted again and again."""
    for number in range(12):
        t_s, pid = 20.0 + 10 * number, 500 + number
        witnessed.add(t_s, "process", pid, parent=1, service="watcher", argv=["watcher"])
        witnessed.add(t_s, "open", pid, path=f"/tmp/watcher-{pid}.pid")
    assert witnessed.judged("files_left").outcome == "pass"


def test_what_a_killed_process_could_not_remove_passes(witnessed: Witnessed) -> None:
    each_request(witnessed, "/tmp/scratch*")
    witnessed.drop(lambda line: line["call"] == "exit")
    assert witnessed.judged("files_left").outcome == "pass"


@pytest.mark.parametrize("path", ["/tmp/model-cache/*", "results/*.json", "policy_history/c*.json"])
def test_caches_and_results_do_not_fail(witnessed: Witnessed, path: str) -> None:
    each_request(witnessed, path)
    assert witnessed.judged("files_left").outcome == "pass"


def test_unnamed_results_are_shown_as_evidence(witnessed: Witnessed) -> None:
    each_request(witnessed, "results/*.json")
    assert "results: " in witnessed.judged("files_left").evidence[0].text


# -- parameters -------------------------------------------------------------------------------


def with_body(witnessed: Witnessed, episodes: int) -> dict[str, Any]:
    """The harness asked for that in its first probe; the line of the child's program."""
    op = next(r for r in witnessed.run.records if r["kind"] == "op")
    op["detail"]["body"] = {"parameters": {"episodes": episodes}}
    return next(
        line for line in witnessed.lines
        if line["call"] == "exec" and f"--request={op['id']}" in line["argv"]
    )  # fmt: skip


def of_parameters(witnessed: Witnessed) -> Finding:
    return witnessed.judged("parameters_witnessed")


@pytest.mark.parametrize(
    "argv",
    [
        ["child", "--episodes", "2", "--request=probe_0001.json"],
        ["child", "--episodes=2", "--request", "work/probe_0001"],
        ["child", "--request=probe_0001.json"],
    ],
)
def test_parameter_that_does_not_arrive_is_found(witnessed: Witnessed, argv: list[str]) -> None:
    with_body(witnessed, 5)["argv"] = argv
    found = of_parameters(witnessed)
    assert (found.outcome, found.measured) == ("fail", 1)
    assert "probe_0001.json: episodes" in found.evidence[0].text


@pytest.mark.parametrize(
    "argv",
    [
        ["child", "--episodes", "5", "--request=probe_0001.json"],
        ["child", "--episodes=5", "--request", "work/probe_0001"],
        ["sh", "-c", "exec child --episodes 5 --out work/probe_0001/"],
    ],
)
def test_parameter_that_arrives_passes(witnessed: Witnessed, argv: list[str]) -> None:
    with_body(witnessed, 5)["argv"] = argv
    assert of_parameters(witnessed).outcome == "pass"


def test_parameters_told_in_another_way_are_not_judged(witnessed: Witnessed) -> None:
    with_body(witnessed, 5)
    for line in witnessed.lines:
        if line["call"] == "exec":
            line["argv"] = ["worker", *line["argv"][-1:]]
    witnessed.write()
    assert "parameters_witnessed" not in {f.check for f in judged(witnessed.run).findings}


def test_target_that_names_no_option_is_not_judged(witnessed: Witnessed) -> None:
    del witnessed.run.config["target"]["child_arguments"]
    with_body(witnessed, 5)
    witnessed.write()
    assert {
        f.outcome for f in judged(witnessed.run).findings if f.check == "parameters_witnessed"
    } == {"skipped"}


def first_selfplay(witnessed: Witnessed) -> dict[str, Any]:
    return next(d for d in witnessed.run.decisions if "selfplay" in d["dispatch"])


def answered(witnessed: Witnessed, effort: str, told: str) -> Finding:
    """Each call was answered with `effort`; the first selfplay child was told `told`."""
    for decision in witnessed.run.decisions:
        for call in decision["llm_calls"]:
            call["answer"] = {"effort": effort}
    named = f"--request={first_selfplay(witnessed)['request_file']}"
    child = next(
        line for line in witnessed.lines if line["call"] == "exec" and named in line["argv"]
    )
    child["argv"] = ["child", "--effort", told, named]
    for line in witnessed.lines:
        if line["pid"] == child["pid"] and line["call"] in ("process", "exec"):
            line["time_s"] += 0.15  # after the answer
    return of_parameters(witnessed)


def test_what_the_llm_answered_arrives_in_the_work(witnessed: Witnessed) -> None:
    assert answered(witnessed, "light", "light").outcome == "pass"


def test_another_effort_than_the_llm_answered_is_found(witnessed: Witnessed) -> None:
    found = answered(witnessed, "light", "thorough")
    assert (found.outcome, found.measured) == ("fail", 1)
    assert "the LLM answered effort light, and its child was told" in found.evidence[0].text


def test_a_decision_without_the_llm_may_tell_the_child_anything(witnessed: Witnessed) -> None:
    first_selfplay(witnessed)["heuristic_fallback"] = True
    with_body(witnessed, 5)
    answered(witnessed, "light", "thorough")
    found = of_parameters(witnessed)
    assert not any("effort" in item.text for item in found.evidence)


def learning(witnessed: Witnessed) -> dict[str, Any]:
    return next(
        line for line in witnessed.lines if line["call"] == "exec" and "--steps" in line["argv"]
    )


@pytest.mark.parametrize("steps", ["3,6", "5,3,6", "3,5,6,7"])
def test_steps_other_than_named_are_found(witnessed: Witnessed, steps: str) -> None:
    learning(witnessed)["argv"][2] = steps
    found = of_parameters(witnessed)
    assert (found.outcome, found.measured) == ("fail", 1)
    assert "they should be 3, 5, 6" in found.evidence[0].text


def test_steps_in_children_of_their_own_and_repeated_pass(witnessed: Witnessed) -> None:
    line = learning(witnessed)
    name, pid = line["argv"][-1], line["pid"]
    witnessed.drop(lambda other: other["pid"] == pid and other["call"] in ("exec", "process"))
    for number, step in enumerate(["3", "5", "3", "5", "6"]):
        argv, t_s = ["child", "--steps", step, name], line["time_s"] + 0.01 * number
        start = {"parent": WATCHER, "service": "watcher", "argv": argv}
        witnessed.lines.append(
            {"time_s": t_s, "call": "process", "pid": pid + 9000 + number} | start
        )
    assert of_parameters(witnessed).outcome == "pass"


@pytest.mark.parametrize(
    ("pattern", "path", "selected"),
    [
        ("q/*.json", "q/a.json", True),
        ("q/*.json", "q/.a.json", False),
        ("q/*.json", "q/in/a.json", False),
        ("logs/w*.log", "logs/w.1.log", True),
        ("**/*.lock", "a/b/c.lock", True),
        ("**/*.lock", "c.lock", True),
        ("q/[!a]?.json", "q/bb.json", True),
        ("q/[!a]?.json", "q/ab.json", False),
        ("q/a+b.json", "q/aab.json", False),
    ],
)
def test_glob_selects_the_paths_that_it_selects_elsewhere(
    pattern: str, path: str, selected: bool
) -> None:
    assert bool(re.fullmatch(regex_of(pattern), path)) == selected
