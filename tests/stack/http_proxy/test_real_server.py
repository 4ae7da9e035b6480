"""The wire proxy in front of the real LLM server: the same answers, and the same words of error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.stack.http_proxy.errors import error_answer
from chaos.stack.http_proxy.rules import Params
from tests.llm.conftest import supervise as supervise  # a fixture
from tests.llm.supervised import Supervisor
from tests.stack.http_proxy.client import Seen, ask
from tests.stack.http_proxy.conftest import Wire

pytestmark = pytest.mark.stack

QUESTION = {
    "prompt": "Verdict:",
    "n_predict": 16,
    "temperature": 0,
    "seed": 1,
    "cache_prompt": False,
    "grammar": 'root ::= "{\\"verdict\\":\\"" ("promote" | "hold") "\\"}"',
}


def completion(port: int, **changes: object) -> Seen:
    return ask(port, "/completion", json.dumps({**QUESTION, **changes}).encode())


def test_real_server_answers_through_the_proxy_and_is_struck(
    supervise: Callable[..., Supervisor], make_wire: Callable[[int], Wire], model_path: Path
) -> None:
    server = supervise(model_path, "--autostart")
    server.await_healthy()
    wire = make_wire(server.port)
    direct, through = completion(server.port), completion(wire.port)
    content = json.loads(direct.body)["content"]
    assert (direct.status, direct.ended) == (through.status, through.ended) == (200, "complete")
    assert json.loads(through.body)["content"] == content
    assert json.loads(direct.body).keys() == json.loads(through.body).keys()

    streamed = completion(wire.port, stream=True)
    assert streamed.ended == "complete"
    wire.rule("truncate", after_tokens=2)
    cut = completion(wire.port, stream=True)
    assert cut.ended == "closed"
    assert cut.body.count(b"data:") == 2 < streamed.body.count(b"data:")

    wire.rule("wrong_decision")
    wrong = json.loads(completion(wire.port).body)["content"]
    assert {wrong, content} == {'{"verdict":"promote"}', '{"verdict":"hold"}'}
    streamed_wrong = completion(wire.port, stream=True)
    events = [json.loads(line[5:]) for line in streamed_wrong.body.splitlines() if line]
    assert "".join(event["content"] for event in events) == wrong
    assert wire.counters() == (2, 2)


def test_context_overflow_has_the_real_servers_message(
    supervise: Callable[..., Supervisor], model_path: Path
) -> None:
    server = supervise(model_path, "--autostart")
    server.await_healthy()
    real = ask(
        server.port, "/completion", json.dumps({"prompt": "word " * 9000, "n_predict": 1}).encode()
    )
    ours = json.loads(error_answer(Params(status=400), "/completion")[1])["error"]
    theirs = json.loads(real.body)["error"]
    assert real.status == 400
    assert ours.keys() == theirs.keys()
    assert (ours["code"], ours["type"]) == (theirs["code"], theirs["type"])
    assert _words(ours["message"]) == _words(theirs["message"])


def _words(message: str) -> str:
    return "".join(char for char in message if not char.isdigit())
