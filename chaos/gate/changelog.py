"""The entry for the session changelog that the plan requires (section 9), as Markdown.

It has a line per soak with the verdict over its runs, a line per run, and the final verdict. This
module must not know how runs are started.
"""

from collections.abc import Mapping, Sequence

from chaos.base.markup import inline
from chaos.base.units import bytes_text, duration_text
from chaos.checks.finding import plural
from chaos.gate.run_numbers import RunNumbers
from chaos.gate.state import GateState, GateVerdict, StepState, SweepState
from chaos.sweep.state import Sweep
from chaos.sweep.text import result_line, worst_first

_PROBLEMS_SHOWN = 5


def entry_text(
    state: GateState,
    verdict: GateVerdict,
    numbers: Mapping[str, RunNumbers],
    sweep: Sweep | None = None,
) -> str:
    """Return the entry. `numbers` maps the name of each finished step to its run's numbers.

    `sweep` is the crash sweep, None if it was not made.
    """
    request = state.request
    lines = [
        f"# Soak tests, {state.created[:10]}",
        "",
        f"Gate `{state.gate_id}`, profile {request.profile}, faults {', '.join(request.faults)}, "
        f"seed {request.seed}, chaos {state.chaos}.",
        "",
    ]
    for soak in dict.fromkeys(step.soak for step in state.steps):
        steps = [step for step in state.steps if step.soak == soak]
        lines.append(f"- **{_title(soak)}: {_soak_verdict(steps)}**")
        lines += [f"  - {_run_line(step, numbers.get(step.name))}" for step in steps]
        for step in steps:
            lines += _problem_lines(numbers[step.name].problems if step.name in numbers else [])
    if state.sweep is not None:
        lines.append(_sweep_line(state.sweep))
    if sweep is not None:
        lines += _problem_lines([result_line(sweep, result) for result in worst_first(sweep)])
    lines += ["", f"**Verdict: Autonomous loop {verdict.verdict}** ({inline(verdict.reason)})"]
    if verdict.notes:
        lines += ["", "Notes:", "", *(f"- {inline(note)}" for note in verdict.notes)]
    lines += ["", "Repeat a single run:", "", "```"]
    lines += [step.command for step in state.to_make]
    return "\n".join([*lines, "```", ""])


def _problem_lines(problems: Sequence[str]) -> list[str]:
    lines = [f"    - {inline(text)}" for text in problems[:_PROBLEMS_SHOWN]]
    more = len(problems) - _PROBLEMS_SHOWN
    return lines + ([f"    - and {more} more in its report"] if more > 0 else [])


def _sweep_line(sweep: SweepState) -> str:
    if sweep.left_out:
        return f"- **Crash sweep: left out** ({inline(sweep.left_out)})"
    if sweep.state != "done":
        return "- **Crash sweep: not run**"
    lasted = duration_text(sweep.lasted_s or 0.0)
    return (
        f"- **Crash sweep: {sweep.word}**, {inline(sweep.counts_text)}, {lasted} (`{sweep.sweep}`)"
    )


def _title(soak: str) -> str:
    letter = soak.removeprefix("soak_")
    return f"Soak Test {letter.upper()}" if len(letter) == 1 else f"Soak Test {soak}"


def _soak_verdict(steps: list[StepState]) -> str:
    """PASS, FAIL, or OPEN with the other verdicts of the soak's runs."""
    verdicts = [step.verdict if step.state == "done" else "not run" for step in steps]
    if "fail" in verdicts:
        return "FAIL"
    if all(verdict == "pass" for verdict in verdicts):
        return "PASS"
    others = dict.fromkeys(verdict or "not run" for verdict in verdicts if verdict != "pass")
    return f"OPEN ({', '.join(others)})"


def _run_line(step: StepState, numbers: RunNumbers | None) -> str:
    name = step.name.removeprefix(step.soak).strip()
    if numbers is None:
        return f"{name}: not run"
    parts = [duration_text(numbers.lasted_s)]
    if numbers.memory_delta_bytes is not None:
        sign = "+" if numbers.memory_delta_bytes >= 0 else ""
        parts.append(f"memory {sign}{bytes_text(numbers.memory_delta_bytes)}")
    for count, noun, suffix in (
        (numbers.requests, "request", " processed"),
        (numbers.errors, "error", ""),
        (numbers.cycles, "cycle", ""),
        (numbers.draws, "draw", ""),
        (numbers.fallbacks, "heuristic fallback", ""),
    ):
        if count is not None:
            parts.append(plural(count, noun) + suffix)
    if not step.control:
        parts.append(plural(numbers.faults, "fault") + " proven")
    if numbers.convergence:
        parts.append(f"convergence: {inline(numbers.convergence)}")
    return f"{name}: {step.verdict}, {', '.join(parts)} (`{step.run}`)"
