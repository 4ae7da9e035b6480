"""What a daemon did with answers that the model did not give: obeyed, refused, or not known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chaos.checks.finding import Finding
from tests.checks.history_builder import FAULTS, PlantedRun, _t_s, judged, judged_by
from tests.checks.wire_builder import Wire

WRONG = {"effort": "thorough"}


@pytest.fixture
def wire(planted: PlantedRun) -> Wire:
    for record in planted.records:
        if record["kind"] == "fault":
            record["name"] = "llm_wrong_decision"
    for item in planted.schedule["items"]:
        item["name"] = "llm_wrong_decision"
    return Wire(planted)


def in_fault(t_s: float) -> bool:
    return any(start_s < t_s < end_s for start_s, end_s in FAULTS)


def struck(wire: Wire, **call: Any) -> None:
    """A call within a fault gets a wrong answer, and says of itself what `call` says."""
    first = next(
        c for d in wire.run.decisions for c in d["llm_calls"] if in_fault(_t_s(c["started_at"]))
    )
    first.update(call)
    start_s, end_s = _t_s(first["started_at"]), _t_s(first["ended_at"])
    wire.exchange(start_s + 0.01, end_s - 0.01, text=json.dumps(WRONG))
    wire.exchange(start_s + 0.02, end_s - 0.02, text='{"effort": "light"}', link="upstream")


def found(wire: Wire) -> Finding:
    wire.write()
    return judged_by(wire.run, "wrong_answers")


def test_an_answer_that_was_obeyed_is_known(wire: Wire) -> None:
    struck(wire, outcome="ok", answer=WRONG)
    finding = found(wire)
    assert finding.outcome == "pass" and "1 obeyed" in finding.summary


def test_an_answer_that_was_refused_is_known(wire: Wire) -> None:
    struck(wire, outcome="not allowed", answer=None)
    finding = found(wire)
    assert finding.outcome == "pass" and "1 refused" in finding.summary


def test_an_answer_of_which_the_log_says_nothing_is_unverified(wire: Wire) -> None:
    struck(wire, outcome="ok", answer=None)
    for decision in wire.run.decisions:
        decision.pop("heuristic_fallback", None)
    assert found(wire).outcome == "unverified"


def test_without_a_wrong_answer_nothing_was_tested(wire: Wire) -> None:
    finding = found(wire)
    assert finding.outcome == "unverified" and "no wrong answer" in finding.summary


def test_an_answer_that_the_server_gave_too_is_not_wrong(wire: Wire) -> None:
    struck(wire, outcome="ok", answer=WRONG)
    wire.lines[-1]["text"] = json.dumps(WRONG)
    assert found(wire).outcome == "unverified"


def test_a_run_without_the_fault_is_not_judged(planted: PlantedRun) -> None:
    wire = Wire(planted)
    wire.write()
    assert "wrong_answers" not in {f.check for f in judged(planted).findings}
