"""Does the LLM server generate? The health check of the image.

`/health` alone does not say so (it stays 200 while generation hangs), so a completion of one token
is asked for as well. A server that the Watcher has had stopped, to free the machine for work, is
healthy too: the supervisor tells that from one that ended by itself. A server is stopped and
started for every piece of work, so one that still loads gets some time. Standard library only.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from typing import Any

CONTROL_LIMIT_S = 3.0
COMPLETION_LIMIT_S = 10.0
LOADING_LIMIT_S = 10.0
LOOK_S = 0.5


def ask(
    address: str, method: str, path: str, limit_s: float, body: Any = None
) -> tuple[int, dict[str, Any]]:
    """(status, decoded body). Raises `OSError` or `ValueError` when no such answer comes."""
    host, _, port = address.rpartition(":")
    link = http.client.HTTPConnection(host, int(port), timeout=limit_s)
    try:
        content = None if body is None else json.dumps(body)
        link.request(method, path, content, {"Content-Type": "application/json"})
        answer = link.getresponse()
        raw = answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error
    finally:
        link.close()
    decoded = json.loads(raw or b"{}")
    return answer.status, decoded if isinstance(decoded, dict) else {}


def complaint(control: str, server: str) -> str:
    """What is wrong; empty when nothing is."""
    try:
        _, status = ask(control, "GET", "/status", CONTROL_LIMIT_S)
    except (OSError, ValueError) as error:
        return f"the supervisor at {control} does not answer: {error!r}"
    if status.get("state") == "stopped":
        return "the server ended by itself" if status.get("crashed") else ""
    try:
        code, _ = ask(server, "GET", "/health", CONTROL_LIMIT_S)
        if code != 200:
            return f"/health answers {code}"
        question = {"prompt": "Hi", "n_predict": 1, "temperature": 0, "cache_prompt": False}
        code, answer = ask(server, "POST", "/completion", COMPLETION_LIMIT_S, question)
    except (OSError, ValueError) as error:
        return f"no completion: {error!r}"
    if code != 200 or answer.get("tokens_predicted") != 1:
        return f"no completion: HTTP {code}, {answer.get('tokens_predicted')} tokens"
    return ""


def main() -> int:
    """Exit 0 healthy, 1 not, with the reason."""
    control = os.environ.get("LLM_CONTROL", "127.0.0.1:8079")
    server = os.environ.get("LLM_SERVER", "127.0.0.1:8081")
    deadline_s = time.monotonic() + LOADING_LIMIT_S
    while (wrong := complaint(control, server)) and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    print(wrong or "healthy")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
