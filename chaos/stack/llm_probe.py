"""Is the LLM server ready? Health alone does not say so: it stays 200 while generation hangs.

Each probe uses a connection of its own and ends within its limit.
"""

from __future__ import annotations

import http.client
import json

from chaos.stack.base import Endpoint


def healthy(endpoint: Endpoint, limit_s: float) -> bool:
    """Whether `/health` answers 200 (503: still loading)."""
    return _ask(endpoint, "GET", "/health", None, limit_s) is not None


def completes(endpoint: Endpoint, limit_s: float) -> bool:
    """Whether a completion of one token comes."""
    body = {"prompt": "Hi", "n_predict": 1, "temperature": 0, "seed": 1, "cache_prompt": False}
    answer = _ask(endpoint, "POST", "/completion", json.dumps(body), limit_s)
    if answer is None:
        return False
    try:
        return int(json.loads(answer)["tokens_predicted"]) == 1
    except (ValueError, KeyError, TypeError):
        return False


def _ask(
    endpoint: Endpoint, method: str, path: str, body: str | None, limit_s: float
) -> bytes | None:
    """The body of an answer with status 200, else None."""
    link = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=limit_s)
    try:
        link.request(method, path, body, {"Content-Type": "application/json"})
        answer = link.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        link.close()
    return content if answer.status == 200 else None
