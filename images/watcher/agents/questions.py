"""The questions for the LLM: prompt, grammar of the answer, and the answer without an LLM.

Prompts are short, because every prompt token costs time on a CPU. Each question has a heuristic:
the answer that is safe when the LLM is unavailable. Knows nothing of HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EFFORTS = ("light", "normal", "thorough")
VERDICTS = ("promote", "hold")
# (metric, its previous value): the prompt uses the first metric that the result has.
PROMPT_METRICS = (("hit_rate", "previous_hit_rate"), ("score", "baseline_score"))


class BadAnswer(ValueError):
    """The completion is not one of the allowed answers."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question: its name in the log, the JSON key of the answer, the allowed values."""

    name: str
    key: str
    allowed: tuple[str, ...]
    heuristic: str  # used when the LLM is unavailable: the value that costs and changes least

    def grammar(self) -> str:
        """The GBNF grammar of the answer: a JSON object with one allowed value."""
        values = " | ".join(f'"{value}"' for value in self.allowed)
        return f'root ::= "{{\\"{self.key}\\":\\"" ({values}) "\\"}}"'

    def parse(self, content: Any) -> str:
        """The allowed value in a completion's text. Raises BadAnswer."""
        try:
            answer = json.loads(content)
        except (TypeError, ValueError, RecursionError) as error:
            raise BadAnswer(f"answer is not JSON: {content!r:.60}") from error
        value = answer.get(self.key) if isinstance(answer, dict) and len(answer) == 1 else None
        if value not in self.allowed:
            raise BadAnswer(f"answer is not allowed: {content!r:.60}")
        return str(value)


PLAN = Question("plan", "effort", EFFORTS, heuristic="light")
EVALUATION = Question("evaluation", "verdict", VERDICTS, heuristic="hold")


def plan_prompt(kind: str, pending: int) -> str:
    """The prompt of `PLAN`. `pending`: number of waiting requests."""
    return f"Effort for {kind}, {pending} waiting:"


def evaluation_prompt(metrics: Mapping[str, Any]) -> str:
    """The prompt of `EVALUATION`, with the first metric of `PROMPT_METRICS` that there is."""
    for name, previous_name in PROMPT_METRICS:
        value, previous = metrics.get(name), metrics.get(previous_name)
        if _is_number(value):
            before = f", before {previous:.2f}" if _is_number(previous) else ""
            return f"Verdict on {name} {value:.2f}{before}:"
    return "Verdict on a result without figures:"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
