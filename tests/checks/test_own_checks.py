"""Checks of an experiment: judged like shipped ones, refused before the start when wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.base.errors import UsageError
from chaos.base.shipped import EXPERIMENTS
from chaos.runner.resolve import Request, resolve
from tests.checks.history_builder import PlantedRun, finding, judged

SLOW = {
    "title": "No decision takes long",
    "sql": "select decision_ref(line) as ref, request || ' took ' || (end_s - start_s) as text "
    "from decisions where end_s - start_s > $limit_s",
    "params": {"limit_s": 60.0},
    "needs": ["decisions"],
    "passed": "none took more than {limit_s} s",
    "failed": "{wrong} took more than {limit_s} s",
}


@pytest.fixture
def planted(tmp_path: Path) -> PlantedRun:
    return PlantedRun(tmp_path / "run").ask_only("errors", "halt", "heuristic_fallbacks")


def with_check(planted: PlantedRun, **changes: Any) -> PlantedRun:
    planted.config["checks"] = {"slow_decisions": {**SLOW, **changes}}
    return planted


def test_own_check_passes_a_healthy_run(planted: PlantedRun) -> None:
    verdict = judged(with_check(planted))
    found = finding(verdict, "slow_decisions")
    assert (found.outcome, found.owner, found.title) == ("pass", "product", SLOW["title"])
    assert found.summary == "none took more than 60.0 s" and verdict.exit_code == 0


def test_own_check_fails_what_it_finds(planted: PlantedRun) -> None:
    verdict = judged(with_check(planted, params={"limit_s": 0.1}))
    found = finding(verdict, "slow_decisions")
    assert found.outcome == "fail" and verdict.exit_code == 1
    assert found.evidence_count == len(planted.decisions)
    assert found.evidence[0].ref == "artefacts/watcher_decisions.jsonl:1"


def test_own_check_without_its_table_is_inconclusive(planted: PlantedRun) -> None:
    found = finding(judged(with_check(planted, needs=["candidates", "planted"])), "slow_decisions")
    assert found.outcome == "inconclusive" and "planted" in found.summary


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sql": "selec"}, "Parser Error"),
        ({"sql": "select * from decision"}, "no table 'decision'"),
        ({"sql": "delete from decisions"}, "only one `select`"),
        ({"sql": "select ref, text from read_csv('/etc/hosts')"}, "only the run directory"),
        ({"sql": 7}, "Expected `str`"),
        ({"needs": ["decision"]}, "unknown table"),
        ({"failed": "{wron}"}, "cannot fill"),
        ({"limit": 1}, "unknown field"),
    ],
)
def test_wrong_own_check_is_exit_2_and_the_others_still_judge(
    planted: PlantedRun, change: dict[str, Any], said: str
) -> None:
    verdict = judged(with_check(planted, **change))
    found = finding(verdict, "slow_decisions")
    assert found.outcome == "invalid" and said in found.summary
    assert "config.json checks.slow_decisions" in found.summary
    assert verdict.exit_code == 2
    others = {f.outcome for f in verdict.findings if f.check != "slow_decisions"}
    assert others <= {"pass", "skipped"} and len(verdict.findings) > len(planted.config["criteria"])


def test_failure_of_the_product_outweighs_a_wrong_own_check(planted: PlantedRun) -> None:
    planted.first_fallback().pop("heuristic_fallback")
    assert judged(with_check(planted, sql="selec")).exit_code == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"sql": "select line from decisions"}, "`ref` and `text` are needed"),
        ({"sql": "select decision_ref(line) as ref, statu as text from decisions"}, "statu"),
        ({"needs": ["decision"]}, "unknown table"),
        ({"title": None}, "Expected `str`"),
    ],
)
def test_own_check_is_tried_before_the_start(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    soak = yaml.safe_load((EXPERIMENTS / "soak_b.yaml").read_text("utf-8"))
    soak["checks"] = {"slow_decisions": {**SLOW, **change}}
    path = tmp_path / "soak_b.yaml"
    path.write_text(yaml.safe_dump(soak, sort_keys=False), "utf-8")
    request = Request(soak=str(path), seed=1)
    if not said:
        assert resolve(request).checks["slow_decisions"]["title"] == SLOW["title"]
        return
    with pytest.raises(UsageError, match=said) as caught:
        resolve(request)
    assert f"{path.name}:" in caught.value.place and "slow_decisions" in caught.value.place


def test_own_check_cannot_take_the_name_of_a_shipped_one(planted: PlantedRun) -> None:
    planted.config["checks"] = {"stall": SLOW}
    assert "a shipped check has this name" in " ".join(f.summary for f in judged(planted).findings)
