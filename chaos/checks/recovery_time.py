"""Recovery time: how long after the LLM came back the Watcher still wanted an answer and had none.

The LLM server is stopped for the work of a dispatch, and a Watcher without work asks nothing: that
time is not the connection's. Counted is what a call that was open at the recovery still took; time
in which a call was due and none was made; and everything from the first call after the recovery on.

A Watcher that was ended comes back itself, perhaps to an LLM server that it had stopped for a
dispatch: from its recovery on the same time counts.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, Outcome, plural
from chaos.checks.watcher_alive import ends_watcher
from chaos.checks.witnessed import ATTEMPTS, not_witnessed
from chaos.record.fault_window import FaultWindow
from chaos.record.open_run import OpenRun

_FIRST_ANSWER = """
select decision_ref(line), end_s from calls where ok and end_s > $begin_s and end_s <= $until_s
order by end_s, line limit 1
"""
# The same on the wire.
_FIRST_SEEN = f"""
with {ATTEMPTS}
select wire_ref(line), end_s from attempts
where answered and end_s > $begin_s and end_s <= $until_s order by end_s limit 1
"""
# Until when a call that was open at `since_s` went on, and when the first one after that began. A
# call that does not say when it began may have begun at once.
_CALLS = """
with relevant as (
    select coalesce(start_s, $since_s) as start_s, end_s from calls
    where end_s > $since_s and coalesce(start_s, $since_s) < $to_s
)
select max(end_s) filter (start_s < $since_s), min(start_s) filter (start_s >= $since_s)
from relevant
"""
_CALLS_SEEN = f"""
with {ATTEMPTS}
select max(end_s) filter (t_s < $since_s), min(t_s) filter (t_s >= $since_s)
from attempts where end_s > $since_s and t_s < $to_s
"""
# From when on a request waited that was not taken up by `since_s`.
_WAITING = """
with taken as (
    select request, min(coalesce(start_s, end_s)) as taken_s from decisions group by request
)
select if(min(e.t_s) is null, null, greatest($since_s, min(e.t_s)))
from emitted e left join taken t on t.request = e.name
where e.source <> 'fault' and e.t_s is not null and coalesce(t.taken_s, 1e12) >= $since_s
and e.name not in (select name from files where place = 'quarantined')
"""
# The first dispatch from `since_s` on that never asked the LLM.
_SILENT = """
select min(coalesce(start_s, end_s)) from decisions
where dispatch is not null and coalesce(calls, 0) = 0 and coalesce(start_s, end_s) >= $since_s
"""
# How long decisions that made calls were at work. One that does not say when it began may have been
# at work all the time.
_WORKED = """
select coalesce(sum(least(end_s, $to_s) - greatest(coalesce(start_s, $due_s), $due_s)), 0)
from decisions where (calls > 0 or not $lists_calls)
    and end_s > $due_s and coalesce(start_s, $due_s) < $to_s
