"""Recovery time: how long after the LLM came back the Watcher still wanted an answer and had none.

The LLM server is stopped for the work of a dispatch, and a Watcher without work asks nothing: that
time is not the connection's. Counted is what a call that was open at the recovery still took; time
in which a call was due and none was made; and everything from the first call after the recovery on.

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
    """`limit_s`: how long, once the LLM provably answers again, the Watcher may lack an answer."""

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
    work = _Work(view)
    judged = [_recovery(view, work, window, params.limit_s) for window in recovered]
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


def _recovery(view: RunView, work: _Work, window: FaultWindow, limit_s: float) -> _Recovery:
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
        answer_s = float(ends[first])
        took_s = _lacked_s(view, work, recovered_s, answer_s)
        line = int(table.lines[table.call_of[first]])
        ref = view.files.ref(view.target.decisions.path, line)
        outcome: Outcome = "pass" if took_s <= limit_s else "fail"
        text = f"{name}: answered {max(0.0, answer_s - recovered_s):.1f} s after the recovery"
        return _Recovery(outcome, took_s, Evidence(ref, f"{text}, {took_s:.1f} s after it was due"))
    ref = window.ref("recovered")
    if until_s - recovered_s < limit_s:
        return _Recovery("inconclusive", None, Evidence(ref, f"{name}: too little time was left"))
    lacked_s = _lacked_s(view, work, recovered_s, until_s)
    if lacked_s < limit_s:
        text = f"an answer was due for {lacked_s:.1f} s" if lacked_s else "no answer was due"
        return _Recovery("inconclusive", None, Evidence(ref, f"{name}: {text}"))
    text = f"no answer in the {lacked_s:.1f} s in which one was due"
    return _Recovery("fail", None, Evidence(ref, f"{name}: {text}"))


def _watched_until(view: RunView, window: FaultWindow) -> float:
    """The next such fault, or the halt: up to there the Watcher could be seen to recover."""
    after_s = window.end_s or 0.0
    others = [w.earliest_s for w in view.faults if _concerns(w) and w.earliest_s is not None]
    return min([s for s in others if s > after_s] + [view.measured_span_s()[1]])


def _lacked_s(view: RunView, work: _Work, since_s: float, to_s: float) -> float:
    """How long in that time an answer was due: see the module.

    From the first call on without a break, also where it failed and the Watcher paused. A call
    that does not say when it began may have begun at once.
    """
    import numpy as np

    if to_s <= since_s:
        return 0.0
    table = view.files.decisions
    ends = table.call_end_s
    starts = np.where(np.isnan(table.call_start_s), since_s, table.call_start_s)
    inside = (ends > since_s) & (starts < to_s)
    open_ends, begun = ends[inside & (starts < since_s)], starts[inside & (starts >= since_s)]
    hung_s = min(float(open_ends.max()), to_s) - since_s if len(open_ends) else 0.0
    first_s = float(begun.min()) if len(begun) else to_s
    lacked_s = hung_s + _idle_s(view, work, since_s, first_s) + to_s - first_s
    return min(lacked_s, to_s - since_s)


def _idle_s(view: RunView, work: _Work, since_s: float, to_s: float) -> float:
    """How long a call was due and no decision that made one was at work.

    Due once the Watcher has had the time to find the work that waited, or from the first dispatch
    that never asked the LLM.
    """
    import numpy as np

    table = view.files.decisions
    asked = table.call_count > 0
    starts = np.where(np.isnan(table.start_s), table.end_s, table.start_s)
    silent = starts[table.dispatched & ~asked & (starts >= since_s)]
    due_s = work.waits_from_s(since_s) + view.target.poll_interval_s
    due_s = float(silent.min(initial=due_s))
    if due_s >= to_s:
        return 0.0
    # A decision that does not say when it began may have been at work all the time.
    starts = np.where(np.isnan(table.start_s), due_s, table.start_s)
    busy = asked & (table.end_s > due_s) & (starts < to_s)
    worked_s = np.minimum(table.end_s[busy], to_s) - np.maximum(starts[busy], due_s)
    return max(0.0, to_s - due_s - float(worked_s.sum()))


class _Work:
    """When each request was emitted, and when it was first taken up: sorted once for all faults."""

    def __init__(self, view: RunView) -> None:
        import numpy as np

        from chaos.checks.hash_sets import among

        files, table = view.files, view.files.decisions
        submits = [op for _, op in view.ops if op.op == "submit" and op.outcome == "ok"]
        requests = np.append(files.hashes_of(op.id for op in submits), files.diagnosed.request)
        emitted_s = np.append([op.t_s for op in submits], files.diagnosed.t_s)
        asked = ~among(requests, files.hashes_of(files.quarantined)) & ~np.isnan(emitted_s)
        requests, self._emitted_s = requests[asked], emitted_s[asked]
        self._taken_s = np.full(len(requests), np.inf)
        if len(table):
            starts = np.where(np.isnan(table.start_s), table.end_s, table.start_s)
            order = np.lexsort((starts, table.request))
            decided = table.request[order]
            place = np.minimum(np.searchsorted(decided, requests), len(order) - 1)
            known = decided[place] == requests
            self._taken_s[known] = starts[order[place[known]]]

    def waits_from_s(self, since_s: float) -> float:
        """From when on, after `since_s`, a request waited that was not taken up by then; infinite
        for none.
        """
        waiting = self._emitted_s[self._taken_s >= since_s]
        return max(since_s, float(waiting.min())) if len(waiting) else float("inf")


CHECK = Check(
    name="recovery_time",
    title="Recovery time",
    judge=judge,
    params=RecoveryTimeParams,
    needs=needs("files", "end", "stack"),
)
