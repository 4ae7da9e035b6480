"""Requests pending: nothing waits, and nothing is held, when the run is over."""

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Finding, plural
from chaos.checks.planted import planted_files
from chaos.record.open_run import OpenRun

STUCK = """
select 'artefacts/' || path as ref,
    case place when 'pending' then 'still pending' else 'claimed, not done' end as text
from files where place in ('pending', 'claimed') order by place = 'claimed', name
"""
_COUNTS = """
select count(*) filter (place = 'pending'), count(*) filter (place = 'claimed') from files
"""


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """The plan, soak B, row "Requests pending after test: 0"."""
    stuck = evidence_of(run, STUCK)
    pending, claimed = run.one(_COUNTS)
    odd = [
        one.evidence("is no plain file, and still waits")
        for one in planted_files(run)
        if "irregular" in one.places
    ]
    count = stuck.count + len(odd)
    return [
        Finding(
            outcome="fail" if count else "pass",
            summary=f"{plural(pending, 'request')} pending, {claimed} claimed after the run",
            measured=count,
            limit=0,
            evidence=stuck.shown + odd,
            evidence_count=count,
        )
    ]


CHECK = Check(
    name="requests_pending",
    says=("work.pending",),
    title="Requests pending",
    origin="plan, soak B: Requests pending after test",
    judge=judge,
    depends=depends_on("files", "end", "stack"),
)
