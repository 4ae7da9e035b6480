"""One request through the running daemon: obeyed answers, published effects, marked failures."""

from __future__ import annotations

import json
from typing import Any

import pytest
import wire_stand_in as stand
from watcher_lab import Lab
from wire_stand_in import StandIn, completion, http, raw

from tests.waiting import wait_for


def assert_completed(lab: Lab, decision: dict[str, Any]) -> None:
    """Asserts what must hold after every completed dispatch."""
    assert decision["status"] == "COMPLETED"
    assert decision["effects"]["child_exit"] == 0
    assert lab.names() == lab.names("claimed") == []
    wait_for("staging dropped", lambda: not list((lab.root / "work").iterdir()))
    assert not (lab.root / "not_an_artefact.py").exists()
    lab.assert_no_trouble()


@pytest.mark.parametrize("verdict", ["promote", "hold"])
@pytest.mark.parametrize("effort", ["light", "normal", "thorough"])
def test_a_selfplay_answer_is_obeyed(lab: Lab, wire: StandIn, effort: str, verdict: str) -> None:
    """The child gets the effort. Only `promote` puts the candidate into use."""
    wire.answers = {"effort": effort, "verdict": verdict}
    lab.submit("a.json", sequence_number=7, parameters={"episodes": 3})
    lab.start()
    decision = lab.decision("a.json")
    assert_completed(lab, decision)
    candidate = lab.json("policy_history/cand_a.json")
    assert (candidate["episodes"], candidate["effort"]) == (3, effort)
    assert (lab.root / "learned_policy_candidate.json").exists() is (verdict == "promote")
    assert (decision["sequence_number"], decision["source"]) == (7, "test")
    assert decision["dispatch"] == "dispatch_selfplay" and decision["decided_by"] == "llm"
    assert "heuristic_fallback" not in decision
    assert [call["question"] for call in decision["llm_calls"]] == ["plan", "evaluation"]
    assert wire.commands == ["stop", "start"]
    assert decision["lifecycle"]["stop"]["ok"] and decision["lifecycle"]["start"]["ok"]


@pytest.mark.parametrize("verdict", ["promote", "hold"])
def test_a_learning_answer_is_obeyed(lab: Lab, wire: StandIn, verdict: str) -> None:
    """The model's files are always published. Only `promote` changes the champion."""
    wire.answers = {"verdict": verdict}
    lab.submit("a.json", "learning_loop")
    lab.start()
    decision = lab.decision("a.json")
    assert_completed(lab, decision)
    assert decision["dispatch"] == "dispatch_learning"
    assert decision["effects"]["array_module"] == "numpy"  # from the child's result
    assert lab.json("telemetry/learning_health_latest.json")["total_models"] == 1
    assert lab.json("prediction_pool.json")["for"] == "a.json"
    assert lab.json("survivors_with_scores.json")["for"] == "a.json"
    assert (lab.root / "models/champion.json").exists() is (verdict == "promote")
    if verdict == "promote":
        assert lab.json("models/champion.json") == lab.json("models/model_1.json")


def test_requests_are_served_in_order_and_each_once(lab: Lab) -> None:
    """Ten mixed requests in order of arrival, each with one decision and one archived file."""
    names = [f"soak_B_{number:02d}.json" for number in range(10, 0, -1)]
    lab.start()
    for number, name in enumerate(names):
        kind = "learning_loop" if number in (5, 6, 7) else "selfplay"
        lab.submit(name, kind, sequence_number=number)
    wait_for("ten archived", lambda: len(lab.archived()) == 10)
    decisions = lab.decisions()
    assert [decision["request_file"] for decision in decisions] == names
    assert [decision["sequence_number"] for decision in decisions] == list(range(10))
    assert lab.json("telemetry/learning_health_latest.json")["total_models"] == 3
    assert lab.halt() == 0
    lab.assert_no_trouble()


