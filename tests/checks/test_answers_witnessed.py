"""What decisions say that the LLM answered, against what came over the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chaos.checks.finding import Finding
from tests.checks.history_builder import PlantedRun, _t_s, judged, judged_by
from tests.checks.wire_builder import Wire
from tests.checks.witness_builder import Witnessed


@pytest.fixture
def wire(planted: PlantedRun) -> Wire:
    return Wire(planted)


def found(wire: Wire) -> Finding:
    wire.write()
    return judged_by(wire.run, "answers_witnessed")


def answered_call(run: PlantedRun) -> dict[str, Any]:
    return next(c for d in run.decisions for c in d["llm_calls"] if c["outcome"] == "ok")


def test_a_run_whose_answers_all_came_over_the_wire_passes(wire: Wire) -> None:
    assert found(wire).outcome == "pass"


def test_an_answer_that_never_came_fails(wire: Wire) -> None:
    wire.lines.remove(next(x for x in wire.lines if not x.get("harness")))
    finding_ = found(wire)
    assert (finding_.outcome, finding_.measured) == ("fail", 1)
    assert "no answer came over the wire" in finding_.evidence[0].text


def test_a_daemon_that_asks_past_the_link_is_told_so(planted: PlantedRun) -> None:
    witnessed = Witnessed(planted)
    connect = next(line for line in witnessed.lines if line["call"] == "connect")
    connect["address"] = "127.0.0.1:8081"
    witnessed.write()
    kept = [line for line in Wire(planted).lines if abs(line["time_s"] - connect["time_s"]) > 0.1]
    planted.files["wire.jsonl"] = "".join(json.dumps(line) + "\n" for line in kept)
    finding_ = judged_by(planted, "answers_witnessed")
    assert finding_.measured == 1
    assert "went to 127.0.0.1:8081, past the link" in finding_.evidence[0].text


@pytest.mark.parametrize(
    "facts", [{"status": 503}, {"ended": "cut"}, {"ended": "given_up"}, {"harness": True}]
)
def test_an_exchange_that_did_not_answer_the_daemon_is_no_answer(
    wire: Wire, facts: dict[str, Any]
) -> None:
    next(x for x in wire.lines if not x.get("harness")).update(facts)
    assert found(wire).outcome == "fail"


def test_an_exchange_that_could_not_be_read_accuses_nobody(wire: Wire) -> None:
    next(x for x in wire.lines if not x.get("harness")).update(ended="garbled", text=None)
    assert found(wire).outcome == "pass"


def test_another_answer_than_the_one_that_came_fails(wire: Wire) -> None:
    answered_call(wire.run)["answer"] = {"effort": "made up"}
    finding_ = found(wire)
    assert finding_.measured == 1
    assert "made up" in finding_.evidence[0].text and "over the wire" in finding_.evidence[0].text


@pytest.mark.parametrize(
    ("claimed", "text"),
    [
        ({"a": "light", "n": [3, True, None]}, '{"n": 3, "also": true, "a": "light"}'),
        ("light", "I would choose light."),
        ('a "quoted" line\nand one more', 'a "quoted" line\nand one more'),
        ({"why": 'he said "no"'}, '{"why": "he said \\"no\\""}'),
        (None, "anything"),
    ],
)
def test_an_answer_may_be_logged_in_another_form(wire: Wire, claimed: Any, text: str) -> None:
    answered_call(wire.run)["answer"] = claimed
    next(x for x in wire.lines if not x.get("harness"))["text"] = text
    assert found(wire).outcome == "pass"


def test_attempts_that_the_decision_does_not_list_fail(wire: Wire) -> None:
    call = answered_call(wire.run)
    call["attempts"] = 1
    start_s = _t_s(call["started_at"])
    for number in range(3):
        begin_s = start_s + 0.02 + number * 0.01
        wire.exchange(begin_s, begin_s + 0.005, ended="reset", status=None)
    finding_ = found(wire)
    assert (
        finding_.measured == 1 and "lists 1 attempt, and 4 were seen" in finding_.evidence[0].text
    )


def test_attempts_of_calls_at_the_same_time_are_not_mixed_up(wire: Wire) -> None:
    """A daemon with several workers: whose attempt it was cannot be seen."""
    call = answered_call(wire.run)
    decision = next(d for d in wire.run.decisions if call in d["llm_calls"])
    decision["llm_calls"].append({**call})
    wire.exchange(_t_s(call["started_at"]) + 0.02, _t_s(call["ended_at"]) - 0.02, text="{}")
    assert found(wire).outcome == "pass"


def test_stamps_in_whole_seconds_are_read_as_such(wire: Wire) -> None:
    for decision in wire.run.decisions:
        for call in decision["llm_calls"]:
            for stamp in ("started_at", "ended_at"):
                call[stamp] = call[stamp][:19] + "Z"
    assert found(wire).outcome == "pass"


def test_a_daemon_that_lists_no_calls_is_not_judged(wire: Wire) -> None:
    wire.run.config["target"]["records"]["calls"] = None
    wire.write()
    assert {f.outcome for f in judged(wire.run).findings if f.check == "answers_witnessed"} == {
        "skipped"
    }


def test_frames_that_were_lost_make_it_unverified(wire: Wire) -> None:
    wire.write()
    wire.run.files["wire.jsonl"] += '{"time_s": 1.0, "dropped": 12}\n'
    assert judged_by(wire.run, "answers_witnessed").outcome == "unverified"


def test_a_record_that_is_missing_makes_it_unverified(wire: Wire) -> None:
    assert judged_by(wire.run, "answers_witnessed").outcome == "unverified"
