"""Stall: work waits and nothing is decided. A process that is alive proves nothing by that."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Finding
from chaos.record.open_run import OpenRun

# A sample counts when requests wait, no decision came since the one before, and no fault holds.
_LONGEST = """
with samples as (
    select line, t_s, in_fault, lag(t_s) over o as before_s,
        coalesce("queue.pending", 0) + coalesce("queue.claimed", 0) as waiting,
        coalesce("decisions.lines", "queue.archived", -1) as decided,
        lag(coalesce("decisions.lines", "queue.archived", -1)) over o as decided_before
    from moments window o as (order by line)
), stretches as (
    select line, in_fault, t_s - before_s as passed_s, coalesce(decided <> decided_before, true)
        or waiting = 0 as moved
    from samples
), counted as (
    select line, sum(moved::int) over (order by line) as stretch,
        case when moved or in_fault then 0 else passed_s end as passed_s
    from stretches
)
select sum(passed_s), max(line) filter (passed_s > 0) from counted group by stretch
order by 1 desc, 2 limit 1
"""


class StallParams(Params, frozen=True):
    """The longest stretch with work waiting and no decision, outside the fault windows.

    `polls` of the target's poll interval, or `limit_s`, whichever is longer (both 0: the
    profile's `drain_limit_s`). Without `polls` at least twice what one piece of work may take by
    the target (`OpenRun.patience_s`).
    """

    polls: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


def judge(run: OpenRun, params: StallParams) -> list[Finding]:
    """One escalation can halt everything silently: alive, no error, and no progress."""
    if not run.sampled("queue.pending"):
        return [Finding(outcome="inconclusive", summary="the queue was never sampled")]
    longest_s, line = longest_stall(run)
    limit_s = max(params.limit_s, params.polls * run.target.poll_interval_s)
    limit_s = limit_s or float(run.profile.get("drain_limit_s", 60.0))
    limit_s = limit_s if params.polls else max(limit_s, 2 * run.patience_s)
    return [
        Finding(
            outcome="fail" if longest_s > limit_s else "pass",
            summary=f"work waited at most {longest_s:.1f} s without a decision, fault windows "
            f"left out (limit {limit_s:g} s)",
            measured=round(longest_s, 3),
            limit=limit_s,
            evidence=[run.evidence(line, f"no decision for {longest_s:.1f} s")] if line else [],
        )
    ]


def longest_stall(run: OpenRun) -> tuple[float, int]:
    """(seconds, history line) of the longest stretch in which requests waited and no decision
    was written, fault windows left out.
    """
    longest_s, line = run.once("longest stall", lambda run: run.one(_LONGEST)) or (0.0, None)
    return (longest_s, line) if line else (0.0, 0)


CHECK = Check(
    name="stall",
    says=("work.pending",),
    title="Progress",
    judge=judge,
    params=StallParams,
    depends=depends_on("stack"),
)
