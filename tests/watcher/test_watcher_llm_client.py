"""The LLM client against scripted wire failures (a stand-in server, real sockets)."""

from __future__ import annotations

import json
import re
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wire_stand_in as stand
from agents.llm_client import LLMClient
from agents.policies import LLMPolicies
from agents.questions import EVALUATION, PLAN, Question, evaluation_prompt, plan_prompt
from agents.stop import Halted, Stop
from wire_stand_in import StandIn, completion, http, raw

FAILURES = {
    "hang": (stand.hang, "timeout after"),
    "trickle": (stand.trickle, "timeout after"),
    "reset": (stand.reset, "connection reset|without an answer"),
    "closed": (stand.close, "without an answer"),
    "503 loading": (
        raw(http(503, {"error": {"message": "Loading model"}})),
        "HTTP 503: Loading model",
    ),
    "500": (raw(http(500, {})), "HTTP 500"),
    "429": (raw(http(429, b"")), "HTTP 429"),
    "400": (raw(http(400, {"error": {"message": "context"}})), "HTTP 400: context"),
    "truncated body": (raw(http(200, completion('{"effort":"light"}'))[:-9]), "cut short"),
    "no JSON": (raw(http(200, b"<html>")), "no JSON body"),
    "a list": (raw(http(200, [])), "no JSON body"),
    "garbage": (raw(b"\x00\x01\x02 nonsense\r\n\r\n"), "garbled"),
    "huge": (raw(http(200, b" " * 2_000_000)), "larger than"),
    "prose": (raw(http(200, completion("Sure! I would say"))), "not JSON"),
    "no content": (raw(http(200, {})), "not JSON"),
    "limit": (raw(http(200, completion('{"effort":"li', "limit"))), "was cut"),
    "unknown value": (raw(http(200, completion('{"effort":"insane"}'))), "not allowed"),
    "extra key": (raw(http(200, completion('{"effort":"light","x":1}'))), "not allowed"),
    "wrong type": (raw(http(200, completion('{"effort":["light"]}'))), "not allowed"),
}


@pytest.fixture
def settings(wire: StandIn) -> LLMPolicies:
    host, port = wire.endpoint.split(":")
    return LLMPolicies(endpoint=(host, int(port)), timeout_s=0.4, max_attempts=2, backoff_s=0.01)


def client_of(settings: LLMPolicies, stop: Stop | None = None) -> LLMClient:
    return LLMClient(stop or Stop(None), lambda: settings, lambda: None)


@pytest.mark.parametrize("name", FAILURES)
def test_a_retry_succeeds_after_any_failure(
    name: str, wire: StandIn, settings: LLMPolicies
) -> None:
    """The retry uses a new connection."""
    wire.script.append(FAILURES[name][0])
    wire.answers["effort"] = "thorough"
    answer = client_of(settings).ask(PLAN, "p")
    assert (answer.value, answer.fallback) == ("thorough", False)
    assert answer.record["outcome"] == "ok" and answer.record["attempts"] == 2
    assert len(set(wire.clients)) == 2


@pytest.mark.parametrize("name", FAILURES)
def test_a_lasting_failure_becomes_a_marked_fallback(
    name: str, wire: StandIn, settings: LLMPolicies
) -> None:
    """The heuristic's value is used, and the record says why."""
    behaviour, message = FAILURES[name]
    wire.default = behaviour
    answer = client_of(settings).ask(PLAN, "p")
    assert (answer.value, answer.fallback) == ("light", True)
    assert answer.record["outcome"] == "failed" and answer.record["answer"] is None
    assert answer.record["attempts"] == 2 == len(wire.asked)
    assert re.search(message, answer.record["error"])


def test_a_refused_connection_is_a_marked_fallback(settings: LLMPolicies) -> None:
    """No exception is raised."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = replace(settings, endpoint=("127.0.0.1", unused.getsockname()[1]))
        answer = client_of(away).ask(EVALUATION, "p")
    assert answer.fallback and answer.record["error"] == "connection refused"
    assert answer.value == "hold"


def test_the_timeout_covers_the_whole_attempt(wire: StandIn, settings: LLMPolicies) -> None:
    """A server that sends a byte every 20 ms cannot extend the timeout."""
    wire.default = stand.trickle
    once = replace(settings, max_attempts=1)
    answer = client_of(once).ask(PLAN, "p")
    assert answer.record["error"] == "timeout after 0.4 s"


def test_a_wait_for_the_llm_ends_when_asked_to_stop(
    wire: StandIn, settings: LLMPolicies, tmp_path: Path
) -> None:
    """The halt flag ends a wait of an hour."""
    flag = tmp_path / "flag"

    def halt_then_hang(server: StandIn, connection: socket.socket, body: dict[str, Any]) -> None:
        flag.touch()
        stand.hang(server, connection, body)

    wire.script.append(halt_then_hang)
    patient = replace(settings, timeout_s=3600)
    began_s = time.monotonic()
    with pytest.raises(Halted):
        client_of(patient, Stop(flag)).ask(PLAN, "p")
    assert time.monotonic() - began_s < 3600


@pytest.mark.parametrize("question", [PLAN, EVALUATION])
def test_every_answer_of_the_grammar_is_accepted(question: Question) -> None:
    key, values = stand.allowed_answers(question.grammar())
    assert (key, tuple(values)) == (question.key, question.allowed)
    for value in values:
        assert question.parse(json.dumps({key: value})) == value
    assert question.heuristic in question.allowed


def test_a_completion_request_is_bounded_and_reproducible(
    wire: StandIn, settings: LLMPolicies
) -> None:
    """It has a grammar, a short prompt, a token limit, temperature 0 and a fixed seed."""
    client_of(settings).ask(PLAN, plan_prompt("learning_loop", 12))
    [asked] = wire.asked
    assert asked["temperature"] == 0 and asked["seed"] == 1 and asked["stream"] is False
    assert 0 < asked["n_predict"] <= 24 and asked["cache_prompt"] is False
    assert asked["grammar"] == PLAN.grammar()
    assert len(asked["prompt"]) < 80


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"hit_rate": 0.5, "previous_hit_rate": 0.25}, "hit_rate 0.50, before 0.25"),
        ({"hit_rate": 0.5, "previous_hit_rate": None}, "hit_rate 0.50:"),
        ({"score": 1.0, "baseline_score": 0.9}, "score 1.00, before 0.90"),
        ({"hit_rate": True}, "without figures"),
        ({}, "without figures"),
    ],
)
def test_the_evaluation_prompt_shows_the_available_metrics(
    metrics: dict[str, object], expected: str
) -> None:
    """A result without metrics still has a prompt."""
    assert expected in evaluation_prompt(metrics)
