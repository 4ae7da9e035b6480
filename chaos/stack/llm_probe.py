"""Probe the LLM server by its health and a completion: health is 200 while generation hangs.

A server may know llama.cpp's own API, or only one of OpenAI's: the next is tried where a path is
not known.
"""

from typing import Any

from chaos.stack.base import Endpoint
from chaos.stack.http_client import NoAnswer, call
from chaos.stack.llm_api import LLAMA, PATHS, Completion, request_body

_NOT_KNOWN = (404, 405, 501)
FAULTY = 500


def healthy(endpoint: Endpoint, limit_s: float, path: str = "/health") -> bool:
    """True if it answers below 500: llama.cpp's says 503 while it loads.

    A server without `/health` says 404; whether it works, a completion shows.
    """
    try:
        return call(endpoint, "GET", path, timeout_s=limit_s).status < FAULTY
    except NoAnswer:
        return False


def completes(endpoint: Endpoint, limit_s: float) -> bool:
    """True if the server completes one token; some say none of how many there were."""
    try:
        answer = _asked(endpoint, "Hi", 1, limit_s)
        usage = answer.get("usage") or {}
        count = answer.get("tokens_predicted", usage.get("completion_tokens"))
        if count is None:
            return Completion([answer]).text is not None
        return int(count) == 1
    except (NoAnswer, ValueError, TypeError, AttributeError):
        return False


def completion(endpoint: Endpoint, prompt: str, tokens: int, *, limit_s: float, **more: Any) -> str:
    """The completion of a prompt, empty without one. Raises `NoAnswer`; `ValueError` if no JSON."""
    return Completion([_asked(endpoint, prompt, tokens, limit_s, **more)]).text or ""


def _asked(
    endpoint: Endpoint, prompt: str, tokens: int, limit_s: float, **more: Any
) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for path in PATHS:
        if path != LLAMA:  # some servers of OpenAI's API ask which model
            named = named or _first_model(endpoint, limit_s)
        body = request_body(path, prompt, tokens, **named, **more)
        answer = call(endpoint, "POST", path, body, timeout_s=limit_s)
        if answer.status not in _NOT_KNOWN:
            return dict(answer.json()) if answer.status == 200 else {}
    return {}


def _first_model(endpoint: Endpoint, limit_s: float) -> dict[str, Any]:
    """The first model that it lists, as a part of a request; empty without one."""
    try:
        listed = call(endpoint, "GET", "/v1/models", timeout_s=limit_s).json()
        return {"model": str(listed["data"][0]["id"])}
    except (NoAnswer, ValueError, LookupError, TypeError):
        return {}
