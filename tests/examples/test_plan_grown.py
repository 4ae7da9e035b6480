"""The grown Watcher: its target, its log of two kinds as tables, and one real run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chaos.checks.generators import expected_draws
from chaos.checks.registry import check_named
from chaos.record.open_run import OpenRun
from chaos.runner.judge import findings_of
from tests.checks.history_builder import EPOCH_S
from tests.examples.cases import EXAMPLES, Case
from tests.examples.matrix import run, wrong
from tests.examples.plans import plan_of, record_of


def _dispatch(kind: str, status: str, second: int, **details: Any) -> dict[str, Any]:
    stamp = f"2026-01-01T00:00:{second:02d}.250000"
    return {"timestamp": stamp, "dispatch_type": kind, "status": status, "details": details}


def _log(*statuses: str) -> str:
    """The log of one request after the other: a step, what was done, and the request."""
    lines: list[dict[str, Any]] = []
    for number, status in enumerate(statuses, start=1):
        lines.append({"step": "learning", "action": "proceed", "timestamp": "2025-12-31T23:00:00"})
        if status == "COMPLETED":
            lines.append(_dispatch("learning", status, 10 * number))
        path = f"watcher_requests/r{number}.json"
        kind = "ch13_request_learning_loop"
        lines.append(_dispatch(kind, status, 10 * number, request_path=path))
    return "".join(json.dumps(line) + "\n" for line in lines)


def _opened(folder: Path, log: str, *archived: str) -> OpenRun:
    record = record_of("plan-grown", folder, {"watcher_decisions.jsonl": log})
    archive = record.artefacts / "watcher_requests" / "archive"
    for file in archive.iterdir():  # of the run that stands around the log
        file.unlink()
    for name in archived:
        (archive / name).write_text('{"request_type": "learning_loop"}')
    return OpenRun(record)


def _outcome(opened: OpenRun, check: str) -> str:
    return findings_of(opened, check_named(check), {})[0].outcome


@pytest.mark.parametrize("soak", ["soak_a", "soak_b", "soak_c"])
def test_target_resolves_with_each_soak(soak: str) -> None:
    target = plan_of("plan-grown", soak).target
    assert target.work.request_of("REJECTED_BY_LLM_20260101_000000_a.json") == "a.json"
    assert target.work.status_of("REJECTED_BY_LLM_20260101_000000_a.json") == "REJECTED_BY_LLM"
    assert target.says("decisions.kind") and not target.says("decisions.started_at")
    assert target.decisions.path and not target.decisions.status


def test_request_is_one_decision_with_the_line_that_names_it(tmp_path: Path) -> None:
    with _opened(tmp_path, _log("COMPLETED", "REJECTED_BY_LLM")) as opened:
        rows = opened.sql("select line, request, kind, completed, refused, end_s from decisions")
        assert opened.epoch_s == EPOCH_S
        assert rows == [
            (3, "r1.json", "learning", True, False, 10.25),
            (5, "r2.json", "learning", False, True, 20.25),
        ]


def test_refused_request_has_ended(tmp_path: Path) -> None:
    with _opened(tmp_path, _log("COMPLETED", "REJECTED_BY_LLM")) as opened:
        assert _outcome(opened, "work_completed") == "pass"


@pytest.mark.parametrize("statuses", [("COMPLETED", "FAILED"), ("REJECTED_BY_LLM",) * 3])
def test_failed_work_and_refusals_alone_are_findings(
    tmp_path: Path, statuses: tuple[str, ...]
) -> None:
    with _opened(tmp_path, _log(*statuses)) as opened:
        assert _outcome(opened, "work_completed") == "fail"


@pytest.mark.parametrize(
    ("status", "outcome"), [("REJECTED_BY_LLM", "pass"), ("COMPLETED", "fail")]
)
def test_refusal_may_be_told_by_the_archive_alone(
    tmp_path: Path, status: str, outcome: str
) -> None:
    done = ("COMPLETED_20260101_000010_r1.json", f"{status}_20260101_000020_x.json")
    with _opened(tmp_path, _log("COMPLETED"), *done) as opened:
        assert _outcome(opened, "exactly_once") == outcome


@pytest.fixture
def watcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, imported, in a working directory with its queue. LLM and work do well."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "plan-grown"))
    for name in ("watcher", "llm"):
        sys.modules.pop(name, None)
    module = importlib.import_module("watcher")
    for name in ("watcher", "llm"):  # programs of other tests have these names, too
        sys.modules.pop(name, None)
    monkeypatch.setattr(module, "ask_llm", lambda prompt: ("proceed", 0.9))
    monkeypatch.setattr(module, "work", lambda kind, request: True)
    monkeypatch.chdir(tmp_path)
    module.ARCHIVE.mkdir(parents=True)
    return module


def _decided() -> int:
    return Path("watcher_decisions.jsonl").read_text().count("request_path")


def test_request_that_an_earlier_life_decided_is_only_archived(
    watcher: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same name that is put into the queue later is another request."""
    request = watcher.QUEUE / "r1.json"
    for decided in (1, 2):
        request.write_text('{"request_type": "learning_loop"}')
        with monkeypatch.context() as crash:
            crash.setattr(watcher, "archive", lambda path, status: None)
            watcher.process(request)
        with Path("watcher_decisions.jsonl").open("a") as log:
            log.write('{"half a line\n')
        watcher.process(request)
        assert _decided() == decided
        (archived,) = watcher.ARCHIVE.iterdir()
        assert archived.name.startswith("COMPLETED_")
        archived.unlink()


def test_draws_are_those_of_the_reference_program(tmp_path: Path) -> None:
    name = str(EXAMPLES / "plan-grown" / "reference.py")
    printed = subprocess.run(
        [sys.executable, name, "20"], capture_output=True, text=True, check=True
    )
    values = printed.stdout.split()
    draws = [{"position": n + 1, "raw_value": int(value)} for n, value in enumerate(values[:5])]
    files = {"lottery_history.json": json.dumps(draws)}
    record = record_of("plan-grown", tmp_path, files)
    record.expected_draws.write_text(printed.stdout)
    with OpenRun(record) as opened:
        assert opened.sql("select value from draws") == [(int(value),) for value in values[:5]]
        # Nobody asked the program in the run that stands around the files.
        assert _outcome(opened, "draws_expected") == "unverified"


@pytest.mark.stack
@pytest.mark.whole_run
@pytest.mark.slow(seconds=45)
def test_control_of_soak_b_passes(tmp_path: Path) -> None:
    case = Case("plan-grown", "soak_b", "none")
    done = run(case, tmp_path)
    assert not wrong(case, done), done.text
    with OpenRun(done.run()) as opened:
        ((_, asked),) = opened.named("draws_recomputed")
        assert not asked.detail.get("problem")
        assert len(expected_draws(opened, 1000).values) >= 1000
