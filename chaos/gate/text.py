"""A gate as text: its plan, how far it is, and its end."""

import shlex
from collections.abc import Iterator, Mapping

from chaos.base.printable import printable
from chaos.base.units import duration_text
from chaos.base.yamlfile import shown
from chaos.gate.state import GateDir, GateState, GateVerdict
from chaos.gate.steps import GatePlan
from chaos.plan.describe import left_out
from chaos.report.stored import Stored
from chaos.report.words import GLYPHS

_FINDINGS_MAX = 12


def plan_text(plan: GatePlan) -> str:
    """The list of runs with their expected durations."""
    request = plan.request
    lines = [
        f"gate: {len(plan.steps)} runs, about {duration_text(plan.planned_s)} | profile "
        f"{request.profile} | seed {request.seed}"
    ]
    for number, step in enumerate(plan.steps, start=1):
        faults = f"{len(step.schedule.items)} fault(s)" if step.schedule.items else ""
        lines.append(
            f"  {number:>2}  {step.name:<36}{duration_text(step.planned_s):>12}  "
            f"schedule {step.schedule.hash}  {faults}".rstrip()
        )
        lines += [f"      left out (--skip-unavailable): {text}" for text in left_out(step.plan)]
    return "\n".join(lines)


def state_text(state: GateState) -> str:
    """How many runs are finished."""
    done = sum(step.state == "done" for step in state.steps)
    return f"gate: {done} of {len(state.steps)} runs are finished, and kept"


def final_text(
    folder: GateDir, state: GateState, verdict: GateVerdict, runs: Mapping[str, Stored]
) -> str:
    """The runs, the verdict, every finding that does not pass, and what to do next."""
    lines = ["", "gate"]
    for step in state.steps:
        duration = duration_text(step.lasted_s) if step.lasted_s is not None else ""
        word = step.verdict or "not run"
        lines.append(f"  {word:<14}{step.name:<36}{duration:>12}  {step.run or ''}".rstrip())
    lines += [f"  {note}" for note in verdict.notes]
    lines += ["", f"{verdict.verdict}  {verdict.reason}  (exit {verdict.exit_code})"]
    found = list(_findings(runs))
    lines += found[:_FINDINGS_MAX]
    if len(found) > _FINDINGS_MAX:
        lines.append(f"    and {len(found) - _FINDINGS_MAX} more, in the report")
    lines += [
        f"  gate       {folder.path}",
        f"  report     {folder.page}",
        f"  files      {folder.state.name}, {folder.changelog.name}, {folder.junit.name}",
    ]
    if any(step.state != "done" for step in state.steps):
        lines.append(f"  go on      chaos gate --resume {shown(folder.path)}")
    for step in state.steps:
        if step.run and step.verdict not in (None, "pass"):
            lines.append(f"  next       chaos triage {shlex.quote(str(folder.path / step.run))}")
    return "\n".join(lines)


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
