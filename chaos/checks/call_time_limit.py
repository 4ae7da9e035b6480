"""Call time limit: no call to the LLM waits longer than the target says.

A daemon without a limit survives each fault of a test, which is over some time, and hangs for ever
in production. Judged is the wire: from the first byte of a request to its answer, or to the moment
when the daemon gave it up. A fault that keeps the daemon from acting excuses it.
"""

from chaos.checks.base import Check, Params, evidence_of
from chaos.checks.finding import Finding, plural
from chaos.checks.witnessed import ATTEMPTS, not_witnessed
from chaos.record.open_run import OpenRun

# What a busy machine adds: as much again and a second.
_TIMES, _MORE_S = 2.0, 1.0
_JUDGED = f"""
with {ATTEMPTS}, judged as (
    select * from attempts a where not exists (
        select 1 from faults f where not f.affects_llm and f.injected_s is not null
        and a.end_s >= f.earliest_s and a.t_s <= f.until_s)
)"""
_TOO_LONG = f"""
{_JUDGED}
select wire_ref(line) as ref, printf('%.1f', t_s) || ' s: the daemon waited '
    || printf('%.1f', end_s - t_s) || ' s' as text
from judged where end_s - t_s > $limit_s order by end_s - t_s desc, line
"""


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None where the target names no limit, or no call was seen."""
    limit_s = call_limit_s(run)
    if limit_s is None:
        return []
    absent = not_witnessed(run, "wire")
    if absent is not None:
        return absent
    calls, longest_s = run.one(f"{_JUDGED} select count(*), max(end_s - t_s) from judged")
    if not calls:
        return []
    most_s = limit_s * _TIMES + _MORE_S
    wrong = evidence_of(run, _TOO_LONG, {"limit_s": most_s})
    return [
        Finding(
            outcome="fail" if wrong.count else "pass",
            summary=(
                f"{plural(calls, 'call')} to the LLM took at most {longest_s:.1f} s; the target "
                f"gives up after {limit_s:g} s"
            ),
            measured=round(longest_s, 1),
            limit=most_s,
            evidence=wrong.shown,
            evidence_count=wrong.count,
        )
    ]


def call_limit_s(run: OpenRun) -> float | None:
    """What the target says, filled in from the profile's settings; None where it says nothing."""
    settings = run.profile.get("settings") or {}
    said = run.target.llm.call_limit_s
    try:
        return float(settings.get(said.strip("{}"), said)) if said else None
    except (TypeError, ValueError):
        return None


CHECK = Check(
    says=("llm.call_limit_s",),
    name="call_time_limit",
    title="Call time limit",
    judge=judge,
    always=True,
)