"""


class RecoveryTimeParams(Params, frozen=True):
    """`limit_s`: how long, once the LLM provably answers again, the Watcher may lack an answer. Of
    a daemon whose call limit does not follow the profile: at least that, and one look at the queue.
    """

    limit_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0


@dataclass(frozen=True)
class Recovery:
    """One recovery. `took_s`: how long an answer was due and lacking, None if it never came or if
    that cannot be told.
    """

    fault_id: str
    outcome: Outcome
    took_s: float | None
    evidence: Evidence


def judge(run: OpenRun, params: RecoveryTimeParams) -> list[Finding]:
    """One recovery per fault of the LLM or end of the Watcher; the slowest one counts."""
    recovered = [w for w in run.faults if _concerns(w) and w.end_s is not None]
    if not recovered:
        asked = any(_concerns(w) for w in run.faults)
        what = "no fault of the LLM and no end of the Watcher"
        reason = f"{what} has recovered" if asked else f"{what} was scheduled"
        return [Finding(outcome="inconclusive" if asked else "skipped", summary=reason)]
    if not_witnessed(run, "wire") is not None and not run.target.says("calls.ended_at"):
        text = "not judged: the target does not say calls.ended_at, and the wire was not witnessed"
        return [Finding(outcome="unverified", summary=text)]
    limit_s, judged = recoveries(run, params)
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
            f"(limit {limit_s:g} s)",
            measured=round(max(times), 3) if times else None,
            limit=limit_s,
            evidence=[one.evidence for one in sorted(judged, key=lambda one: one.outcome)],
        )
    ]


def recoveries(run: OpenRun, params: RecoveryTimeParams) -> tuple[float, list[Recovery]]:
    """(limit in seconds, the recoveries from faults of the LLM and ends of the Watcher)."""
    # A request that the cut link has swallowed is waited for until the daemon gives it up.
    limit_s = params.limit_s
    if not str(run.target.llm.call_limit_s).startswith("{"):
        limit_s = max(limit_s, (run.call_limit_s or 0.0) + run.target.poll_interval_s)
    recovered = [w for w in run.faults if _concerns(w) and w.end_s is not None]
    return limit_s, [_recovery(run, window, limit_s) for window in recovered]


def _concerns(window: FaultWindow) -> bool:
    return window.affects_llm or ends_watcher(window)


def _recovery(run: OpenRun, window: FaultWindow, limit_s: float) -> Recovery:
    recovered_s = window.end_s or 0.0
    healed_s = window.at_s("recovering")
    begin_s = recovered_s if healed_s is None else healed_s
    until_s = _watched_until(run, window)
    first = _FIRST_SEEN if not_witnessed(run, "wire") is None else _FIRST_ANSWER
    answer = run.one(first, {"begin_s": begin_s, "until_s": until_s})
    if answer is not None:
        ref, answer_s = answer
        took_s = _lacked_s(run, recovered_s, answer_s)
        outcome: Outcome = "pass" if took_s <= limit_s else "fail"
        text = f"{window.label}: answered {max(0.0, answer_s - recovered_s):.1f} s after the "
        text += f"recovery, {took_s:.1f} s after it was due"
        return Recovery(window.fault_id, outcome, took_s, Evidence(ref, text))
    ref = window.ref("recovered")
    if until_s - recovered_s < limit_s:
        text = f"{window.label}: too little time was left"
        return Recovery(window.fault_id, "inconclusive", None, Evidence(ref, text))
    lacked_s = _lacked_s(run, recovered_s, until_s)
    if lacked_s < limit_s:
        text = f"an answer was due for {lacked_s:.1f} s" if lacked_s else "no answer was due"
        return Recovery(
            window.fault_id, "inconclusive", None, Evidence(ref, f"{window.label}: {text}")
        )
    text = f"{window.label}: no answer in the {lacked_s:.1f} s in which one was due"
    return Recovery(window.fault_id, "fail", None, Evidence(ref, text))


def _watched_until(run: OpenRun, window: FaultWindow) -> float:
    """The next such fault, or the halt: up to there the Watcher could be seen to recover."""
    after_s = window.end_s or 0.0
    others = [w.earliest_s for w in run.faults if _concerns(w) and w.earliest_s is not None]
    return min([s for s in others if s > after_s] + [run.measured_span_s()[1]])


def _lacked_s(run: OpenRun, since_s: float, to_s: float) -> float:
    """How long in that time an answer was due and none came, in seconds.

    From the first call on without a break, also where it failed and the Watcher paused.
    """
    if to_s <= since_s:
        return 0.0
    calls = _CALLS if run.target.says("calls.ended_at") else _CALLS_SEEN
    open_until_s, first_s = run.one(calls, {"since_s": since_s, "to_s": to_s})
    hung_s = 0.0 if open_until_s is None else min(open_until_s, to_s) - since_s
    first_s = to_s if first_s is None else first_s
    lacked_s = hung_s + _idle_s(run, since_s, first_s) + to_s - first_s
    return float(min(lacked_s, to_s - since_s))


def _idle_s(run: OpenRun, since_s: float, to_s: float) -> float:
    """How long a call was due and no decision that made one was at work.

    Due once the Watcher has had the time to find the work that waited, or from the first dispatch
    that never asked the LLM.
    """
    lists_calls = run.target.says("calls")
    # Whether a request was taken is not known without a log that names it.
    taken = run.target.says("decisions.request") and run.target.says("decisions.ended_at")
    waiting_s = run.one(_WAITING, {"since_s": since_s}) if taken else None
    silent_s = run.one(_SILENT, {"since_s": since_s}) if lists_calls else None
    due = [silent_s] if silent_s is not None else []
    if waiting_s is not None:
        due.append(waiting_s + run.target.poll_interval_s)
    due_s = min(due, default=to_s)
    if due_s >= to_s:
        return 0.0
    span = {"due_s": due_s, "to_s": to_s, "lists_calls": lists_calls}
    worked_s = run.one(_WORKED, span)
    return max(0.0, to_s - due_s - float(worked_s))


CHECK = Check(
    name="recovery_time",
    title="Recovery time",
    judge=judge,
    params=RecoveryTimeParams,
    depends=depends_on("files", "end", "stack"),
)
