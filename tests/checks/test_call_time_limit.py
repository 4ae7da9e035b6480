"""How long calls to the LLM wait, against what the target says."""

from __future__ import annotations

import pytest

from chaos.checks.finding import Finding
from tests.checks.history_builder import FAULTS, PlantedRun, judged, judged_by
from tests.checks.wire_builder import Wire


@pytest.fixture
def wire(planted: PlantedRun) -> Wire:
    planted.config["target"]["llm"]["call_limit_s"] = "{llm_timeout_s}"
    planted.config["profile"]["settings"] = {"llm_timeout_s": 2}
    return Wire(planted)


def found(wire: Wire) -> Finding:
    wire.write()
    return judged_by(wire.run, "call_time_limit")


def test_calls_that_end_in_time_pass(wire: Wire) -> None:
    begin_s = FAULTS[0][0] + 0.1
    wire.exchange(begin_s, begin_s + 3.5, ended="given_up", status=None)
    assert found(wire).outcome == "pass"


@pytest.mark.parametrize("said", [2, 2.0, "2"])
def test_limit_may_be_written_as_a_number(wire: Wire, said: object) -> None:
    wire.run.config["target"]["llm"]["call_limit_s"] = said
    assert found(wire).limit == 5.0


@pytest.mark.parametrize("facts", [{"ended": "given_up", "status": None}, {"status": 200}])
def test_a_call_that_waits_longer_fails(wire: Wire, facts: dict[str, object]) -> None:
    begin_s = FAULTS[0][0] + 0.1
    wire.exchange(begin_s, begin_s + 6.0, **facts)
    finding = found(wire)
    assert (finding.outcome, finding.measured) == ("fail", 6.0)
    assert "the daemon waited 6.0 s" in finding.evidence[0].text


def test_the_harness_may_wait_as_long_as_it_likes(wire: Wire) -> None:
    begin_s = FAULTS[0][0] + 0.1
    wire.exchange(begin_s, begin_s + 6.0, harness=True)
    assert found(wire).outcome == "pass"


def test_a_daemon_that_a_fault_keeps_from_acting_is_excused(wire: Wire) -> None:
    for record in wire.run.records:
        if record["kind"] == "fault":
            record["evidence"].get("traits", {})["affects_llm"] = False
    begin_s = FAULTS[0][0] + 0.1
    wire.exchange(begin_s, begin_s + 6.0, ended="given_up", status=None)
    assert found(wire).outcome == "pass"


@pytest.mark.parametrize("said", ["", "{another_setting}"])
def test_a_target_that_names_no_limit_is_not_judged(wire: Wire, said: str) -> None:
    wire.run.config["target"]["llm"]["call_limit_s"] = said
    wire.write()
    outcomes = [f.outcome for f in judged(wire.run).findings if f.check == "call_time_limit"]
    assert set(outcomes) <= {"skipped"}
