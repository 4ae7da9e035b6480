"""Asks the LLM one question, with retries, backoff, and a new connection and timeout per attempt.

If no attempt succeeds, the answer is the question's heuristic, marked as a fallback. Knows nothing
of requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loguru import logger

from agents.files import utc_now
from agents.http_call import CallFailed, Reply, call
from agents.policies import LLMPolicies
from agents.questions import BadAnswer, Question
from agents.stop import Stop

N_PREDICT = 24
SEED = 1
HEALTH_LIMIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The value to use, whether it is the heuristic's, and the record for the decision log."""

    value: str
    fallback: bool
    record: dict[str, Any]


class LLMClient:
    """Talks to the LLM's endpoint. Reads the settings again for every call."""

    def __init__(
        self, stop: Stop, settings: Callable[[], LLMPolicies], revive: Callable[[], None]
    ) -> None:
        """`revive` is called before each retry, to restart a dead server."""
        self._stop = stop
        self._settings = settings
        self._revive = revive

    def ask(self, question: Question, prompt: str) -> Answer:
        """Asks one question. Raises Halted only."""
        settings = self._settings()
        started_at, error, value, attempt = utc_now(), "", "", 0
        for attempt in range(1, settings.max_attempts + 1):
            try:
                value = self._attempt(settings, question, prompt)
                break
            except (CallFailed, BadAnswer) as failure:
                error = str(failure)
                logger.warning("LLM, {} (attempt {}): {}", question.name, attempt, error)
            if attempt < settings.max_attempts:
                self._stop.pause(_backoff_s(settings, attempt))
                self._revive()
        record: dict[str, Any] = {
            "question": question.name,
            "answer": {question.key: value} if value else None,
            "started_at": started_at,
            "ended_at": utc_now(),
            "attempts": attempt,
            "outcome": "ok" if value else "failed",
        }
        if not value:
            record["error"] = error
        return Answer(value or question.heuristic, not value, record)

    def _attempt(self, settings: LLMPolicies, question: Question, prompt: str) -> str:
        body = {
            "prompt": prompt,
            "n_predict": N_PREDICT,
            "temperature": 0,
            "seed": SEED,
            "grammar": question.grammar(),
            "cache_prompt": False,
            "stream": False,
        }
        reply = call(
            self._stop,
            settings.endpoint,
            "POST",
            "/completion",
            limit_s=settings.timeout_s,
            body=body,
        )
        return question.parse(_content(reply))

    def healthy(self, limit_s: float = HEALTH_LIMIT_S) -> bool:
        """True if the endpoint answers `/health` with 200 now. Raises Halted only."""
        limit_s = min(limit_s, self._settings().timeout_s)
        try:
            reply = call(self._stop, self._settings().endpoint, "GET", "/health", limit_s=limit_s)
        except CallFailed:
            return False
        return reply.status == 200


def _backoff_s(settings: LLMPolicies, attempt: int) -> float:
    return float(min(settings.backoff_cap_s, settings.backoff_s * 2 ** (attempt - 1)))


def _content(reply: Reply) -> Any:
    if reply.status != 200:
        raise CallFailed(f"HTTP {reply.status}{_server_message(reply.body)}")
    if not isinstance(reply.body, dict):
        raise BadAnswer("answer has no JSON body")
    if reply.body.get("stop_type") == "limit":
        raise BadAnswer(f"answer was cut after {N_PREDICT} tokens")
    return reply.body.get("content")


def _server_message(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return f": {message!s:.100}" if message else ""


def poll_until(stop: Stop, deadline_s: Callable[[], float], done: Callable[[], bool]) -> bool:
    """Polls `done` until it is true, or until `deadline_s()` (monotonic) has passed.

    Returns the last answer of `done`. Raises Halted.
    """
    wait_s = 0.02
    while not done():
        left_s = deadline_s() - time.monotonic()
        if left_s <= 0:
            return False
        stop.pause(min(wait_s, left_s))
        wait_s = min(wait_s * 1.5, 0.25)
    return True
