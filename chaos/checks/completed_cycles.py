"""Completed cycles: the loop goes round often enough, and never stands still over work."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Finding, plural
from chaos.checks.stall import longest_stall
from chaos.record.open_run import OpenRun

_CYCLES = """
select decision_ref(line) as ref, request || ': ' || dispatch || ' ' || coalesce(status, '') as text
from decisions where dispatch is not null and completed = $completed and not refused
order by line
"""


class CompletedCyclesParams(Params, frozen=True):
    """`min`: completed cycles asked for; of a slow daemon no more than half of what it has the time
    for, by its poll and its work. `stall_s`: longest stretch with work waiting and none done,
    outside the fault windows (0: the profile's `drain_limit_s`).
    """

    min: Annotated[int, msgspec.Meta(ge=1)] = 5
    stall_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


def judge(run: OpenRun, params: CompletedCyclesParams) -> list[Finding]:
    """The plan, soak C, row "Completed cycles"."""
    done = evidence_of(run, _CYCLES, {"completed": True})
    failed = evidence_of(run, _CYCLES, {"completed": False})
    least = min(params.min, max(1, _possible(run) // 2))
    stall_s, stall_line = longest_stall(run)
    limit_s = params.stall_s or float(run.profile.get("drain_limit_s", 60.0))
    summary = f"{plural(done.count, 'cycle')} completed, at least {least} asked"
    if failed.count:
        summary += f"; {failed.count} did not complete"
    evidence = failed.shown or done.shown
    stalled = stall_s > limit_s
    if stalled:
        summary += f"; work waited {stall_s:.0f} s and none was done (limit {limit_s:g} s)"
        evidence = [run.evidence(stall_line, f"no progress for {stall_s:.1f} s"), *evidence]
    return [
        Finding(
            outcome="pass" if done.count >= least and not stalled else "fail",
            summary=summary,
            measured=done.count,
            limit=least,
            evidence=evidence,
            evidence_count=failed.count or done.count,
        )
    ]


def _possible(run: OpenRun) -> int:
    start_s, end_s = run.measured_span_s()
    return int((end_s - start_s) / (run.target.poll_interval_s + run.target.work.unit_s))


CHECK = Check(
    name="completed_cycles",
    says=("decisions.request", "decisions.status"),
    title="Completed cycles",
    origin="plan, soak C: Completed cycles",
    judge=judge,
    params=CompletedCyclesParams,
    depends=depends_on("files", "end", "stack"),
)
