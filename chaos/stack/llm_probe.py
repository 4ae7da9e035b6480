"""Probe the LLM server by its health and a completion: health is 200 while generation hangs.

A server may know llama.cpp's own API, or only one of OpenAI's: the next is tried where a path is
not known.
"""

from typing import Any

from chaos.stack.base import Endpoint
from chaos.stack.http_client import NoAnswer, call
from chaos.stack.llm_api import PATHS, Completion, request_body

_NOT_KNOWN = (404, 405, 501)


def healthy(endpoint: Endpoint, limit_s: float) -> bool:
    """True if `/health` answers 200 (503: still loading)."""
    try:
        return call(endpoint, "GET", "/health", timeout_s=limit_s).status == 200
    except NoAnswer:
        return False


def completes(endpoint: Endpoint, limit_s: float) -> bool:
    """True if the server completes one token."""
    try:
        answer = _asked(endpoint, "Hi", 1, limit_s)
        usage = answer.get("usage", {})
        return int(answer.get("tokens_predicted", usage.get("completion_tokens"))) == 1
    except (NoAnswer, ValueError, TypeError, AttributeError):
        return False


def completion(endpoint: Endpoint, prompt: str, tokens: int, *, limit_s: float, **more: Any) -> str:
    """The completion of a prompt, empty without one. Raises `NoAnswer`; `ValueError` if no JSON."""
    return Completion([_asked(endpoint, prompt, tokens, limit_s, **more)]).text or ""


def _asked(
    endpoint: Endpoint, prompt: str, tokens: int, limit_s: float, **more: Any
) -> dict[str, Any]:
    for path in PATHS:
        body = request_body(path, prompt, tokens, **more)
        answer = call(endpoint, "POST", path, body, timeout_s=limit_s)
        if answer.status not in _NOT_KNOWN:
            return dict(answer.json()) if answer.status == 200 else {}
    return {}
