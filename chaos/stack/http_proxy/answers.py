"""Answers that the wire proxy sends instead of the server, in the server's format. Pure functions.

The error objects are those of llama.cpp's server (`code`, `message`, `type`). It has no 429, so
that one only has the same format.
"""

import json
from typing import Any

from chaos.stack.http_proxy.grammar import NotListable, another_answer
from chaos.stack.http_proxy.rules import Params, Rule

PROSE = "Sure! Here is what I think: it depends on the circumstances, so let us look closer."

_ERRORS: dict[int, dict[str, Any]] = {
    400: {
        "code": 400,
        "message": "request (5000 tokens) exceeds the available context size (2048 tokens), "
        "try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 5000,
        "n_ctx": 2048,
    },
    429: {"code": 429, "message": "Too many requests", "type": "rate_limit_error"},
    500: {"code": 500, "message": "Internal Server Error", "type": "server_error"},
    503: {"code": 503, "message": "Loading model", "type": "unavailable_error"},
}


def error_answer(params: Params) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of the error that `params.status` asks for."""
    body = json.dumps({"error": _ERRORS[params.status]}, separators=(",", ":")).encode()
    headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("Content-Length", str(len(body))),
    ]
    if params.status == 429:
        headers.append(("Retry-After", str(params.retry_after_s)))
    return headers, body


def rewritten(rule: Rule, request: bytes, answer: bytes, *, streamed: bool) -> bytes | None:
    """`answer` with another content, or None if it cannot be changed like that.

    Everything but the content stays as the server sent it, so the format is valid.
    """
    try:
        events = _events(answer) if streamed else [json.loads(answer)]
        given = "".join(event["content"] for event in events if "content" in event)
        content = _content(rule, request, given)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if content == given or not any("content" in event for event in events):
        return None
    left = content
    for event in events:
        if "content" in event:
            event["content"], left = left, ""
    if not streamed:
        return json.dumps(events[0], ensure_ascii=False, separators=(",", ":")).encode()
    return b"".join(
        b"data: " + json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
        for event in events
    )


def _events(answer: bytes) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in answer.splitlines() if line.startswith(b"data:")]
    return [dict(json.loads(line)) for line in lines]


def _content(rule: Rule, request: bytes, given: str) -> str:
    """The new content. Raises ValueError, KeyError or TypeError if the request allows none."""
    if rule.kind == "prose":
        return rule.params.content or PROSE
    grammar = json.loads(request)["grammar"]
    if not isinstance(grammar, str):
        raise NotListable("the request has no grammar")
    return another_answer(grammar, given, wanted=rule.params.content)
