"""Probe the LLM server by its health and a completion: health is 200 while generation hangs."""

from typing import Any

from chaos.stack.base import Endpoint
from chaos.stack.http_client import NoAnswer, call

_PROMPT = {"temperature": 0, "seed": 1, "cache_prompt": False}


def healthy(endpoint: Endpoint, limit_s: float) -> bool:
    """True if `/health` answers 200 (503: still loading)."""
    try:
        return call(endpoint, "GET", "/health", timeout_s=limit_s).status == 200
    except NoAnswer:
        return False


def completes(endpoint: Endpoint, limit_s: float) -> bool:
    """True if the server completes one token."""
    try:
        return int(completion(endpoint, "Hi", 1, limit_s=limit_s)["tokens_predicted"]) == 1
    except (NoAnswer, ValueError, KeyError, TypeError):
        return False


def completion(
    endpoint: Endpoint, prompt: str, tokens: int, *, limit_s: float, **more: Any
) -> dict[str, Any]:
    """The server's answer to a prompt. Raises `NoAnswer`, and `ValueError` if it is not JSON."""
    body = {"prompt": prompt, "n_predict": tokens, **_PROMPT, **more}
    answer = call(endpoint, "POST", "/completion", body, timeout_s=limit_s)
    return dict(answer.json()) if answer.status == 200 else {}
