"""Completed cycles: the loop goes round often enough, and never stands still over work."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.decision import Decision
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, plural
from chaos.checks.run_view import RunView
from chaos.checks.stall import longest_stall


class CompletedCyclesParams(Params, frozen=True):
    """`min`: completed cycles asked for. `stall_s`: longest stretch with work waiting and none
    done, outside the fault windows (0: the profile's `drain_limit_s`).
    """

    min: Annotated[int, msgspec.Meta(ge=1)] = 5
    stall_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


def judge(view: RunView, params: CompletedCyclesParams) -> list[Finding]:
    """The plan, soak C, row "Completed cycles"."""
    table = view.files.decisions
    done = (table.dispatched & table.completed).nonzero()[0]
    failed = (table.dispatched & ~table.completed).nonzero()[0]
    stall_s, stall_line = longest_stall(view)
    limit_s = params.stall_s or float(view.profile.get("drain_limit_s", 60.0))
    summary = f"{plural(len(done), 'cycle')} completed, at least {params.min} asked"
    if len(failed):
        summary += f"; {len(failed)} did not complete"
    enough = len(done) >= params.min
    shown = failed[:EVIDENCE_MAX] if len(failed) else done[[0, -1]] if len(done) > 1 else done
    evidence = [_seen(view, decision) for decision in table.some(shown)]
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
            evidence_count=len(failed),
        )
    ]


def _seen(view: RunView, decision: Decision) -> Evidence:
    return Evidence(
        view.files.ref(view.target.decisions.path, decision.line),
        f"{decision.request}: {decision.dispatch} {decision.status}",
    )


CHECK = Check(
    name="completed_cycles",
    title="Completed cycles",
    origin="plan, soak C: Completed cycles",
    judge=judge,
    params=CompletedCyclesParams,
    needs=needs("files", "end", "stack"),
)
