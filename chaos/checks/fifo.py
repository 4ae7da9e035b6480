"""FIFO: requests are taken in the order in which they arrived.

Arrivals are told by whoever can know: the harness's own submissions (their order is certain), and
the diagnostics whose triggers emitted a request (by their time stamp). One with a lower name may
be taken first, as from a sorted folder, unless the target promises the order of arrival.
"""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Evidence, Finding, plural
from chaos.record.open_run import OpenRun

# Each dispatch with the arrival of its request, in the order of service. The harness is believed
# before the diagnostics; of two submissions of one name the last one counts.
_SERVED = """
with arrivals as (
    select name, arg_min(t_s, rank) as arrived_s, arg_min(source, rank) as source from (
        select name, source, case source when 'harness' then max(t_s) else min(t_s) end as t_s,
            source = 'diagnostics' as rank
        from emitted where t_s is not null and source <> 'fault' group by name, source
    ) group by name
), served as (
    select d.line, d.request, a.arrived_s, a.source,
        row_number() over (order by d.start_s nulls last, d.line) as place
    from decisions d join arrivals a on a.name = d.request where d.dispatch is not null
)
"""
# Overtaken: somebody taken earlier had arrived later, by more than `tie_s` where two different
# witnesses tell of the arrivals.
_OVERTAKEN = (
    _SERVED
    + """, latest as (
    select *, max(arrived_s) filter (source = 'harness') over earlier as harness_s,
        arg_max(struct_pack(request, line), arrived_s) filter (source = 'harness') over earlier
            as harness,
        max(arrived_s) filter (source = 'diagnostics') over earlier as diagnostics_s,
        arg_max(struct_pack(request, line), arrived_s) filter (source = 'diagnostics') over earlier
            as diagnostics
    from served
    window earlier as (order by place rows between unbounded preceding and 1 preceding)
)
select decision_ref(line) as ref, request || ' arrived before ' || before.request || ' (line '
    || before.line || ') and was taken after it' as text
from (
    select line, request, place, arrived_s, case
        when harness_s > arrived_s + if(source = 'harness', 0, $tie_s) then harness
        when diagnostics_s > arrived_s + if(source = 'diagnostics', 0, $tie_s) then diagnostics
        end as before
    from latest
) o where before is not null and ($promised or exists (
    select 1 from served e where e.place < o.place and e.request > o.request
    and e.arrived_s > o.arrived_s + $tie_s
)) order by place
"""
)


class FIFOParams(Params, frozen=True):
    """`tie_s`: arrivals told by different witnesses count as simultaneous within this time."""

    tie_s: Annotated[float, msgspec.Meta(ge=0)] = 1.5


def judge(run: OpenRun, params: FIFOParams) -> list[Finding]:
    """The plan, section 5: requests are worked off "sequentially"; the queue is a line."""
    served = run.one(f"{_SERVED} select count(*) from served")
    if served < 2:
        return [Finding(outcome="inconclusive", summary="too few requests of known arrival")]
    promised = run.target.work.order == "arrival"
    overtaken = evidence_of(run, _OVERTAKEN, {"tie_s": params.tie_s, "promised": promised})
    return [
        Finding(
            outcome="fail" if overtaken.count else "pass",
            summary=f"{overtaken.count} of {plural(served, 'request')} overtaken by later ones",
            measured=overtaken.count,
            limit=0,
            evidence=overtaken.shown or [Evidence(run.decision_log, "start by start")],
            evidence_count=overtaken.count,
        )
    ]


CHECK = Check(
    name="fifo",
    says=("decisions.request", "decisions.started_at"),
    title="First in, first out",
    judge=judge,
    params=FIFOParams,
    depends=depends_on("files", "stack"),
)
