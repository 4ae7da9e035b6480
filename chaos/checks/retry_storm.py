"""Retry storm: the Watcher does not hammer an LLM that does not answer.

Retries without a pause turn a short outage into a long one: they fill the server's queue when it
comes back, and take the machine's time meanwhile. Counted are attempts to connect, as witnessed,
and on the wire each further request over a connection that is kept: what the daemon logs of its
retries does not matter.
Judged is the time of faults that take the LLM away, against a limit and against the daemon's own
pace in the rest of the run: one that asks often anyway is not retrying.
"""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, evidence_of
from chaos.checks.finding import Finding
from chaos.checks.witnessed import not_witnessed
from chaos.record.open_run import OpenRun

_USUAL_TIMES = 3.0
_COUNTED = """
tries as (
    select witness_ref(line) as ref, t_s from connects where llm and service like 'watcher%'
    union all
    select wire_ref(line), t_s from (
        select *, row_number() over (partition by connection order by t_s) as place from wire
        where link = 'llm' and not harness
    ) where place > 1
), counted as (
    select ref, t_s, count(*) over (order by t_s range between $window_s preceding and current row)
        as attempts,
        exists (select 1 from faults f where (f.affects_llm or list_contains(f.ends, 'llm'))
            and c.t_s between f.injected_s and f.until_s) as without_llm,
        exists (select 1 from faults f where (f.affects_llm or list_contains(f.ends, 'llm'))
            and c.t_s between f.injected_s and f.until_s + $window_s) as counts_a_fault
    from tries c
)"""
_BURSTS = f"""
with {_COUNTED}
select ref, attempts || ' attempts to reach the LLM in the '
    || printf('%g', $window_s) || ' s before ' || printf('%.1f', t_s) || ' s' as text
from counted where without_llm and attempts > $limit order by attempts desc, t_s
"""
_PEAKS = f"""
with {_COUNTED}
select count(*) filter (without_llm), coalesce(max(attempts) filter (without_llm), 0),
    coalesce(max(attempts) filter (not counts_a_fault), 0) from counted
"""


class RetryStormParams(Params, frozen=True):
    """`per_s`: attempts to connect in a second, on average over `window_s`; more is a storm unless
    it is less than three times what the daemon does in the rest of the run.
    """

    per_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    window_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0


def judge(run: OpenRun, params: RetryStormParams) -> list[Finding]:
    """None in a run without the witness, or without an attempt while the LLM was taken away."""
    absent = not_witnessed(run)
    if absent is not None:
        return absent
    span = {"window_s": params.window_s}
    attempts, peak, usual = run.one(_PEAKS, span)
    if not attempts:
        return []
    limit = max(params.per_s * params.window_s, _USUAL_TIMES * usual)
    bursts = evidence_of(run, _BURSTS, {**span, "limit": limit})
    return [
        Finding(
            outcome="fail" if bursts.count else "pass",
            summary=f"{attempts} attempts to reach the LLM while a fault took it away, at most "
            f"{peak / params.window_s:.1f} a second over {params.window_s:g} s "
            f"(limit {limit / params.window_s:g})",
            measured=round(peak / params.window_s, 2),
            limit=limit / params.window_s,
            evidence=bursts.shown,
            evidence_count=bursts.count,
        )
    ]


CHECK = Check(
    name="retry_storm",
    title="Retry storm",
    judge=judge,
    params=RetryStormParams,
    always=True,
)
