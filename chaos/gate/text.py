"""A gate as text: its plan, how far it is, and its end."""

import shlex
from collections.abc import Iterator, Mapping

from chaos.base.printable import printable
from chaos.base.units import duration_text
from chaos.base.yamlfile import shown
from chaos.gate.state import GateDir, GateState, GateVerdict, StepState
from chaos.gate.steps import GatePlan
from chaos.gate.sweep_step import NAME, SweepStep
from chaos.plan.describe import left_out
from chaos.report.stored import Stored
from chaos.report.words import GLYPHS
from chaos.sweep.again import command_of
from chaos.sweep.state import Sweep
from chaos.sweep.text import result_line, worst_first

_FINDINGS_MAX = 12
_BREAKS_MAX = 4


def plan_text(plan: GatePlan) -> str:
    """The list of runs, and the crash sweep, with their expected durations."""
    request, sweep = plan.request, plan.sweep
    with_sweep = f" and a {NAME}" if sweep is not None and not sweep.left_out else ""
    lines = [
        f"gate: {len(plan.steps)} runs{with_sweep}, about {duration_text(plan.planned_s)} | "
        f"profile {request.profile} | seed {request.seed}"
    ]
    for number, step in enumerate(plan.to_make, start=1):
        if isinstance(step, SweepStep):
            duration = duration_text(step.planned_s)
            lines.append(f"  {number:>2}  {step.name:<36}{duration:>12}  {step.text}")
            continue
        faults = f"{len(step.schedule.items)} fault(s)" if step.schedule.items else ""
        lines.append(
            f"  {number:>2}  {step.name:<36}{duration_text(step.planned_s):>12}  "
            f"schedule {step.schedule.hash}  {faults}".rstrip()
        )
        lines += [f"      left out (--skip-unavailable): {text}" for text in left_out(step.plan)]
    if sweep is not None and sweep.left_out:
        lines.append(f"      left out: {sweep.name} ({sweep.left_out})")
    return "\n".join(lines)


def state_text(state: GateState) -> str:
    """How many runs are finished, and how much of the crash sweep."""
    done = sum(step.state == "done" for step in state.steps)
    text = f"gate: {done} of {len(state.steps)} runs are finished, and kept"
    if state.sweep is None or not state.sweep.counts:
        return text
    return f"{text}; {state.sweep.name}: {state.sweep.counts_text}"


def final_text(
    folder: GateDir,
    state: GateState,
    verdict: GateVerdict,
    runs: Mapping[str, Stored],
    sweep: Sweep | None = None,
) -> str:
    """The runs, the verdict, every finding that does not pass, and what to do next.

    `sweep` is the crash sweep, None if it was not made.
    """
    lines = ["", "gate"]
    for step in state.to_make:
        duration = duration_text(step.lasted_s) if step.lasted_s is not None else ""
        word = step.verdict or "not run"
        where = step.run if isinstance(step, StepState) else step.sweep
        lines.append(f"  {word:<14}{step.name:<36}{duration:>12}  {where or ''}".rstrip())
        if not isinstance(step, StepState) and step.word:
            lines.append(f"  {'':<14}{step.word}: {step.counts_text}")
    lines += [f"  {note}" for note in verdict.notes]
    lines += ["", f"{verdict.verdict}  {verdict.reason}  (exit {verdict.exit_code})"]
    lines += _not_survived(sweep)
    found = list(_findings(runs))
    lines += found[:_FINDINGS_MAX]
    if len(found) > _FINDINGS_MAX:
        lines.append(f"    and {len(found) - _FINDINGS_MAX} more, in the report")
    lines += [
        f"  gate       {folder.path}",
        f"  report     {folder.page}",
        f"  files      {folder.state.name}, {folder.changelog.name}, {folder.junit.name}",
    ]
    if any(step.state != "done" for step in state.to_make):
        lines.append(f"  go on      chaos gate --resume {shown(folder.path)}")
    for step in state.steps:
        if step.run and step.verdict not in (None, "pass"):
            lines.append(f"  next       chaos triage {shlex.quote(str(folder.path / step.run))}")
    if sweep is not None and (worst := worst_first(sweep)):
        lines.append(f"  next       {command_of(sweep, worst[0])}")
    return "\n".join(lines)


def _not_survived(sweep: Sweep | None) -> list[str]:
    """A line for each of the worst breaks that were not survived."""
    if sweep is None:
        return []
    worst = worst_first(sweep)
    shown = [result_line(sweep, result) for result in worst[:_BREAKS_MAX]]
    lines = [printable(f"  {NAME}: {text}") for text in shown]
    more = len(worst) - len(lines)
    return lines + ([f"    and {more} more, in the report of the sweep"] if more else [])


def _findings(runs: Mapping[str, Stored]) -> Iterator[str]:
    """A line for each finding that does not pass, failures first."""
    found = [
        (
            finding.outcome != "fail",
            f"  {GLYPHS[finding.outcome]} {name}: {finding.title}: {finding.summary}",
        )
        for name, stored in runs.items()
        for finding in stored.verdict.findings
        if finding.outcome not in ("pass", "skipped")
    ]
    yield from (printable(text) for _, text in sorted(found, key=lambda pair: pair[0]))
