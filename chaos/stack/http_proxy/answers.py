"""Answers that the wire proxy sends instead of the server's, and changes of the server's answers.

Pure functions. Everything but what is changed stays as the server sent it, so the format is valid.
"""

import json
from collections.abc import Callable
from typing import Any

from chaos.stack.http_proxy.grammar import another_answer
from chaos.stack.http_proxy.rules import Kind, Params, Rule
from chaos.stack.llm_api import (
    CUT_SHORT,
    Completion,
    read_completion,
    write_completion,
)

PROSE = "Sure! Here is what I think: it depends on the circumstances, so let us look closer."
OTHER_MODEL = "another-model"
UNKNOWN_TOOL = "no_such_tool"
BROKEN_ARGUMENTS = '{"value": "ha'


class Unfit(ValueError):
    """The answer, or its request, has not the form that the rule can change."""


def rewritten(rule: Rule, request: bytes, answer: bytes, *, streamed: bool) -> bytes | None:
    """`answer` as the rule changes it, or None if it cannot be changed like that."""
    try:
        completion = read_completion(answer, streamed=streamed)
        if rule.kind == "tool_call":
            _make_tool_call(rule.params, json.loads(request), completion, streamed=streamed)
        elif rule.kind == "wrong_decision":
            _decide_otherwise(rule.params, json.loads(request), completion)
        elif rule.kind == "no_end":
            _drop_end(completion, streamed=streamed)
        else:
            _CHANGES[rule.kind](rule.params, completion)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return write_completion(completion, streamed=streamed)


def _put_text(completion: Completion, text: str) -> None:
    """Replace the whole text: the first part gets it, the others are empty."""
    if text == completion.text or completion.text is None:
        raise Unfit("the text is the same, or there is none")
    for place, key in completion.text_places():
        place[key], text = text, ""


def _prose(params: Params, completion: Completion) -> None:
    _put_text(completion, params.content or PROSE)


def _decide_otherwise(params: Params, request: dict[str, Any], completion: Completion) -> None:
    grammar = request["grammar"]
    if not isinstance(grammar, str):
        raise Unfit("the request has no grammar")
    _put_text(completion, another_answer(grammar, completion.text or "", wanted=params.content))


def _shorten(params: Params, completion: Completion) -> None:
    """End the text in its middle, for the limit of tokens."""
    if not completion.text or not completion.finish:
        raise Unfit("there is no text to shorten")
    left = len(completion.text) // 2
    for place, key in completion.text_places():
        place[key] = place[key][:left]
        left -= len(place[key])
    for place, key in completion.finish_places():
        place[key] = CUT_SHORT[key == "stop_type"]


def _drop_choices(params: Params, completion: Completion) -> None:
    listed = [one for one in completion.objects if one.get("choices")]
    if not listed:
        raise Unfit("llama.cpp's own API has no choices")
    for one in listed:
        one["choices"] = []


def _rename_model(params: Params, completion: Completion) -> None:
    naming = [one for one in completion.objects if one.get("model")]
    if not naming:
        raise Unfit("the answer names no model")
    for one in naming:
        one["model"] = params.content or OTHER_MODEL


def _drop_end(completion: Completion, *, streamed: bool) -> None:
    """Without `[DONE]`; llama.cpp's own API has another last event."""
    if not streamed or not completion.ended:
        raise Unfit("only a stream has an end mark")
    if completion.done:
        completion.done = False
    else:
        completion.objects = [one for one in completion.objects if one.get("stop") is not True]


def _make_tool_call(
    params: Params, request: dict[str, Any], completion: Completion, *, streamed: bool
) -> None:
    """One call instead of the text: of a tool that is offered, or of none that is."""
    offered = [tool["function"]["name"] for tool in request["tools"]]
    name, arguments = offered[0], BROKEN_ARGUMENTS
    if params.defect == "name":
        name, arguments = UNKNOWN_TOOL, "{}"
        if name in offered:
            raise Unfit(f"the request offers {name}")
    call: dict[str, Any] = {
        "id": "call_chaos",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [call]}
    first, *others = completion.objects
    choice = first["choices"][0]
    if not choice.keys() & {"message", "delta"}:
        raise Unfit("only a chat has tool calls")
    if not streamed:
        choice |= {"message": message, "finish_reason": "tool_calls"}
        return
    call["index"] = 0
    last = {**first, "choices": [{**choice, "delta": {}, "finish_reason": "tool_calls"}]}
    first["choices"] = [{**choice, "delta": message, "finish_reason": None}]
    usage = [one for one in others if one.get("choices") == []]
    completion.objects = [first, last, *usage]


_CHANGES: dict[Kind, Callable[[Params, Completion], None]] = {
    "prose": _prose,
    "short": _shorten,
    "no_choices": _drop_choices,
    "wrong_model": _rename_model,
}
