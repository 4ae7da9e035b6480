"""Exactly once: every request is decided once and ends in one place, whatever was broken."""

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.planted import planted_files, wrongly_worked
from chaos.checks.request_queue import LOST
from chaos.record.open_run import OpenRun

DAMAGED = """
select decision_ref(line) as ref, problem as text from damaged where problem <> 'torn' order by line
"""
_DECIDED_TWICE = """
select decision_ref(line) as ref,
    request || ' decided again (first in line ' || first_line || ')' as text
from (
    select line, request, min(line) over (partition by request) as first_line
    from decisions where dispatch is not null and request is not null
) where line <> first_line order by line
"""
# Of files that are one request, all but one may lie anywhere. A refusal may be told by the name of
# the archived file alone.
_ONE_REQUEST = "select name from planted where must = 'once'"
_WITHOUT_DECISION = f"""
select 'artefacts/' || path as ref, name || ' archived without a decision' as text
from files where place = 'archived' and not refused and name not in ({_ONE_REQUEST})
and name not in (select request from decisions where dispatch is not null and request is not null)
order by name
"""
# A daemon stopped in a hurry may leave a decided request claimed: its next start finishes it.
_NOT_ARCHIVED = """
select decision_ref(min(line)) as ref, request || ' decided, but not archived' as text
from decisions where dispatch is not null and request is not null and request not in (
    select name from files, run where place = 'archived' or (place = 'claimed' and not complete)
) group by request order by min(line)
"""
_IN_TWO_PLACES = f"""
select 'artefacts/' || first(path order by place <> 'archived') as ref,
    name || ' is in ' || count(*) || ' folders' as text
from files where place is not null and name not in ({_ONE_REQUEST})
group by name having count(*) > 1 order by name
"""
# A line without an identity is not compared: two missing numbers are no duplicates.
REPEATED = """
select decision_ref(line) as ref, text from (
    select line, 'decision id ' || id || ' again (line ' || first_line || ')' as text, 0 as rank
    from (select line, id, min(line) over (partition by id) as first_line from decisions
        where id is not null) where line <> first_line
    union all
    select line, 'sequence number of ' || coalesce(source, '') || ' ' || sequence || ' again (line '
        || first_line || ')', 1
    from (select line, source, sequence,
            min(line) over (partition by coalesce(source, ''), sequence) as first_line
        from decisions where dispatch is not null and coalesce(sequence, '') <> '')
    where line <> first_line
) order by rank, line
"""
_QUERIES = (DAMAGED, _DECIDED_TWICE, _WITHOUT_DECISION, _NOT_ARCHIVED, _IN_TWO_PLACES, REPEATED)
_COUNTS = """
select (select count(distinct name) from emitted), (select count(*) from decisions),
    (select count(*) from damaged where problem = 'torn')
"""


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """Holds always, also through fault windows and crashes."""
    found = [evidence_of(run, query) for query in (*_QUERIES, LOST)]
    worked = wrongly_worked(planted_files(run))
    count = sum(rows.count for rows in found) + len(worked)
    emitted, decisions, torn = run.one(_COUNTS)
    summary = f"{plural(emitted, 'request')} emitted, {plural(decisions, 'decision')}, "
    summary += f"{count} lost, doubled or undecided"
    summary += "; the log ends in half a line" if torn else ""
    log = Evidence(run.decision_log, "joined with the queue folders")
    return [
        Finding(
            outcome="fail" if count else "pass",
            summary=summary,
            measured=count,
            limit=0,
            evidence=[item for rows in found for item in rows.shown] + worked or [log],
            evidence_count=max(count, 1),
        )
    ]


CHECK = Check(
    name="exactly_once",
    says=("decisions.request",),
    title="Exactly once",
    judge=judge,
    depends=depends_on("files"),
)
