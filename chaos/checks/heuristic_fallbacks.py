"""Heuristic fallbacks, read through the fault windows.

Forbidden while the LLM can be reached, required while it is cut: the plan's "0 fallbacks" is
wrong while an LLM fault is active, and a Watcher that hides its fallbacks would pass it.
"""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.llm_served import LOG, served_completions
from chaos.checks.witnessed import ASKED, STAMPS, not_witnessed
from chaos.record.open_run import OpenRun

# Two clocks meet here: the Watcher's stamps and the harness's. Doubt is read in its favour.
_CLOCK_SLACK_S = 0.1
# The server's last log lines may be lost when it is stopped right after an answer.
_SERVED_PART_MIN = 0.8

# Fallbacks that no fault of the LLM excuses, or `allowance_s` for reconnecting after it. A decision
# with failed calls is excused by them: each must have met a fault. Parameters: allowance_s.
OUTSIDE = f"""
with {STAMPS}, allowed as (
    select earliest_s - {_CLOCK_SLACK_S} as from_s,
        coalesce(recovered_s, run.end_s) + $allowance_s as to_s
    from faults, run where affects_llm and injected_s is not null
), failed as (
    select line, bool_and(exists (select 1 from allowed a
        where c.start_s <= a.to_s and c.end_s + coarse_s >= a.from_s)) as excused
    from calls c, stamps where not ok and start_s is not null and end_s is not null group by line
)
select d.* from stamps, decisions d left join failed f on f.line = d.line
where d.fallback and not coalesce(f.excused, exists (select 1 from allowed a
    where d.start_s <= a.to_s and d.end_s + coarse_s >= a.from_s))
order by d.line
"""
# The times in which, proven, no answer can have come through, a little shorter on both ends.
_INNER = f"""
inner_cuts as (
    select cut_from_s + {_CLOCK_SLACK_S} as from_s, cut_until_s - {_CLOCK_SLACK_S} as to_s
    from faults where affects_llm and cut_from_s is not null
)"""
# Decisions that must have been made without the LLM although they do not say so.
_HIDDEN = f"""
with {_INNER}, {STAMPS}, signs as (
    select d.line, exists (select 1 from calls c, inner_cuts i where c.line = d.line and c.ok
            and c.start_s >= i.from_s and c.end_s + coarse_s <= i.to_s) as forged,
        not d.fallback as silent,
        exists (select 1 from calls c where c.line = d.line and not c.ok) as failed,
        d.dispatch is not null and coalesce(d.calls, 0) = 0 and $lists_calls as without
    from decisions d, stamps
)
select decision_ref(line) as ref, coalesce(id, '') || ' ' || coalesce(request, '')
    || coalesce(' at ' || printf('%.1f', start_s) || ' s', '') || ': ' || reason as text
from (select line, case
        when forged then 'says that the LLM answered while no answer could get through'
        when silent and failed
            then 'an LLM call failed, and the decision is not marked as a fallback'
        when silent and without
            then 'dispatched without any LLM call, and not marked as a fallback' end as reason
    from signs) join decisions using (line)
where reason is not null order by line
"""
# Asked for an answer, by its own word and on the wire, while none could come through.
_EXERCISED = f"""
with {_INNER}, {ASKED}, calling as (
    select start_s, end_s from calls union all select t_s, end_s from asked
)
select (select count(*) from inner_cuts), count(*) from calling a
where exists (select 1 from inner_cuts i where a.start_s <= i.to_s and a.end_s >= i.from_s)
"""


class HeuristicFallbacksParams(Params, frozen=True):
    """`allowance_s`: a fallback may begin so long after a recovery (reconnection)."""

    allowance_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0


def judge(run: OpenRun, params: HeuristicFallbacksParams) -> list[Finding]:
    """The plan, soak C, row "Heuristic fallbacks: 0"."""
    allowance_s = max(params.allowance_s, run.patience_s)
    allowance = {"allowance_s": allowance_s}
    outside = evidence_of(
        run,
        "select decision_ref(line) as ref, coalesce(id, '') || ' ' || coalesce(request, '') || "
        "coalesce(' at ' || printf('%.1f', start_s) || ' s', '') || "
        f"': fallback while the LLM could be reached' as text from ({OUTSIDE})",
        allowance,
    )
    hidden = evidence_of(run, _HIDDEN, {"lists_calls": run.target.says("calls")})
    unserved = _never_served(run)
    fallbacks = run.one("select count(*) from decisions where fallback")
    signs = hidden.count + len(unserved)
    parts = [
        f"{plural(fallbacks - outside.count, 'fallback')} while the LLM was cut",
        f"{outside.count} outside the fault windows (+{allowance_s:g} s)",
    ]
    if signs:
        parts.append(f"{signs} signs of decisions without the LLM that are not marked")
    findings = [
        Finding(
            outcome="fail" if outside.count or signs else "pass",
            summary=", ".join(parts),
            measured=outside.count + signs,
            limit=0,
            evidence=unserved + hidden.shown + outside.shown,
            evidence_count=outside.count + signs,
        )
    ]
    cuts, calls_in_cuts = run.one(_EXERCISED)
    if cuts and not calls_in_cuts:
        findings.append(_not_exercised(run))
    return findings


def _never_served(run: OpenRun) -> list[Evidence]:
    """More answers claimed than the server gave: some were not of the LLM.

    Where the wire was witnessed, each answer is judged (`answers_witnessed`).
    """
    if not_witnessed(run, "wire") is None:
        return []
    claimed = run.one("select count(*) from calls where ok")
    served = served_completions(run)
    if served is None or served >= _SERVED_PART_MIN * claimed:
        return []
    text = f"the decisions claim {claimed} answers of the LLM, its server completed {served}"
    return [Evidence(f"logs/{LOG}", text)]


def _not_exercised(run: OpenRun) -> Finding:
    proofs = [
        run.evidence(window.states["effect_proven"][0], f"{window.label} held")
        for window in run.faults
        if window.cut_s(run.end_s) is not None
    ]
    return Finding(
        outcome="unverified",
        summary="the LLM was cut, but no LLM call of the Watcher fell into that time",
        evidence=proofs,
    )


CHECK = Check(
    name="heuristic_fallbacks",
    says=("decisions.fallback", "decisions.started_at"),
    title="Heuristic fallbacks",
    origin="plan, soak C: Heuristic fallbacks",
    judge=judge,
    params=HeuristicFallbacksParams,
    depends=depends_on("files", "stack"),
)
