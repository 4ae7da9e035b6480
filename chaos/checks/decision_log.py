"""Decision log: every line whole, every entry there, every identity used once."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.exactly_once import DAMAGED, REPEATED
from chaos.checks.finding import Evidence, Finding, plural
from chaos.record.open_run import OpenRun

_TORN = """
select decision_ref(line) as ref, 'the log ends in half a line' as text
from damaged, run where problem = 'torn' and complete
"""
# Append-only: the log never had fewer lines than before, but for what a power cut took from it.
SHRUNK = """
select history_ref(line) as ref, 'the log shrank from ' || before::int || ' to ' || now::int
    || ' lines' as text
from (select line, t_s, lag(t_s) over (order by line) as before_s, "decisions.lines" as now,
        lag("decisions.lines") over (order by line) as before
    from moments where "decisions.lines" is not null)
where now < before and not exists (select 1 from faults f
    where before_s <= f.until_s and t_s >= f.recovering_s and contains(f.recovery ->> '$.lost',
        regexp_extract(decision_ref(1), 'artefacts/(.*):1', 1) || ' cut to '))
order by line
"""
_ENTRIES = """
select count(*) from decisions where dispatch is not null and ($source = '' or source = $source)
"""


class DecisionLogParams(Params, frozen=True):
    """`count`: entries asked for (0: any number), of `source` alone where one is named."""

    count: Annotated[int, msgspec.Meta(ge=0)] = 0
    source: str = ""


def judge(run: OpenRun, params: DecisionLogParams) -> list[Finding]:
    """The plan, soak B, row "Decision log: 10 entries with unique sequence numbers"."""
    found = [evidence_of(run, query) for query in (DAMAGED, _TORN, SHRUNK, REPEATED)]
    entries = run.one(_ENTRIES, {"source": params.source})
    of = f" of {params.source}" if params.source else ""
    counted = Evidence(run.decision_log, f"{plural(entries, 'dispatch', 'dispatches')}{of}")
    surplus = bool(params.source and params.count) and entries > params.count
    amiss = [counted] if entries < params.count or surplus else []
    count = sum(rows.count for rows in found) + len(amiss)
    summary = f"{plural(entries, 'entry', 'entries')}{of}"
    if params.count:
        summary += f", {params.count} asked"
    summary += f"; {count} missing, torn or repeated" if count else "; whole, and each one unique"
    return [
        Finding(
            outcome="fail" if count else "pass",
            summary=summary,
            measured=entries,
            limit=params.count or None,
            evidence=amiss + [item for rows in found for item in rows.shown] or [counted],
            evidence_count=count,
        )
    ]


CHECK = Check(
    name="decision_log",
    says=("decisions.request", "decisions.source", "decisions.sequence"),
    title="Decision log",
    origin="plan, soak B: Decision log",
    judge=judge,
    params=DecisionLogParams,
    depends=depends_on("files", "end", "stack"),
)
