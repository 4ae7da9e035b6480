"""The reference parser reads /metrics, and its values are those of the folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.record.runs_folder import add_gate, add_run, make_running, verdict
from tests.serve.planted import Growing
from tests.serve.serving import Server, serving

RUN = "soak_c/20260206-101500-s7-eeee"


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[Growing]:
    add_run(tmp_path, "soak_c/20260203-101500-s7-aaaa", verdict("fail", fault="llm_timeout"))
    add_run(tmp_path, "soak_c/20260204-101500-s7-aaaa", verdict("pass", fault="llm_timeout"))
    add_run(tmp_path, "soak_c/20260205-101500-s7-aaaa", verdict("fail"))
    odd = 'so"ak\\n\nnew\x00line'
    add_run(tmp_path, "soak_x/20260205-101500-s7-aaaa", verdict("invalid", soak=odd))
    add_gate(tmp_path, "20260205-000000-s7-dddd", {})
    run = Growing(tmp_path, RUN)
    yield run
    run.close()


@pytest.fixture
def server(growing: Growing) -> Iterator[Server]:
    with serving(growing.path.parents[1]) as running:
        yield running


def families(server: Server) -> dict[str, list[Any]]:
    answer = server.ask("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    return {f.name: f.samples for f in text_string_to_metric_families(answer.text)}


def test_verdicts_are_those_of_the_newest_run(server: Server) -> None:
    found = families(server)
    newest = {(s.labels["soak"], s.labels["fault"]): s for s in found["chaos_latest_verdict"]}
    assert newest["soak_c", "llm_timeout"].labels["verdict"] == "pass"
    assert newest["soak_c", "llm_timeout"].labels["run"] == "soak_c/20260204-101500-s7-aaaa"
    assert newest["soak_c", "none"].labels["verdict"] == "fail"
    assert newest['so"ak\\n\nnew\\x00line', "none"].labels["verdict"] == "invalid"
    findings = {
        (s.labels["soak"], s.labels["fault"], s.labels["outcome"]): s.value
        for s in found["chaos_latest_findings"]
    }
    assert findings["soak_c", "none", "fail"] == 1
    assert findings["soak_c", "none", "pass"] == 1
    counts = {s.labels["verdict"]: s.value for s in found["chaos_runs"]}
    assert (counts["pass"], counts["fail"], counts["invalid"], counts["running"]) == (1, 2, 1, 1)
    (gate,) = found["chaos_gate_verdict"]
    assert gate.labels["verdict"] == "NEEDS FIXES"
    assert all(s.value > 0 for s in found["chaos_latest_age_seconds"])


def test_a_fault_is_in_force_only_while_it_is(server: Server, growing: Growing) -> None:
    assert families(server)["chaos_fault_in_force"] == []
    growing.until_storm()
    found = families(server)
    (fault,) = found["chaos_fault_in_force"]
    assert (fault.value, fault.labels) == (
        1,
        {"run": RUN, "fault": "llm_timeout", "fault_id": "f001"},
    )
    (phase,) = found["chaos_run_phase"]
    assert (phase.labels["run"], phase.labels["phase"]) == (RUN, "storm")
    signals = {s.labels["signal"]: s.value for s in found["chaos_run_signal"]}
    assert (signals["queue.pending"], signals["watcher.fds"]) == (2, 6)
    growing.fault(60.0, "recovered")
    growing.sample(61.0, queue__pending=0)
    found = families(server)
    assert found["chaos_fault_in_force"] == []
    assert [s.value for s in found["chaos_run_signal"]] == [0]


def test_a_run_that_has_ended_is_not_live_any_more(server: Server, growing: Growing) -> None:
    growing.until_storm()
    assert families(server)["chaos_run_phase"]
    growing.end()
    found = families(server)
    assert found["chaos_run_phase"] == found["chaos_fault_in_force"] == []


def test_a_damaged_live_run_leaves_the_others(server: Server, growing: Growing) -> None:
    root = growing.path.parents[1]
    make_running(add_run(root, "soak_c/20260207-101500-s7-ffff"))  # its plan is none
    growing.write(kind="sample", t_s=1.0, values={"queue.pending": 10**400, "llm.health": "ok"})
    growing.until_storm()
    assert [s.labels["run"] for s in families(server)["chaos_run_phase"]] == [RUN]


def test_an_empty_folder_has_metrics_too(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serving(tmp_path / "empty") as server:
        assert all(s.value == 0 for s in families(server)["chaos_runs"])
        assert "no run in this folder yet" in server.ask("/").text
