"""LLM slots: after a broken connection the LLM server lets go of the work it had for it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Evidence, Finding, Outcome, plural
from chaos.checks.run_view import RunView

# So many readings of the server's own gauges are needed before their silence means anything.
_READINGS_MIN = 3


class LLMSlotsParams(Params, frozen=True):
    """`limit_s`: from a recovery (or back from the end) until all slots were seen free."""

    limit_s: Annotated[float, msgspec.Meta(gt=0)] = 30.0


def judge(view: RunView, params: LLMSlotsParams) -> list[Finding]:
    """Read from llama-server's `requests_processing` and `requests_deferred`."""
    end_s = view.measured_span_s()[1]
    spans = [
        (f"after {w.fault_id} {w.name}", w.end_s, min(w.end_s + params.limit_s, end_s))
        for w in view.faults
        if w.is_llm and w.end_s is not None and w.end_s < end_s
    ]
    spans.append(("at the end", max(end_s - params.limit_s, 0.0), end_s))
    judged = [_free_in(view, name, since, until) for name, since, until in spans]
    outcomes = [outcome for outcome, _ in judged]
    worst: Outcome = next((o for o in ("fail", "inconclusive") if o in outcomes), "pass")
    return [
        Finding(
            outcome=worst,
            summary=f"all slots free again at {outcomes.count('pass')} of "
            f"{plural(len(judged), 'moment')} (limit {params.limit_s:g} s)",
            measured=outcomes.count("fail"),
            limit=0,
            evidence=[item for _, item in sorted(judged, key=lambda one: one[0])],
        )
    ]


def _replaced_in(view: RunView, name: str, since: float, until: float) -> Evidence | None:
    """A server process that began within the span holds nothing of what the old one held."""
    table = view.samples
    pid = table.column("llm.pid")
    known = (table.t_s <= until) & (pid == pid)
    before, inside = known & (table.t_s < since), known & (table.t_s >= since)
    if not before.any() or not inside.any():
        return None
    old = pid[before.nonzero()[0][-1]]
    new = (inside & (pid != old)).nonzero()[0]
    if not len(new):
        return None
    moment = int(new[0])
    text = f"{name}: server {old:.0f} ended, {pid[moment]:.0f} holds nothing of it"
    return view.evidence(int(table.lines[moment]), text)


def _free_in(view: RunView, name: str, since: float, until: float) -> tuple[Outcome, Evidence]:
    """Whether both gauges stood at 0 together at some moment of the span."""
    table = view.samples
    replaced = _replaced_in(view, name, since, until)
    if replaced is not None:
        return "pass", replaced
    busy = table.column("llm.requests_processing") + table.column("llm.requests_deferred")
    inside = (table.t_s >= since) & (table.t_s <= until) & (busy == busy)
    if int(inside.sum()) < _READINGS_MIN:
        return "inconclusive", Evidence("history.jsonl", f"{name}: the server was hardly sampled")
    free = (inside & (busy == 0)).nonzero()[0]
    if len(free):
        moment = int(free[0])
        took_s = float(table.t_s[moment]) - since
        text = f"{name}: free within {took_s:.1f} s"
        return "pass", view.evidence(int(table.lines[moment]), text)
    last = int(inside.nonzero()[0][-1])
    text = f"{name}: {busy[last]:.0f} requests still held after {until - since:.1f} s"
    return "fail", view.evidence(int(table.lines[last]), text)


CHECK = Check(
    name="llm_slots",
    title="LLM slots",
    judge=judge,
    params=LLMSlotsParams,
    needs=needs("stack"),
)
