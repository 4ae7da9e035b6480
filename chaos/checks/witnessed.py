"""What the checks share that compare claims with the witnesses: of system calls, of the wire.

A run without witnesses says nothing here. One that should have had them, and had not, cannot say
what only they see.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from chaos.checks.base import Params, evidence_of
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding
from chaos.record.open_run import OpenRun

# Each completed dispatch, with the time from which the request was worked on (perhaps by an earlier
# process of the daemon) to the time at which its effects are all there: a decision may be stamped
# before its files can be published, on a full disk long before, but not after the next one begins.
# Beside a fault that ends the daemon the work may have been done before, by whom the log does not
# say.
WORK = """
work as (
    select d.line, d.request, d.dispatch, d.sequence, d.kind,
        least(d.start_s, coalesce(c.first_s, d.start_s)) - $slack_s as from_s,
        greatest(d.end_s, d.until_s) + $slack_s as to_s
    from (select *, coalesce(lead(start_s) over (order by line), 1e12) as until_s from decisions) d
    left join (
        select regexp_extract(to_path, '[^/]*$') as name, min(t_s) as first_s from file_ops
        where call = 'rename' and service like 'watcher%' group by name
    ) c on c.name = d.request
    where d.completed and d.dispatch is not null and d.start_s is not null and d.end_s is not null
    and not exists (select 1 from faults f where list_contains(f.ends, 'watcher')
        and f.injected_s is not null and d.start_s <= f.until_s + 5 and d.end_s >= f.earliest_s)
)"""
SLACK_S = 0.1
_WHOLE = "bool_and(abs({0} + began_epoch_s - round({0} + began_epoch_s)) < 1e-3)"
# How much later than its stamp something may have been: a second where all are whole seconds, of
# calls, or of decisions that list none.
STAMPS = f"""
stamps as (
    select coalesce(
        (select {_WHOLE.format("c.start_s")} and {_WHOLE.format("c.end_s")} from calls c, run),
        (select {_WHOLE.format("d.start_s")} and {_WHOLE.format("d.end_s")} from decisions d, run),
        false)::int::double as coarse_s
)"""

Witness = Literal["syscalls", "wire"]
_WITNESSES = {
    "syscalls": ("system calls were", "processes", "witness.jsonl"),
    "wire": ("the exchanges with the LLM were", "wire", "wire.jsonl"),
}
# The daemon's exchanges with its LLM, without its looks at the server's health. Which of its
# processes connected does not matter: on this link there are only the daemon and the harness.
ATTEMPTS = """
attempts as (
    select line, connection, t_s, end_s, ended = 'answered' and status = 200 as answered, text
    from wire where link = 'llm' and not harness and method = 'POST'
)"""
# The same with its looks at the server's health: a daemon that looks first meets a cut link there,
# and never gets so far as to ask.
ASKED = ATTEMPTS.replace("attempts as", "asked as", 1).replace(" and method = 'POST'", "")

Judge = Callable[[OpenRun, Any], list[Finding]]


def by_witness(sql: str, passed: str, failed: str, count: str) -> Judge:
    """A judge for a query that returns what the witness contradicts.

    `count`: a query for the number of claims, `{claims}` in the sentences; `{wrong}` are the rows.
    """

    def judge(run: OpenRun, params: Params) -> list[Finding]:
        absent = not_witnessed(run)
        if absent is not None:
            return absent
        claims = run.one(count, {"slack_s": SLACK_S})
        if not claims:
            return []
        wrong = evidence_of(run, sql, {"slack_s": SLACK_S})
        sentence = failed if wrong.count else passed
        return [
            Finding(
                outcome="fail" if wrong.count else "pass",
                summary=sentence.format(wrong=wrong.count, claims=claims),
                measured=wrong.count,
                limit=0,
                evidence=wrong.shown,
                evidence_count=wrong.count,
            )
        ]

    return judge


def finding_of(wrong: Sequence[Evidence], passed: str, failed: str) -> list[Finding]:
    """The one finding of a check that found `wrong`; `{wrong}` is their number in `failed`."""
    count = len(wrong)
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=failed.format(wrong=count) if wrong else passed,
            measured=count,
            limit=0,
            evidence=wrong[:EVIDENCE_MAX],
            evidence_count=count,
        )
    ]


def not_witnessed(run: OpenRun, witness: Witness = "syscalls") -> list[Finding] | None:
    """What to say where that witness is missing; None where it is there."""
    if run.config.get("witness") != "all":
        return []
    what, table, record = _WITNESSES[witness]
    reasons = run.sql(
        "select line, detail ->> 'reason' from events where name = 'not_witnessed' "
        "and detail ->> 'witness' = $witness order by line desc limit 1",
        {"witness": witness},
    )
    if reasons:
        line, reason = reasons[0]
        text = f"{what} not witnessed: {reason}"
        evidence = [run.evidence(line, text)]
    elif witness == "wire" and run.one("select count(*) from wire where ended = 'dropped'"):
        text = f"{what} not witnessed whole: the machine was too busy, and frames were lost"
        evidence = [Evidence(record, text)]
    elif run.one(f"select count(*) from {table}"):
        return None
    else:
        text = f"{what} not witnessed: the record is missing or empty"
        evidence = [Evidence(record, text)]
    return [Finding(outcome="unverified", owner="infrastructure", summary=text, evidence=evidence)]
