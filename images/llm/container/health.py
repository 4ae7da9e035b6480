"""The health check of the image: does the LLM server generate tokens?

`/health` stays 200 while generation hangs, so the check also requests a completion of one token. A
server that the Watcher has stopped, to free the machine for work, counts as healthy; the supervisor
distinguishes it from a server that died. The server is restarted for every request, so a loading
server gets some time. Standard library only; must not know the harness.
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
    """Send one request, and return (status, decoded JSON object).

    Raises `OSError` without an HTTP answer, `ValueError` if its body is not JSON.
    """
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
    """Return the problem, or "" if the server is healthy. Addresses are `host:port`."""
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
    """Print the result; exit code 0 if healthy, else 1."""
    control = os.environ.get("LLM_CONTROL", "127.0.0.1:8079")
    server = os.environ.get("LLM_SERVER", "127.0.0.1:8081")
    deadline_s = time.monotonic() + LOADING_LIMIT_S
    while (problem := complaint(control, server)) and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    print(problem or "healthy")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
