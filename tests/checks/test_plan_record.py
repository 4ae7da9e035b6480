"""A run whose record does not say, or contradicts, what was to happen is invalid, never a pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.checks.verdict import Verdict
from chaos.record.agreement import content_hash
from chaos.record.rundir import RunDir
from chaos.runner.judge import judge
from tests.checks.history_builder import PlantedRun


@pytest.fixture
def planted(planted: PlantedRun) -> PlantedRun:
    return planted.ask_only("errors")


@pytest.fixture
def control(control: PlantedRun) -> PlantedRun:
    return control.ask_only("errors")


def judged(run: RunDir, words: str) -> Verdict:
    """The verdict of an invalid run, which must say `words` and claim to be no control."""
    verdict = judge(run)
    assert (verdict.verdict, verdict.exit_code) == ("invalid", 4)
    (finding,) = [f for f in verdict.findings if f.outcome == "invalid"]
    assert finding.check == "record_complete"
    assert words in finding.summary
    assert not any("control" in note for note in verdict.notes)
    return verdict


def changed(run: RunDir, path: Path, *, rehash: bool = False, **changes: Any) -> None:
    content = run.read_json(path) | changes
    if rehash:
        content["hash"] = content_hash(content)
    run.write_json(path, content)


def test_a_run_under_faults_and_the_control_have_a_whole_record(
    planted: PlantedRun, tmp_path: Path
) -> None:
    assert judge(planted.write()).verdict == "pass"
    verdict = judge(PlantedRun(tmp_path / "control", cuts=()).ask_only("errors").write())
    assert verdict.verdict == "pass"
    assert any("control" in note for note in verdict.notes)


@pytest.mark.parametrize("under_faults", [True, False])
def test_a_missing_schedule_is_no_control(
    planted: PlantedRun, control: PlantedRun, under_faults: bool
) -> None:
    run = (planted if under_faults else control).write()
    run.schedule.unlink()
    judged(run, "schedule.json is missing")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON"),
        ("\udcff", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "expected a JSON object"),
        ("{}", "no list of items"),
        ('{"items": 5}', "no list of items"),
        ('{"hash": 5, "faults": [{"name": 3}]}', "no list of items"),
        ('{"items": [3, {"name": "llm_timeout"}]}', "an item has no fault_id and name"),
        ('{"items": [{"fault_id": "f001", "name": 3}]}', "an item has no fault_id and name"),
        ('{"items": [], "hash": "0123456789abcdef"}', "the hash 0123456789abcdef does not fit"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_said(
    planted: PlantedRun, content: str, words: str
) -> None:
    run = planted.write()
    run.schedule.write_bytes(content.encode("utf-8", "surrogateescape"))
    judged(run, words)


def test_a_schedule_that_was_changed_does_not_fit_its_hash(planted: PlantedRun) -> None:
    run = planted.write()
    items = run.read_json(run.schedule)["items"]
    changed(run, run.schedule, items=items[:1])
    judged(run, "does not fit the content")


def test_faults_that_were_asked_for_and_not_scheduled(planted: PlantedRun) -> None:
    run = planted.write()
    changed(run, run.schedule, items=[], rehash=True)
    judged(run, "config.json asks for llm_timeout, which schedule.json does not schedule")


def test_faults_that_were_scheduled_and_not_asked_for(planted: PlantedRun) -> None:
    run = planted.write()
    changed(run, run.config, faults=[])
    judged(run, "schedule.json schedules llm_timeout, which config.json does not ask for")


def test_another_seed_and_a_config_that_names_no_faults(planted: PlantedRun) -> None:
    run = planted.write()
    changed(run, run.schedule, seed=8, rehash=True)
    judged(run, "config.json is of seed 7, schedule.json of seed 8")
    changed(run, run.config, faults=None)
    judged(run, "does not say which faults")


def test_strikes_need_not_draw_every_fault_but_must_be_so_many(planted: PlantedRun) -> None:
    run = planted.write()
    faults = [*run.read_json(run.config)["faults"], {"name": "disk_full", "control": False}]
    changed(run, run.config, faults=faults, strikes=2)
    assert judge(run).verdict == "pass"
    changed(run, run.config, strikes=3)
    judged(run, "asks for 3 strikes, schedule.json has 2")


def test_a_run_of_which_nothing_was_asked_is_invalid(planted: PlantedRun) -> None:
    run = planted.write()
    changed(run, run.config, criteria={})
    judged(run, "config.json has no criteria")


def test_a_schedule_of_a_version_with_other_fields_keeps_its_hash(planted: PlantedRun) -> None:
    """The hash is over what is stored, not over what this version would make of it."""
    planted.schedule["of_another_version"] = {"a": [1.0, None]}
    run = planted.write()
    assert json.loads(run.schedule.read_text())["of_another_version"]
    assert judge(run).verdict == "pass"
