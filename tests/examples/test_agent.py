"""The agent: its target, its manners beside the stack, its result files as tables, one real run."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from chaos.record.open_run import OpenRun
from tests.examples.cases import EXAMPLES, Case
from tests.examples.matrix import run, wrong
from tests.examples.plans import plan_of, record_of

_MODULES = ("agent", "llm", "tools")
_JOB = {"id": "one.json", "task": "count"}
_TIMES = {"started": "2026-01-01T10:00:01+00:00", "ended": "2026-01-01T10:00:04.5+00:00"}
_CALL = {**_TIMES, "ok": True, "answer": "Fair."}
_RESULT = {"job": "a.json", "status": "ANSWERED", "text": "Fair.", "calls": [_CALL], **_TIMES}
_USELESS = {**_RESULT, "job": "b.json", "status": "USELESS", "calls": [_CALL, _CALL]}


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program, imported, in an empty working directory."""
    monkeypatch.syspath_prepend(EXAMPLES / "agent")
    monkeypatch.chdir(tmp_path)
    others = {name: sys.modules.pop(name) for name in _MODULES if name in sys.modules}
    yield importlib.import_module("agent")
    for name in _MODULES:
        sys.modules.pop(name, None)
    sys.modules.update(others)


def answers(agent: ModuleType, monkeypatch: pytest.MonkeyPatch, *given: Any) -> None:
    """Let the LLM give these answers, one after the other."""
    left = list(given)
    monkeypatch.setattr(agent.llm, "ask", lambda messages, tools, calls: left.pop(0))


def call(name: str, arguments: str) -> dict[str, str]:
    return {"id": "1", "name": name, "arguments": arguments}


def stream(*deltas: dict[str, Any], finish: str = "stop", end: bool = True) -> list[bytes]:
    """The lines of a streamed answer."""
    choices: list[Any] = [{"delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"delta": {}, "finish_reason": finish})
    lines = [b"data: " + json.dumps({"choices": [one]}).encode() + b"\n" for one in choices]
    return [*lines, b"\n", b"data: [DONE]\n"] if end else lines


def work_off(agent: ModuleType) -> dict[str, Any]:
    """Accept the job and work on it; the content of its result file."""
    assert agent.accept(json.dumps(_JOB)) == 202
    (file,) = agent.waiting()
    assert agent.handle(file) and not file.exists()
    result: dict[str, Any] = json.loads(Path("results/one.json").read_bytes())
    return result


@pytest.mark.parametrize("soak", ["soak_a", "soak_b", "soak_c"])
def test_target_resolves_with_each_soak(soak: str) -> None:
    target = plan_of("agent", soak).target
    assert target.work.submit.post and target.watcher.ready_url
    assert target.says("decisions.started_at") and target.says("calls.answer")


def test_result_file_is_a_decision_with_its_calls(tmp_path: Path) -> None:
    files = {f"results/{one['job']}": json.dumps(one) for one in (_RESULT, _USELESS)}
    with OpenRun(record_of("agent", tmp_path, files)) as opened:
        decisions = opened.sql("select line, request, completed, refused, end_s - start_s "
                               "from decisions order by line")  # fmt: skip
        assert decisions == [(1, "a.json", True, False, 3.5), (2, "b.json", False, True, 3.5)]
        calls = opened.sql("select line, number, ok, answer from calls order by 1, 2")
        assert calls == [(1, 1, True, "Fair."), (2, 1, True, "Fair."), (2, 2, True, "Fair.")]
        assert opened.one("select decision_ref(2)") == "artefacts/results/*.json:2"


def test_job_is_on_the_disk_when_it_is_accepted_and_may_come_again(agent: ModuleType) -> None:
    assert [agent.accept(json.dumps(_JOB)) for _ in range(2)] == [202, 202]
    assert [json.loads(file.read_bytes()) for file in agent.waiting()] == [_JOB]


@pytest.mark.parametrize(
    "body",
    ["half a li", "[]", "{}", '{"id": "../x.json", "task": ""}', '{"id": "x.json", "task": 1}'],
)
def test_body_without_a_job_is_not_accepted(agent: ModuleType, body: str) -> None:
    assert agent.accept(body) == 400
    assert not agent.waiting()


def test_job_waits_without_an_llm(agent: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(agent, monkeypatch, None)
    agent.accept(json.dumps(_JOB))
    assert not agent.handle(agent.waiting()[0])
    assert agent.waiting() and not Path("results").exists()


def test_tool_is_used_and_its_word_given_to_the_llm(
    agent: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = call("calculator", '{"a": 17, "operation": "add", "b": 25}')
    notes = call("note", '{"text": "sums are easy"}')
    answers(agent, monkeypatch, ("", [sums, notes]), ("42", []))
    assert work_off(agent)["text"] == "42"
    assert json.loads(Path("memory.json").read_bytes()) == ["sums are easy", "42"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("calculator", '{"value": "ha'),
        ("calculator", '{"a": "1", "operation": "add", "b": 2}'),
        ("calculator", '{"a": 1, "operation": "power", "b": 2}'),
        ("no_such_tool", "{}"),
    ],
)
def test_second_useless_answer_is_the_result(
    agent: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str, arguments: str
) -> None:
    answers(agent, monkeypatch, ("", [call(name, arguments)]), ("  ", []))
    assert work_off(agent)["status"] == "USELESS"


def test_memory_is_bounded(agent: ModuleType) -> None:
    notes: list[str] = []
    for number in range(100):
        agent.tools.remember(f"{number} " + "x" * 1000, notes)
    assert len(notes) == agent.tools.NOTES_MAX and notes[-1].startswith("99 ")
    assert max(map(len, notes)) == agent.tools.NOTE_CHARS


def test_parts_of_a_stream_are_put_together(agent: ModuleType) -> None:
    parts = [{"index": 0, "id": "1", "function": {"name": "note", "arguments": '{"te'}}]
    more = [{"index": 0, "function": {"arguments": 'xt": ""}'}}]
    lines = stream(
        {"content": "Hel"}, {"content": "lo"}, {"tool_calls": parts}, {"tool_calls": more}
    )
    put_together = agent.llm.put_together(agent.llm.events(lines))
    assert put_together == ("Hello", [call("note", '{"text": ""}')])


@pytest.mark.parametrize(
    "lines",
    [
        stream({"content": "Hel"}, end=False),
        [*stream({"content": "Hel"})[:1], b'data: {"choi'],
        [b'data: {"choices": []}\n', b"data: [DONE]\n"],
    ],
)
def test_half_a_stream_is_no_answer(agent: ModuleType, lines: list[bytes]) -> None:
    with pytest.raises(ValueError):
        agent.llm.put_together(agent.llm.events(lines))


@pytest.mark.stack
@pytest.mark.whole_run
@pytest.mark.slow(seconds=40)
def test_control_of_soak_b_passes(tmp_path: Path) -> None:
    case = Case("agent", "soak_b", "none")
    done = run(case, tmp_path)
    assert not wrong(case, done), done.text
