"""Two runs beside each other: differences first, and both at run time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.checks.verdict import Verdict
from chaos.record.run_list import RunList
from chaos.serve import compare
from chaos.serve.compare import pairs
from tests.record.runs_folder import FAILED, PASSED, add_run, verdict
from tests.serve.planted import judged
from tests.serve.serving import Server, serving, tree

pytestmark = pytest.mark.slow(seconds=3)
A, B = "soak_c/20260203-101500-s7-aaaa", "soak_c/20260204-101500-s7-bbbb"


def of(*findings: dict[str, Any]) -> Verdict:
    return msgspec.convert(verdict(findings=list(findings)), Verdict)


def finding(title: str, outcome: str) -> dict[str, Any]:
    return {**FAILED, "check": title, "title": title, "outcome": outcome}


def test_differences_come_first_and_the_worst_of_them_before_others() -> None:
    one = of(
        finding("same", "fail"), finding("b", "pass"), finding("c", "pass"), finding("d", "pass")
    )
    other = of(finding("same", "fail"), finding("c", "inconclusive"), finding("b", "fail"))
    found = pairs(one, other)
    assert [pair.title for pair in found] == ["b", "c", "d", "same"]
    assert [pair.differs for pair in found] == [True, True, True, False]
    assert found[2].b is None


def test_findings_of_one_name_are_paired_in_their_order() -> None:
    twice = [finding("x", "pass"), finding("x", "fail")]
    assert [pair.differs for pair in pairs(of(*twice), of(*twice))] == [False, False]
    assert [pair.differs for pair in pairs(of(*twice), of(*twice[::-1]))] == [True, True]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    judged(root / A)
    judged(root / B, cuts=())
    add_run(root, "soak_c/20260205-101500-s7-cccc", verdict())
    add_run(root, "soak_c/20260206-101500-s7-cccc")
    add_run(
        root, "soak_c/20260207-101500-s7-cccc", verdict(findings=[{**PASSED, "outcome": "odd"}])
    )
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    with serving(root) as running:
        yield running


def test_both_runs_are_laid_over_each_other(root: Path, server: Server) -> None:
    before = tree(root)
    page = server.ask(f"/compare?a={A}&b={B}")
    assert page.status == 200
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.text, re.S)
    assert found
    data = json.loads(found[1])
    first, second = data["runs"]
    assert [window[1:] for window in first["windows"]] == [[40.0, 54.0], [75.0, 89.0]]
    assert second["windows"] == []
    for run in (first, second):
        assert run["end_s"] == 147.0
        assert run["curves"]["memory.0"][0][0] < 5.0  # both from their own beginning
        assert len(run["curves"]["memory.0"]) <= 800
    keys = {f"{panel['key']}.{n}" for panel in data["panels"] for n in range(len(panel["curves"]))}
    assert set(first["curves"]) | set(second["curves"]) <= keys
    assert "f002 llm_timeout" in unescape(page.text)
    assert tree(root) == before


def test_curves_are_made_once_until_a_run_changes(
    root: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    original = compare._drawn
    monkeypatch.setattr(compare, "_drawn", lambda runs: made.append(runs) or original(runs))
    for _ in range(2):
        server.ask(f"/compare?a={B}&b={B}")
    assert len(made) == 1
    (root / B / "verdict.json").touch()
    server.ask(f"/compare?a={B}&b={B}")
    assert len(made) == 2


def test_a_run_without_a_record_is_compared_by_its_findings(server: Server) -> None:
    page = server.ask(f"/compare?a={A}&b=soak_c/20260205-101500-s7-cccc").text
    assert "The signals cannot be shown" in page
    assert "First in, first out" in page or '<th scope="row">Halt</th>' in page


def test_what_cannot_be_compared_says_why(root: Path, server: Server) -> None:
    for query, said in (
        ("", "choose two runs"),
        (f"a={A}", "choose two runs"),
        (f"a={A}&b=nowhere", "there is no run nowhere"),
        (f"a={A}&b=../../etc/passwd", "there is no run"),
        (f"a={A}&b=soak_c/20260206-101500-s7-cccc", "judge the run first"),
        (f"a={A}&b=soak_c/20260207-101500-s7-cccc", "not a verdict of this version"),
    ):
        page = server.ask(f"/compare?{query}")
        assert said in unescape(page.text), query
        assert "Traceback" not in page.text
    assert len(RunList(root).read().runs) == 5
