"""Completed cycles: the loop goes round often enough, and never stands still over work."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import RunView
from chaos.checks.watcher_files import Decision


class CompletedCyclesParams(Params, frozen=True):
    """`min`: completed cycles asked for. `stall_s`: longest stretch with work waiting and none
    done, outside the fault windows (0: the profile's `drain_limit_s`).
    """

    min: Annotated[int, msgspec.Meta(ge=1)] = 5
    stall_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


def judge(view: RunView, params: CompletedCyclesParams) -> list[Finding]:
    """The plan, soak C, row "Completed cycles"."""
    done = [d for d in view.files.decisions if d.completed and d.dispatch]
    failed = [d for d in view.files.decisions if d.dispatch and not d.completed]
    stall_s, stall_line = _longest_stall(view)
    limit_s = params.stall_s or float(view.profile.get("drain_limit_s", 60.0))
    summary = f"{plural(len(done), 'cycle')} completed, at least {params.min} asked"
    if failed:
        summary += f"; {len(failed)} did not complete"
    enough = len(done) >= params.min
    evidence = [_seen(view, d) for d in (failed or done[:1] + done[-1:])]
    stalled = stall_s > limit_s
    if stalled:
        summary += f"; work waited {stall_s:.0f} s and none was done (limit {limit_s:g} s)"
        evidence.insert(0, view.evidence(stall_line, f"no progress for {stall_s:.1f} s"))
    return [
        Finding(
            outcome="pass" if enough and not stalled else "fail",
            summary=summary,
            measured=len(done),
            limit=params.min,
            evidence=evidence,
        )
    ]


def _seen(view: RunView, decision: Decision) -> Evidence:
    return Evidence(
        view.files.ref(view.target.decisions.path, decision.line),
        f"{decision.request}: {decision.dispatch} {decision.status}",
    )


def _longest_stall(view: RunView) -> tuple[float, int]:
    """(seconds, history line) of the longest stretch in which requests waited and no decision
    was written, fault windows left out.
    """
    longest_s, line_then, stalled_s = 0.0, 0, 0.0
    last_s: float | None = None
    last_lines: object = None
    for line, sample in view.samples():
        waiting = (sample.values.get("queue.pending") or 0, sample.values.get("queue.claimed") or 0)
        lines = sample.values.get("decisions.lines")
        if waiting == (0, 0) or lines != last_lines:
            stalled_s = 0.0
        elif last_s is not None and not _in_fault(view, sample.t_s):
            stalled_s += sample.t_s - last_s
        if stalled_s > longest_s:
            longest_s, line_then = stalled_s, line
        last_s, last_lines = sample.t_s, lines
    return longest_s, line_then


def _in_fault(view: RunView, t_s: float) -> bool:
    return any(start <= t_s <= end for _, start, end in view.injected_faults)


CHECK = Check(
    name="completed_cycles",
    title="Completed cycles",
    origin="plan, soak C: Completed cycles",
    judge=judge,
    params=CompletedCyclesParams,
    needs=needs("files", "end", "stack"),
)
