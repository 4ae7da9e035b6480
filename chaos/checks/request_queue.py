"""Request queue: everything processed, nothing stuck, nothing lost."""

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Finding, plural
from chaos.checks.planted import SET_ASIDE, left_behind, planted_files
from chaos.checks.requests_pending import STUCK
from chaos.record.open_run import OpenRun

# Requests that were emitted and are nowhere: not waiting, not finished, not set aside.
LOST = """
select first(ref order by rank) as ref, first(text order by rank) as text from (
    select name, ref, text, case source when 'harness' then 0 when 'diagnostics' then 1 else 2 end
        as rank from emitted
) where name not in (select name from files where place is not null) group by name order by 1, name
"""
_COUNTS = """
select (select count(distinct name) from emitted),
    count(*) filter (place = 'archived'), count(*) filter (place = 'quarantined') from files
"""


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """The plan, soak C, row "Request queue: all processed, none stuck".

    A file may only be set aside when a fault has planted it as a bad one: that very file.
    """
    stuck, lost = evidence_of(run, STUCK), evidence_of(run, LOST)
    aside = evidence_of(
        run,
        f"select 'artefacts/' || path as ref, 'set aside' as text from ({SET_ASIDE})",
        {"suffix": run.target.work.submit.suffix},
    )
    planted = left_behind(planted_files(run))
    emitted, archived, quarantined = run.one(_COUNTS)
    summary = (
        f"{plural(emitted, 'request')} emitted, {archived} archived, {stuck.count} stuck, "
        f"{lost.count} lost, {aside.count} set aside"
    )
    if expected := quarantined - aside.count:
        summary += f", beside {plural(expected, 'file')} that faults had planted"
    wrong = [*stuck.shown, *lost.shown, *aside.shown, *planted]
    count = stuck.count + lost.count + aside.count + len(planted)
    drained = run.last("drained")
    if drained is None:
        wrong.append(run.evidence(run.lines, "the queue was never given the time to drain"))
        count += 1
    elif not drained[1].detail.get("in_time", False):
        summary += f"; not drained in {drained[1].detail.get('took_s', '?')} s"
        wrong.append(run.evidence(drained[0], "not drained in time"))
        count += 1
    good = [run.evidence(drained[0], "drained in time")] if drained and not wrong else []
    return [
        Finding(
            outcome="fail" if count else "pass",
            summary=summary,
            measured=count,
            limit=0,
            evidence=wrong or good,
            evidence_count=count,
        )
    ]


CHECK = Check(
    name="request_queue",
    says=("work.pending",),
    title="Request queue",
    origin="plan, soak C: Request queue",
    judge=judge,
    depends=depends_on("files", "end", "stack"),
)
