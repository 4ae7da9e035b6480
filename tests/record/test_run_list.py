"""The list of runs: every kind of folder that may lie there, and nothing read twice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from chaos.record import list_fields, run_list
from chaos.record.run_list import RunEntry, RunList
from tests.record.runs_folder import (
    add_campaign,
    add_comparison,
    add_gate,
    add_run,
    add_sweep,
    make_running,
    verdict,
)


def entries(root: Path) -> dict[str, RunEntry]:
    return {run.id: run for run in RunList(root).read().runs}


def test_a_judged_run_has_the_fields_of_its_verdict(tmp_path: Path) -> None:
    add_run(tmp_path, "soak_c/20260203-101500-s7-aaaa", verdict("fail", fault="llm_timeout"))
    (run,) = RunList(tmp_path).read().runs
    assert (run.word, run.soak, run.profile, run.seed) == ("fail", "soak_c", "quick", 7)
    assert (run.faults, run.fault, run.lasted_s) == (("llm_timeout",), "llm_timeout", 61.5)
    assert run.outcomes == {"pass": 1, "fail": 1}
    assert [one.title for one in run.not_passed] == ["First in, first out"]
    assert run_list.utc_text(run.began_epoch_s) == "2026-02-03 10:15"


def test_runs_and_gates_are_newest_first_and_a_gates_runs_name_it(tmp_path: Path) -> None:
    add_run(tmp_path, "soak_c/20260203-101500-s7-aaaa", verdict())
    add_gate(tmp_path, "20260204-000000-s7-bbbb", {"soak_a/20260204-000001-s7-cccc": "fail"})
    add_gate(tmp_path, "20260205-000000-s7-bbbb", {}, word=None)
    found = RunList(tmp_path).read()
    gate = "gate/20260204-000000-s7-bbbb"
    assert [run.gate for run in found.runs] == [gate, ""]
    assert [g.verdict for g in found.gates] == ["", "NEEDS FIXES"]
    assert found.gates[1].steps[0].run == found.runs[0].id


def test_a_run_without_a_verdict_is_running_only_while_its_owner_lives(tmp_path: Path) -> None:
    running = add_run(tmp_path, "soak_c/20260203-101500-s7-aaaa")
    make_running(running)
    ended = add_run(tmp_path, "soak_c/20260203-101501-s7-aaaa")
    make_running(ended)
    owner = json.loads((ended / "owner.json").read_text())
    (ended / "owner.json").write_text(json.dumps({**owner, "started_s": 1.0}))
    add_run(tmp_path, "soak_c/20260203-101502-s7-aaaa")
    runs = entries(tmp_path)
    assert [runs[id].word for id in sorted(runs)] == ["running", "unjudged", "unjudged"]
    assert runs["soak_c/20260203-101500-s7-aaaa"].faults == ("llm_timeout",)


GARBAGE: dict[str, Any] = {
    "empty": b"",
    "binary": bytes(range(256)) * 8,
    "half": json.dumps(verdict()).encode()[:200],
    "no object": b"[1, 2]",
    "another shape": b'{"verdict": "pass", "findings": 3}',
    "unknown word": json.dumps(verdict("splendid")).encode(),
    "deep": b"[" * 100_000,
    "no UTF-8": b'{"verdict": "\xff\xfe"}',
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_a_damaged_verdict_is_an_entry_that_says_so(tmp_path: Path, content: bytes) -> None:
    folder = add_run(tmp_path, "soak_c/20260203-101500-s7-aaaa")
    (folder / "verdict.json").write_bytes(content)
    (run,) = RunList(tmp_path).read().runs
    assert run.word == "damaged"
    assert "verdict.json is damaged" in run.problem
    assert len(run.problem) < 400


def test_links_pipes_and_huge_files_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_fields, "FILE_BYTES_MAX", 1 << 20)
    root = tmp_path / "runs"
    outside = add_run(tmp_path, "outside/20260203-101500-s7-aaaa", verdict())
    (root / "soak_c").mkdir(parents=True)
    (root / "soak_c" / "latest").symlink_to(outside)
    (root / "soak_x").symlink_to(outside.parent)
    linked = add_run(root, "soak_c/20260203-101501-s7-aaaa")
    (linked / "verdict.json").symlink_to(outside / "verdict.json")
    pipe = add_run(root, "soak_c/20260203-101502-s7-aaaa")
    os.mkfifo(pipe / "verdict.json")
    os.mkfifo(pipe / "owner.json")
    huge = add_run(root, "soak_c/20260203-101503-s7-aaaa")
    with (huge / "verdict.json").open("wb") as stream:
        stream.truncate(1 << 40)
    problems = [run.problem for run in RunList(root).read().runs]
    assert [text.partition(": ")[2] for text in problems] == [
        "larger than 1 MiB",
        "not a regular file",
        "it is a link",
    ]


def test_a_folder_that_is_no_run_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "soak_c" / "notes").mkdir(parents=True)
    (tmp_path / "soak_c" / "file").touch()
    (tmp_path / "file").touch()
    (tmp_path / "gate" / "x" / "soak_a").mkdir(parents=True)
    found = RunList(tmp_path).read()
    assert (found.runs, found.gates, found.problems) == ([], [], [])


def test_a_name_that_is_no_utf8_is_listed(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    add_run(tmp_path, f"soak_c/{name}", verdict())
    (run,) = RunList(tmp_path).read().runs
    assert run.id == f"soak_c/{name}"


def test_a_damaged_gate_is_an_entry_that_says_so(tmp_path: Path) -> None:
    folder = add_gate(tmp_path, "20260204-000000-s7-bbbb", {})
    (folder / "gate.json").write_text("{")
    (gate,) = RunList(tmp_path).read().gates
    assert "gate.json is damaged" in gate.problem


def test_only_what_has_changed_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        add_run(tmp_path, f"soak_c/2026020{number + 1}-101500-s7-aaaa", verdict())
    add_gate(tmp_path, "20260204-000000-s7-bbbb", {})
    read: list[str] = []
    original = list_fields.read_below

    def counted(root: Path, relative: str, bytes_max: int) -> bytes:
        read.append(relative)
        return original(root, relative, bytes_max)

    monkeypatch.setattr(list_fields, "read_below", counted)
    runs = RunList(tmp_path)
    runs.read()
    assert len(read) == 4
    runs.read()
    assert len(read) == 4
    changed = tmp_path / "soak_c/20260202-101500-s7-aaaa/verdict.json"
    changed.write_text(json.dumps(verdict("fail")))
    words = [run.word for run in runs.read().runs]
    assert words == ["pass", "fail", "pass"]
    assert read[4:] == ["soak_c/20260202-101500-s7-aaaa/verdict.json"]


def test_a_removed_run_is_forgotten(tmp_path: Path) -> None:
    folder = add_run(tmp_path, "soak_c/20260203-101500-s7-aaaa", verdict())
    runs = RunList(tmp_path)
    assert runs.read().runs
    for path in folder.iterdir():
        path.unlink()
    assert not runs.read().runs


def test_the_number_of_runs_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_list, "RUNS_MAX", 2)
    for number in range(4):
        add_run(tmp_path, f"soak_c/2026020{number + 1}-101500-s7-aaaa", verdict())
    runs = RunList(tmp_path).read().runs
    assert [run.id[7:15] for run in runs] == ["20260204", "20260203"]  # the newest


SWEEP = "sweep/20260206-000000-s7-ffff"
OF_A_GATE = "gate/20260205-000000-s7-dddd/sweep/20260205-000003-s7-cccc"


def test_sweeps_are_listed_and_their_runs_are_not(tmp_path: Path) -> None:
    add_run(tmp_path, "soak_c/20260203-101500-s7-aaaa", verdict())
    add_gate(tmp_path, OF_A_GATE.split("/")[1], {"soak_a/20260205-000001-s7-cccc": "pass"})
    add_sweep(tmp_path, OF_A_GATE, "survived", "not reached")
    add_sweep(tmp_path, SWEEP, "survived", "failed", "survived")
    found = RunList(tmp_path).read()
    assert [run.id.partition("/")[0] for run in found.runs] == ["gate", "soak_c"]
    assert [(one.id, one.gate) for one in found.batches] == [
        (SWEEP, ""),
        (OF_A_GATE, "gate/20260205-000000-s7-dddd"),
    ]
    first, second = found.batches
    assert (first.word, first.asked) == ("NOT CRASH-SAFE", "3 points: crash")
    assert first.counts == {"survived": 2, "failed": 1}
    assert (second.word, second.of) == ("NOT PROVEN", "reference")


def test_the_runs_of_a_sweep_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    add_sweep(tmp_path, SWEEP, "survived", "failed")
    add_gate(tmp_path, OF_A_GATE.split("/")[1], {})
    add_sweep(tmp_path, OF_A_GATE, "survived")
    runs = RunList(tmp_path)
    runs.read()
    assert [run.word for run in runs.runs_of(SWEEP)] == ["fail", "pass"]
    (run,) = runs.runs_of(OF_A_GATE)
    assert (run.batch, run.gate) == (OF_A_GATE, "gate/20260205-000000-s7-dddd")
    name = run.id.rpartition("/")[2]
    assert runs.run_of(OF_A_GATE, ["sweep_point", name, "x"]) == (run, ["x"])
    for parts in (["..", name], ["sweep_point", ".."], ["sweep_point", "x"], ["sweep_point"], []):
        assert runs.run_of(OF_A_GATE, parts)[0] is None


@pytest.mark.parametrize("state", ["running", "interrupted", "stopped"])
def test_a_sweep_that_did_not_end_is_not_finished(state: str, tmp_path: Path) -> None:
    add_sweep(tmp_path, SWEEP, "survived", state=state)
    (sweep,) = RunList(tmp_path).read().batches
    assert (sweep.word, sweep.ended) == ("NOT FINISHED", state == "stopped")


@pytest.mark.parametrize(
    ("word", "state", "shown"),
    [
        *(("BLOCK", "complete", "BLOCK"), ("INCONCLUSIVE", "stopped", "INCONCLUSIVE")),
        *(("INCONCLUSIVE", "interrupted", "NOT FINISHED"), ("BLOCK", "running", "BLOCK")),
    ],
)
def test_a_comparison_is_listed_with_its_runs(
    tmp_path: Path, word: str, state: str, shown: str
) -> None:
    name = add_comparison(tmp_path, "20260207-000000-s7-ffff", word=word, state=state).name
    runs = RunList(tmp_path)
    (entry,) = runs.read().batches
    assert (entry.word, entry.of, entry.asked) == (
        shown,
        "mine against reference",
        "soak_b under no fault",
    )
    assert entry.ended is (state in ("complete", "stopped"))
    found = runs.runs_of(entry.id)
    assert [run.word for run in found] == ["fail", "pass"], "a revision is no run"
    assert {run.batch for run in found} == {f"compare/{name}"}


def test_a_campaign_is_listed_with_its_runs(tmp_path: Path) -> None:
    folder = add_campaign(tmp_path, "20260208-000000-s7-ffff", "pass", "fail", left=1)
    runs = RunList(tmp_path)
    (entry,) = runs.read().batches
    assert (entry.word, entry.ended, entry.asked) == ("NOT FINISHED", False, "3 runs")
    result = {"word": "FAIL", "of": "mine", "asked": "3 runs: soak_c"}
    (folder / "result.json").write_text(json.dumps({**result, "counts": {"pass": 2, "fail": 1}}))
    (entry,) = runs.read().batches
    assert (entry.word, entry.ended, entry.of) == ("FAIL", True, "mine")
    assert entry.counts_text == "2 pass, 1 fail"
    assert [run.word for run in runs.runs_of(entry.id)] == ["fail", "pass"]
    run, rest = runs.run_of(entry.id, ["runs", "00002", "1", "logs"])
    assert run is not None and (run.word, run.batch, rest) == ("fail", entry.id, ["logs"])
    for parts in (["runs", "00002"], ["runs", "..", "1"], ["scratch", "00002", "1"]):
        assert runs.run_of(entry.id, parts) == (None, parts)


@pytest.mark.parametrize("content", ["{", "[]", '{"asked": {}}', '{"state": 3}'])
def test_a_damaged_sweep_is_an_entry_that_says_so(content: str, tmp_path: Path) -> None:
    (add_sweep(tmp_path, SWEEP) / "sweep.json").write_text(content)
    (sweep,) = RunList(tmp_path).read().batches
    assert sweep.word == ""
    assert "sweep.json is damaged" in sweep.problem


def test_the_sweep_of_a_gate_is_part_of_its_entry(tmp_path: Path) -> None:
    folder = add_gate(tmp_path, OF_A_GATE.split("/")[1], {})
    content = json.loads((folder / "gate.json").read_text())
    content["sweep"] = {
        "name": "crash sweep",
        "state": "done",
        "word": "SURVIVED",
        "verdict": "pass",
    }
    content["sweep"] |= {"sweep": "sweep/20260205-000003-s7-cccc", "counts": {"survived": 2}}
    (folder / "gate.json").write_text(json.dumps(content))
    (gate,) = RunList(tmp_path).read().gates
    assert gate.sweep is not None
    assert (gate.sweep.sweep, gate.sweep.word) == (OF_A_GATE, "SURVIVED")
