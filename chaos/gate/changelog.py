"""The entry for the session changelog that the plan asks for (section 9), as Markdown.

One line a soak with its verdict over both runs, a line below for each run, and the final word.
Knows nothing of how the runs were made.
"""

from __future__ import annotations

from collections.abc import Mapping

from chaos.base.markup import inline
from chaos.base.units import bytes_text, duration_text
from chaos.checks.finding import plural
from chaos.gate.facts import Facts
from chaos.gate.state import GateState, GateVerdict, StepState

_PROBLEMS_SHOWN = 5


def entry_text(state: GateState, verdict: GateVerdict, facts: Mapping[str, Facts]) -> str:
    """The entry. `facts`: step name -> numbers, for each finished run."""
    request = state.request
    lines = [
        f"# Soak tests, {state.created[:10]}",
        "",
        f"Gate `{state.gate_id}`, profile {request.profile}, faults {', '.join(request.faults)}, "
        f"seed {request.seed}, chaos {state.chaos}.",
        "",
    ]
    for soak in dict.fromkeys(item.soak for item in state.steps):
        items = [item for item in state.steps if item.soak == soak]
        lines.append(f"- **{_title(soak)}: {_word(items)}**")
        lines += [f"  - {_run_line(item, facts.get(item.name))}" for item in items]
        for item in items:
            problems = facts[item.name].problems if item.name in facts else []
            lines += [f"    - {inline(text)}" for text in problems[:_PROBLEMS_SHOWN]]
            if len(problems) > _PROBLEMS_SHOWN:
                lines.append(f"    - and {len(problems) - _PROBLEMS_SHOWN} more in its report")
    lines += ["", f"**Verdict: Autonomous loop {verdict.verdict}** ({inline(verdict.reason)})"]
    if verdict.notes:
        lines += ["", "Notes:", "", *(f"- {inline(note)}" for note in verdict.notes)]
    lines += ["", "Repeat a single run:", "", "```"]
    lines += [item.command for item in state.steps]
    return "\n".join([*lines, "```", ""])


def _title(soak: str) -> str:
    letter = soak.removeprefix("soak_")
    return f"Soak Test {letter.upper()}" if len(letter) == 1 else f"Soak Test {soak}"


def _word(items: list[StepState]) -> str:
    """PASS or FAIL as the plan writes it; otherwise what keeps it open."""
    words = [item.verdict if item.state == "done" else "not run" for item in items]
    if "fail" in words:
        return "FAIL"
    if all(word == "pass" for word in words):
        return "PASS"
    rest = dict.fromkeys(word or "not run" for word in words if word != "pass")
    return f"OPEN ({', '.join(rest)})"


def _run_line(item: StepState, facts: Facts | None) -> str:
    name = item.name.removeprefix(item.soak).strip()
    if facts is None:
        return f"{name}: not run"
    parts = [duration_text(facts.lasted_s)]
    if facts.memory_delta_bytes is not None:
        sign = "+" if facts.memory_delta_bytes >= 0 else ""
        parts.append(f"memory {sign}{bytes_text(facts.memory_delta_bytes)}")
    for count, noun, after in (
        (facts.requests, "request", " processed"),
        (facts.errors, "error", ""),
        (facts.cycles, "cycle", ""),
        (facts.draws, "draw", ""),
        (facts.fallbacks, "heuristic fallback", ""),
    ):
        if count is not None:
            parts.append(plural(count, noun) + after)
    if not item.control:
        parts.append(plural(facts.faults, "fault") + " proven")
    if facts.convergence:
        parts.append(f"convergence: {inline(facts.convergence)}")
    return f"{name}: {item.verdict}, {', '.join(parts)} (`{item.run}`)"
