"""Idle processor time: a daemon that has nothing to do lets the machine rest.

A loop without a pause hides behind everything else: work gets done, and nothing grows. It takes a
core from the work and the LLM for days. Judged are pairs of samples that follow each other while
no request waits, none is worked on and no child runs, outside of faults. On a busy machine a loop
gets a part of a core only: the time in which the daemon waited for one is left out.
"""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.record.open_run import OpenRun

_IDLE_S_MIN = 5.0
_HAD_MIN = 0.25  # of the idle time: so much is counted however long the daemon waited
_IDLE = """
with samples as (
    select t_s, "watcher.pid" as pid, "watcher.cpu_s" as cpu_s, lead(t_s) over o as next_s,
        lead("watcher.cpu_s") over o as next_cpu_s,
        lead("watcher.wait_s") over o - "watcher.wait_s" as waited_s,
        lead("watcher.pid") over o as next_pid,
        lag(idle) over o and idle and lead(idle) over o as idle
    from (
        select *, not in_fault and coalesce("queue.pending", 0) + coalesce("queue.claimed", 0) = 0
            and coalesce("watcher.children", 0) = 0 as idle from moments, run
        where t_s between from_s and to_s
    ) window o as (order by line)
)
select sum(next_s - t_s), sum(next_cpu_s - cpu_s), sum(greatest(waited_s, 0)) from samples
where idle and pid = next_pid and next_cpu_s >= cpu_s
"""


class IdleCpuParams(Params, frozen=True):
    """`share`: of one core, on average over all idle time."""

    share: Annotated[float, msgspec.Meta(gt=0, le=64)] = 0.4


def judge(run: OpenRun, params: IdleCpuParams) -> list[Finding]:
    """None where the daemon was idle for less than five seconds."""
    idle_s, used_s, waited_s = run.one(_IDLE)
    if (idle_s or 0.0) < _IDLE_S_MIN:
        return []
    had_s = max(idle_s - (waited_s or 0.0), _HAD_MIN * idle_s)
    share = used_s / had_s
    busy = share > params.share
    text = f"{used_s:.1f} s of processor time in {had_s:.0f} s without work"
    if had_s < 0.9 * idle_s:
        text += f" ({waited_s:.0f} s more in which it waited for a processor)"
    return [
        Finding(
            outcome="fail" if busy else "pass",
            summary=f"{text}: {100 * share:.0f} % of a core (at most {100 * params.share:g} %)",
            measured=round(share, 3),
            limit=params.share,
            evidence=[Evidence("history.jsonl", text)] if busy else [],
        )
    ]


CHECK = Check(
    name="idle_cpu",
    says=("work.pending", "work.claimed"),
    title="Idle processor time",
    judge=judge,
    params=IdleCpuParams,
    always=True,
)
