"""What the LLM is asked, which answers the grammar allows, and what is done without it.

Prompts are short because every prompt token costs time on a CPU. Each question has one
answer that is safe without knowing anything: the heuristic. Knows nothing of HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EFFORTS = ("light", "normal", "thorough")
VERDICTS = ("promote", "hold")
# The figure worth telling and what it was before; the first that the result has.
TELLING_METRICS = (("hit_rate", "previous_hit_rate"), ("score", "baseline_score"))


class BadAnswer(ValueError):
    """The completion is not one of the allowed answers."""


@dataclass(frozen=True, slots=True)
class Question:
    """One decision: its name in the log, the JSON key of the answer, what is allowed."""

    name: str
    key: str
    allowed: tuple[str, ...]
    heuristic: str  # taken when the LLM cannot be had: costs least, changes least

    def grammar(self) -> str:
        """The GBNF grammar: exactly one JSON object with one allowed value."""
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
    """Asks how much effort a request deserves."""
    return f"Effort for {kind}, {pending} waiting:"


def evaluation_prompt(metrics: Mapping[str, Any]) -> str:
    """Asks whether the result shall be promoted, with the figure that tells most."""
    for name, before in TELLING_METRICS:
        now, earlier = metrics.get(name), metrics.get(before)
        if _is_figure(now):
            told = f", before {earlier:.2f}" if _is_figure(earlier) else ""
            return f"Verdict on {name} {now:.2f}{told}:"
    return "Verdict on a result without figures:"


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
