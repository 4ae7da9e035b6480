"""Stall: work waits and nothing is decided. A process that is alive proves nothing by that.

A daemon that sets its own halt flag, and then leaves its work, has stalled however short it was.
"""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, plural
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
# Since when a halt flag has been there, to the end of the measured time: (line, when, since when
# work has waited outside faults and none was decided, how much waits at last, when that was).
_HALTED = """
with looks as (
    select line, t_s, in_fault, "halt.flags" > 0 as halted,
        coalesce("queue.pending", 0) + coalesce("queue.claimed", 0) as waiting,
        coalesce("decisions.lines", "queue.archived", -1) as decided,
        lag(decided) over (order by line) as decided_before
    from moments, run where t_s between from_s and to_s and "halt.flags" is not null
), since as (
    select * from looks where line > (select coalesce(max(line) filter (not halted), 0) from looks)
)
select min(line), min(t_s), greatest(min(t_s) filter (waiting > 0 and not in_fault),
        max(t_s) filter (decided <> decided_before)),
    last(waiting order by line), max(t_s)
from since having count(*) > 0
"""
_BY_FAULT = """
select count(*) from faults where undo ->> '$.flag' is not null
and $t_s between earliest_s and until_s + 1
"""
# So many polls at least, and as long as a piece of work may take, work waits beside the flag.
_POLLS_MIN = 2


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
    halted = _halted_itself(run)
    evidence = [run.evidence(line, f"no decision for {longest_s:.1f} s")] if line else []
    return [
        Finding(
            outcome="fail" if halted or longest_s > limit_s else "pass",
            summary=(f"{halted.text}; " if halted else "")
            + f"work waited at most {longest_s:.1f} s without a decision, fault windows left out "
            f"(limit {limit_s:g} s)",
            measured=round(longest_s, 3),
            limit=limit_s,
            evidence=[halted, *evidence] if halted else evidence,
        )
    ]


def _halted_itself(run: OpenRun) -> Evidence | None:
    """That a halt flag was set by no fault, and that work has waited ever since."""
    found = run.one(_HALTED) if run.target.says("halt.flags") else None
    if found is None:
        return None
    line, since_s, from_s, waiting, to_s = found
    least_s = max(_POLLS_MIN * run.target.poll_interval_s, run.patience_s)
    if from_s is None or not waiting or to_s - from_s < least_s:
        return None
    if run.one(_BY_FAULT, {"t_s": since_s}):
        return None
    flags = " or ".join(run.target.halt_flags)
    count = plural(int(waiting), "request")
    text = f"the daemon halted itself at {since_s:.1f} s ({flags}), {count} waited since"
    return run.evidence(line, text)


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
