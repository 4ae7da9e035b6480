"""Heuristic fallbacks, read through the fault windows.

Forbidden while the LLM can be reached, required while it is cut: the plan's "0 fallbacks" is
wrong while an LLM fault is active, and a Watcher that hides its fallbacks would pass it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.decision import Decision
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, plural
from chaos.checks.llm_served import LOG, served_completions
from chaos.checks.run_view import RunView

if TYPE_CHECKING:
    from chaos.checks.decision_table import DecisionTable
    from chaos.checks.hash_sets import Indices, Mask, Times

# Two clocks meet here: the Watcher's stamps and the harness's. Doubt is read in its favour.
_CLOCK_SLACK_S = 0.1
# The server's last log lines may be lost when it is stopped right after an answer.
_SERVED_PART_MIN = 0.8


class HeuristicFallbacksParams(Params, frozen=True):
    """`allowance_s`: a fallback may begin so long after a recovery (reconnection)."""

    allowance_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0


def judge(view: RunView, params: HeuristicFallbacksParams) -> list[Finding]:
    """The plan, soak C, row "Heuristic fallbacks: 0"."""
    table = view.files.decisions
    cuts = [w.cut_s for w in view.faults if w.is_llm and w.cut_s is not None]
    inner = [(start + _CLOCK_SLACK_S, end - _CLOCK_SLACK_S) for start, end in cuts]
    outside = fallbacks_outside(view, params.allowance_s).nonzero()[0]
    hidden = _hidden(view, table, inner)
    findings = [_finding(view, outside, hidden, params)]
    exercised = _overlap(table.call_start_s, table.call_end_s, inner)
    if inner and not exercised.any():
        findings.append(_not_exercised(view))
    return findings


def fallbacks_outside(view: RunView, allowance_s: float) -> Mask:
    """The fallbacks that no fault excuses, or `allowance_s` seconds for reconnecting after it."""
    table = view.files.decisions
    allowed = [
        (w.earliest_s - _CLOCK_SLACK_S, end + allowance_s)
        for w, start, end in view.injected_faults
        if w.is_llm and w.earliest_s is not None
    ]
    outside: Mask = table.fallback & ~_excused(table, allowed)
    return outside


def _finding(
    view: RunView,
    outside: Indices,
    hidden: list[tuple[Indices, str]],
    params: HeuristicFallbacksParams,
) -> Finding:
    table = view.files.decisions
    unserved = _never_served(view, table)
    signs = sum(len(indices) for indices, _ in hidden) + len(unserved)
    inside = int(table.fallback.sum()) - len(outside)
    parts = [
        f"{plural(inside, 'fallback')} while the LLM was cut",
        f"{len(outside)} outside the fault windows (+{params.allowance_s:g} s)",
    ]
    if signs:
        parts.append(f"{signs} signs of decisions without the LLM that are not marked")
    why = [*hidden, (outside, "fallback while the LLM could be reached")]
    evidence = [
        _evidence(view, decision, reason)
        for indices, reason in why
        for decision in table.some(indices, EVIDENCE_MAX)
    ]
    return Finding(
        outcome="fail" if len(outside) or signs else "pass",
        summary=", ".join(parts),
        measured=len(outside) + signs,
        limit=0,
        evidence=unserved + evidence,
        evidence_count=len(outside) + signs,
    )


def _never_served(view: RunView, table: DecisionTable) -> list[Evidence]:
    """More answers claimed than the server gave: some were not of the LLM."""
    claimed = int(table.call_ok.sum())
    served = served_completions(view)
    if served is None or served >= _SERVED_PART_MIN * claimed:
        return []
    text = f"the decisions claim {claimed} answers of the LLM, its server completed {served}"
    return [Evidence(f"logs/{LOG}", text)]


def _not_exercised(view: RunView) -> Finding:
    proofs = [
        view.evidence(w.states["effect_proven"][0], f"{w.fault_id} {w.name} held")
        for w in view.faults
        if w.cut_s is not None
    ]
    return Finding(
        outcome="unverified",
        summary="the LLM was cut, but no LLM call of the Watcher fell into that time",
        evidence=proofs,
    )


def _excused(table: DecisionTable, allowed: list[tuple[float, float]]) -> Mask:
    """Decisions that the LLM failed (by their failed calls, or, where none is told, at any time)
    only while it may have been cut.
    """
    start_s, end_s = table.call_start_s, table.call_end_s
    failed = ~table.call_ok & (start_s == start_s) & (end_s == end_s)
    inexcusable = failed & ~_overlap(start_s, end_s, allowed)
    told = table.any_call(failed)
    whole = _overlap(table.start_s, table.end_s, allowed)
    return (told & ~table.any_call(inexcusable)) | (~told & whole)


def _hidden(
    view: RunView, table: DecisionTable, inner: list[tuple[float, float]]
) -> list[tuple[Indices, str]]:
    """Decisions that must have been made without the LLM although they do not say so, and why."""
    within = table.call_ok & False
    for since, until in inner:
        within |= (table.call_start_s >= since) & (table.call_end_s <= until)
    forged = table.any_call(table.call_ok & within)
    silent = ~forged & ~table.fallback
    failed = silent & table.any_call(~table.call_ok)
    without = silent & ~failed & table.dispatched & (table.call_count == 0)
    if not view.target.decisions.calls:
        without &= False
    return [
        (forged.nonzero()[0], "says that the LLM answered while no answer could get through"),
        (failed.nonzero()[0], "an LLM call failed, and the decision is not marked as a fallback"),
        (without.nonzero()[0], "dispatched without any LLM call, and not marked as a fallback"),
    ]


def _overlap(start_s: Times, end_s: Times, spans: list[tuple[float, float]]) -> Mask:
    """What touches any of `spans`; what has no times touches none."""
    found: Mask = (start_s == start_s) & False
    for since, until in spans:
        found |= (start_s <= until) & (end_s >= since)
    return found


def _evidence(view: RunView, decision: Decision, text: str) -> Evidence:
    at = "" if decision.start_s is None else f" at {decision.start_s:.1f} s"
    ref = view.files.ref(view.target.decisions.path, decision.line)
    return Evidence(ref, f"{decision.id} {decision.request}{at}: {text}")


CHECK = Check(
    name="heuristic_fallbacks",
    title="Heuristic fallbacks",
    origin="plan, soak C: Heuristic fallbacks",
    judge=judge,
    params=HeuristicFallbacksParams,
    needs=needs("files", "stack"),
)