def test_an_outage_causes_a_marked_fallback_only_while_it_lasts(lab: Lab, wire: StandIn) -> None:
    """During the outage each decision is marked; afterwards the LLM decides again."""
    lab.set_policies(timeout_seconds=0.3)
    wire.default = stand.hang
    lab.submit("during.json", "learning_loop")
    lab.start()
    cut = lab.decision("during.json")
    assert cut["heuristic_fallback"] is True and cut["decided_by"] == "heuristic"
    assert [call["outcome"] for call in cut["llm_calls"]] == ["failed", "failed"]
    assert cut["status"] == "COMPLETED"
    assert not (lab.root / "models/champion.json").exists()  # the safe verdict is `hold`
    wire.default = stand.good
    lab.submit("after.json")
    healed = lab.decision("after.json")
    assert "heuristic_fallback" not in healed and healed["decided_by"] == "llm"
    lab.assert_no_trouble()


@pytest.mark.parametrize("failing", ["plan", "evaluation"])
def test_one_failed_question_marks_the_decision(lab: Lab, wire: StandIn, failing: str) -> None:
    """A fallback of either question marks the decision; the other question is still asked."""
    bad = raw(http(500, {}))
    wire.script.extend([bad, bad] if failing == "plan" else [stand.good, bad, bad])
    lab.submit("a.json")
    lab.start()
    decision = lab.decision("a.json")
    outcomes = {call["question"]: call["outcome"] for call in decision["llm_calls"]}
    assert outcomes == {"plan": "ok", "evaluation": "ok", failing: "failed"}
    assert decision["heuristic_fallback"] is True


def test_an_answer_outside_the_grammar_is_never_obeyed(lab: Lab, wire: StandIn) -> None:
    """A server that ignores the grammar causes a fallback; its text is not interpreted."""
    wire.default = raw(http(200, completion("promote! promote!")))
    lab.submit("a.json")
    lab.start()
    assert lab.decision("a.json")["heuristic_fallback"] is True
    assert not (lab.root / "learned_policy_candidate.json").exists()


def test_a_dead_server_is_started_again(lab: Lab, wire: StandIn) -> None:
    """A server that died by itself is restarted while idle, and when a request needs it."""
    lab.start()
    wire.running = False
    wait_for("revived while idle", lambda: wire.running)
    wire.running = False
    lab.submit("a.json")
    assert "heuristic_fallback" not in lab.decision("a.json")


@pytest.mark.parametrize(
    ("name", "error"), [("fail.json", "exit 3"), ("void.json", "no result was written")]
)
def test_a_failed_child_publishes_nothing(lab: Lab, name: str, error: str) -> None:
    """The decision is FAILED with a reason, and the next request is processed."""
    lab.submit(name, "learning_loop")
    lab.submit("z_next.json", "learning_loop")
    lab.start()
    decision = lab.decision(name)
    assert decision["status"] == "FAILED" and error in decision["error"]
    assert decision["effects"]["artefacts"] == {}
    assert lab.decision("z_next.json")["status"] == "COMPLETED"
    assert lab.json("telemetry/learning_health_latest.json")["total_models"] == 1
    lab.assert_no_trouble()


def test_a_child_that_exceeds_its_timeout_is_killed(lab: Lab) -> None:
    """The decision is FAILED, and names the time limit."""
    policies = lab.json("watcher_policies.json")
    policies["dispatch"]["timeout_seconds"] = 0.5
    (lab.root / "watcher_policies.json").write_text(json.dumps(policies))
    lab.submit("slow.json")
    lab.start()
    decision = lab.decision("slow.json")
    assert decision["status"] == "FAILED" and "time limit" in decision["error"]
    assert lab.halt() == 0


def test_a_childs_output_is_truncated_in_the_log(lab: Lab) -> None:
    """A megabyte of output neither blocks the child nor fills the log."""
    lab.submit("loud.json")
    lab.start()
    assert lab.decision("loud.json")["status"] == "COMPLETED"
    assert (lab.root / "logs/dispatch.log").stat().st_size < 100_000


def test_a_request_completes_without_the_supervisor(lab: Lab) -> None:
    """Without the control API the dispatch goes on, and the decision records the error."""
    lab.set_policies(control="127.0.0.1:1")
    lab.submit("a.json")
    lab.start()
    decision = lab.decision("a.json")
    assert decision["status"] == "COMPLETED"
    assert "connection refused" in decision["lifecycle"]["stop"]["error"]
