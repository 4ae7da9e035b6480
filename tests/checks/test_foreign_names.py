"""A file of the Watcher whose name is no UTF-8 is judged like any other, and breaks nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.checks.verdict import Verdict
from chaos.cli.triage import explain
from chaos.record.history import HistoryWriter, Record, read_history
from chaos.record.rundir import RunDir, write_atomic
from chaos.report.write import FORMATS
from chaos.runner.judge import judge
from chaos.runner.resolve import read_target
from chaos.soaks.waiting import snapshot
from chaos.stack.workspace import collect
from chaos.triage.text import plain
from tests.checks.history_builder import PlantedRun, finding, not_passed

ODD, WRITTEN = "A\udcff.json", "A\\udcff.json"  # the byte 0xff, as Python reads it


@pytest.fixture
def planted(tmp_path: Path) -> PlantedRun:
    return PlantedRun(tmp_path / "run")


def stored(run: RunDir) -> Verdict:
    """As anyone reads it: strict JSON, and a report that is UTF-8."""
    assert run.report.read_text(encoding="utf-8")
    return msgspec.json.decode(run.verdict.read_bytes(), type=Verdict)


def test_a_sound_candidate_with_such_a_name_passes(planted: PlantedRun) -> None:
    planted.files[f"artefacts/policy_history/{ODD}"] = '{"candidate_id": "odd"}'
    run = planted.write()
    verdict = judge(run)
    assert "policy_candidates" not in not_passed(verdict)
    assert stored(run) == verdict


def test_one_that_was_there_before_is_not_new(planted: PlantedRun) -> None:
    """The history has its name written out."""
    counts = []
    for before in ([], [WRITTEN]):
        planted.event("baseline_files")["detail"]["policy_candidates"] = before
        planted.files[f"artefacts/policy_history/{ODD}"] = '{"candidate_id": "odd"}'
        counts.append(finding(judge(planted.write()), "policy_candidates").measured)
    assert counts[0] == int(counts[1] or 0) + 1


def test_an_unusable_one_is_named(planted: PlantedRun) -> None:
    planted.files[f"artefacts/policy_history/{ODD}"] = "{}"
    planted.files[f"artefacts/watcher_requests/{ODD}"] = "{"
    run = planted.write()
    judge(run)
    wrong = finding(stored(run), "policy_candidates")
    assert (wrong.outcome, wrong.evidence[0].ref) == ("fail", f"artefacts/policy_history/{WRITTEN}")
    report = run.report.read_text(encoding="utf-8")
    assert WRITTEN in report or WRITTEN.replace("\\", "\\\\") in report
    text = plain(explain(str(run.path), run.path.parent, target="unused", deep=False))
    assert text.encode()


def test_the_other_reports_are_written_as_well(planted: PlantedRun) -> None:
    from chaos.report.stored import load

    planted.files[f"artefacts/policy_history/{ODD}"] = "{}"
    run = planted.write()
    judge(run)
    for kind in ("junit", "metrics", "markdown", "github", "html"):
        write_atomic(run.path / "out", FORMATS[kind].text(load(run)))


def test_the_record_of_a_run_takes_such_names(tmp_path: Path) -> None:
    heard: list[Record] = []
    history = HistoryWriter(tmp_path / "history.jsonl", "r", listener=heard.append)
    history.event("inspection", waiting=[ODD], **{ODD: {"deep": (ODD, 1)}})
    history.event("drained", waiting=["Ä.json"])
    history.close()
    records = [record for _, record in read_history(tmp_path / "history.jsonl")]
    detail = {"waiting": [WRITTEN], WRITTEN: {"deep": [WRITTEN, 1]}}
    assert [getattr(r, "detail", {}) for r in records[1:]] == [detail, {"waiting": ["Ä.json"]}]
    assert str(heard[1]).encode()


def test_the_state_before_the_work_and_the_note_of_a_collection_can_be_written(
    tmp_path: Path,
) -> None:
    target = read_target("reference")[1]
    workspace = tmp_path / "workspace"
    (workspace / "policy_history").mkdir(parents=True)
    (workspace / "policy_history" / ODD).symlink_to("nowhere")
    (workspace / target.source("draws").path).write_text('{"draws": []}')
    history = HistoryWriter(tmp_path / "history.jsonl", "r")
    history.event("baseline_files", **snapshot(workspace, target))
    history.close()
    collect(workspace, tmp_path / "out", set())
    note = msgspec.json.decode((tmp_path / "out" / "_collected.json").read_bytes())
    assert note["left_out"] == [f"policy_history/{WRITTEN}: not a regular file"]
