"""The JavaScript worker: its target, its log as tables, and one real run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from chaos.record.open_run import OpenRun
from tests.examples.cases import Case
from tests.examples.matrix import run, wrong
from tests.examples.plans import plan_of, record_of

_DAY = "2025-11-28T10:00:"
_LOG = [
    {
        "file": "a.json",
        "status": "ANSWERED",
        "started": f"{_DAY}01.000Z",
        "ended": f"{_DAY}04.500Z",
        "calls": [
            {"started": f"{_DAY}01.000Z", "ok": False, "ended": f"{_DAY}02.000Z"},
            {
                "started": f"{_DAY}03.000Z",
                "ok": True,
                "answer": "Because it is fair.",
                "ended": f"{_DAY}04.000Z",
            },
        ],
    },
]


@pytest.mark.parametrize("soak", ["soak_a", "soak_b", "soak_c"])
def test_target_resolves_with_each_soak(soak: str) -> None:
    target = plan_of("node", soak).target
    assert target.watcher.start[0] == "node"
    assert target.says("decisions.started_at") and target.says("calls.answer")
    assert not target.says("decisions.fallback")


def test_line_of_the_log_is_a_decision_with_its_calls(tmp_path: Path) -> None:
    log = "".join(json.dumps(line) + "\n" for line in _LOG)
    with OpenRun(record_of("node", tmp_path, {"answers.jsonl": log})) as opened:
        decisions = opened.sql("select line, request, completed, end_s - start_s from decisions")
        assert decisions == [(1, "a.json", True, 3.5)]
        calls = opened.sql("select number, ok, answer, end_s - start_s from calls order by number")
        assert calls == [(1, False, None, 1.0), (2, True, "Because it is fair.", 1.0)]


@pytest.mark.stack
@pytest.mark.whole_run
@pytest.mark.slow(seconds=40)
@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_control_of_soak_b_passes(tmp_path: Path) -> None:
    case = Case("node", "soak_b", "none")
    done = run(case, tmp_path)
    assert not wrong(case, done), done.text
