"""Heuristic fallbacks, read through the fault windows.

Forbidden while the LLM can be reached, required while it is cut: the plan's "0 fallbacks" is
wrong while an LLM fault is active, and a Watcher that hides its fallbacks would pass it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.llm_served import LOG, served_completions
from chaos.checks.run_view import RunView
from chaos.checks.watcher_files import Call, Decision

# Two clocks meet here: the Watcher's stamps and the harness's. Doubt is read in its favour.
_CLOCK_SLACK_S = 0.1
# The server's last log lines may be lost when it is stopped right after an answer.
_SERVED_PART_MIN = 0.8


class HeuristicFallbacksParams(Params, frozen=True):
    """`allowance_s`: a fallback may begin so long after a recovery (reconnection)."""

    allowance_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0


def judge(view: RunView, params: HeuristicFallbacksParams) -> list[Finding]:
    """The plan, soak C, row "Heuristic fallbacks: 0"."""
    decisions = view.files.decisions
    allowed = [
        (w.earliest_s - _CLOCK_SLACK_S, end + params.allowance_s)
        for w, start, end in view.injected_faults
        if w.is_llm and w.earliest_s is not None
    ]
    cuts = [w.cut_s for w in view.faults if w.is_llm and w.cut_s is not None]
    inner = [(start + _CLOCK_SLACK_S, end - _CLOCK_SLACK_S) for start, end in cuts]
    outside, hidden = [], []
    for decision in decisions:
        if decision.fallback and not _excused(decision, allowed):
            outside.append(_evidence(view, decision, "fallback while the LLM could be reached"))
        if (reason := _hidden(view, decision, inner)) is not None:
            hidden.append(_evidence(view, decision, reason))
    hidden += _never_served(view, decisions)
    inside = sum(d.fallback for d in decisions) - len(outside)
    findings = [_finding(inside, outside, hidden, params)]
    if inner and not any(_overlaps(c, inner) for d in decisions for c in d.calls):
        findings.append(_not_exercised(view))
    return findings


def _finding(
    inside: int, outside: list[Evidence], hidden: list[Evidence], params: HeuristicFallbacksParams
) -> Finding:
    parts = [
        f"{plural(inside, 'fallback')} while the LLM was cut",
        f"{len(outside)} outside the fault windows (+{params.allowance_s:g} s)",
    ]
    if hidden:
        parts.append(f"{len(hidden)} signs of decisions without the LLM that are not marked")
    return Finding(
        outcome="fail" if outside or hidden else "pass",
        summary=", ".join(parts),
        measured=len(outside) + len(hidden),
        limit=0,
        evidence=hidden + outside,
    )


def _never_served(view: RunView, decisions: list[Decision]) -> list[Evidence]:
    """More answers claimed than the server gave: some were not of the LLM."""
    claimed = sum(call.ok for decision in decisions for call in decision.calls)
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


def _spans(decision: Decision) -> list[tuple[float, float]]:
    """When the LLM failed the decision: its failed calls, or all of it where none is told."""
    failed = [
        (call.start_s, call.end_s)
        for call in decision.calls
        if not call.ok and call.start_s is not None and call.end_s is not None
    ]
    whole = (decision.start_s, decision.end_s)
    if not failed and whole[0] is not None and whole[1] is not None:
        return [(whole[0], whole[1])]
    return [(start, end) for start, end in failed if start is not None and end is not None]


def _excused(decision: Decision, allowed: list[tuple[float, float]]) -> bool:
    spans = _spans(decision)
    return bool(spans) and all(
        any(start <= until and end >= since for since, until in allowed) for start, end in spans
    )


def _hidden(view: RunView, decision: Decision, inner: list[tuple[float, float]]) -> str | None:
    """Why the decision must have been made without the LLM although it does not say so."""
    if any(call.ok and _within(call, inner) for call in decision.calls):
        return "says that the LLM answered while no answer could get through"
    if decision.fallback:
        return None
    if any(not call.ok for call in decision.calls):
        return "an LLM call failed, and the decision is not marked as a fallback"
    if view.target.decisions.calls and decision.dispatch and not decision.calls:
        return "dispatched without any LLM call, and not marked as a fallback"
    return None


def _within(call: Call, spans: list[tuple[float, float]]) -> bool:
    start_s, end_s = call.start_s, call.end_s
    if start_s is None or end_s is None:
        return False
    return any(since <= start_s and end_s <= until for since, until in spans)


def _overlaps(call: Call, spans: list[tuple[float, float]]) -> bool:
    start_s, end_s = call.start_s, call.end_s
    if start_s is None or end_s is None:
        return False
    return any(start_s <= until and end_s >= since for since, until in spans)


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
