"""Recovery time: how long after the LLM came back until the Watcher used it again.

A Watcher that was ended comes back itself, perhaps to an LLM server that it had stopped for a
dispatch: from its recovery on the same time counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Evidence, Finding, Outcome, plural
from chaos.checks.run_view import FaultWindow, RunView
from chaos.checks.watcher_alive import ends_watcher


class RecoveryTimeParams(Params, frozen=True):
    """`limit_s`: from the proof that the LLM answers again to the Watcher's first answer of it."""

    limit_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0


@dataclass(frozen=True)
class _Recovery:
    outcome: Outcome
    took_s: float | None
    evidence: Evidence


def judge(view: RunView, params: RecoveryTimeParams) -> list[Finding]:
    """One recovery per fault of the LLM or end of the Watcher; the slowest one counts."""
    recovered = [w for w in view.faults if _concerns(w) and w.end_s is not None]
    if not recovered:
        asked = any(_concerns(w) for w in view.faults)
        what = "no fault of the LLM and no end of the Watcher"
        reason = f"{what} has recovered" if asked else f"{what} was scheduled"
        return [Finding(outcome="inconclusive" if asked else "skipped", summary=reason)]
    judged = [_recovery(view, window, params.limit_s) for window in recovered]
    outcomes = [one.outcome for one in judged]
    outcome: Outcome = "fail" if "fail" in outcomes else "inconclusive"
    times = [one.took_s for one in judged if one.took_s is not None]
    if all(one == "pass" for one in outcomes):
        outcome = "pass"
    slowest = f"slowest {max(times):.1f} s" if times else "none"
    return [
        Finding(
            outcome=outcome,
            summary=f"the LLM was used again after {len(times)} of "
            f"{plural(len(judged), 'recovery', 'recoveries')}, {slowest} "
            f"(limit {params.limit_s:g} s)",
            measured=round(max(times), 3) if times else None,
            limit=params.limit_s,
            evidence=[one.evidence for one in sorted(judged, key=lambda one: one.outcome)],
        )
    ]


def _concerns(window: FaultWindow) -> bool:
    return window.is_llm or ends_watcher(window)


def _recovery(view: RunView, window: FaultWindow, limit_s: float) -> _Recovery:
    recovered_s = window.end_s or 0.0
    healed_s = window.at_s("recovering")
    begin_s = recovered_s if healed_s is None else healed_s
    until_s = _watched_until(view, window)
    table = view.files.decisions
    ends = table.call_end_s
    answers = (table.call_ok & (ends > begin_s) & (ends <= until_s)).nonzero()[0]
    name = f"{window.fault_id} {window.name}"
    if len(answers):
        first = answers[ends[answers].argmin()]
        took_s = max(0.0, float(ends[first]) - recovered_s)
        line = int(table.lines[table.call_of[first]])
        ref = view.files.ref(view.target.decisions.path, line)
        outcome: Outcome = "pass" if took_s <= limit_s else "fail"
        return _Recovery(outcome, took_s, Evidence(ref, f"{name}: answered after {took_s:.1f} s"))
    ref = window.ref("recovered")
    if until_s - recovered_s < limit_s:
        return _Recovery("inconclusive", None, Evidence(ref, f"{name}: too little time was left"))
    if not _had_work(view, recovered_s, until_s):
        return _Recovery("inconclusive", None, Evidence(ref, f"{name}: nothing was to be decided"))
    return _Recovery("fail", None, Evidence(ref, f"{name}: the connection was never used again"))


def _watched_until(view: RunView, window: FaultWindow) -> float:
    """The next such fault, or the halt: up to there the Watcher could be seen to recover."""
    after_s = window.end_s or 0.0
    others = [w.earliest_s for w in view.faults if _concerns(w) and w.earliest_s is not None]
    return min([s for s in others if s > after_s] + [view.measured_span_s()[1]])


def _had_work(view: RunView, since_s: float, until_s: float) -> bool:
    table = view.files.decisions
    inside = table.dispatched & (table.end_s > since_s) & (table.end_s <= until_s)
    decided = bool(inside.any())
    return decided or any(
        op.op == "submit" and op.outcome == "ok" and since_s <= op.t_s <= until_s
        for _, op in view.ops
    )


CHECK = Check(
    name="recovery_time",
    title="Recovery time",
    judge=judge,
    params=RecoveryTimeParams,
    needs=needs("files", "end", "stack"),
)
