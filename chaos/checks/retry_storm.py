"""Retry storm: the Watcher does not hammer an LLM that does not answer.

Retries without a pause turn a short outage into a long one: they fill the server's queue when it
comes back, and take the machine's time meanwhile. Counted are attempts to connect, as witnessed:
what the daemon logs of its retries does not matter. A client that keeps its connection makes fewer.
"""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, evidence_of
from chaos.checks.finding import Finding
from chaos.checks.witnessed import not_witnessed
from chaos.record.open_run import OpenRun

_BURSTS = """
with counted as (
    select line, t_s, count(*) over (order by t_s range between $window_s preceding and current row)
        as attempts
    from connects where llm and service like 'watcher%'
)
select witness_ref(line) as ref, attempts || ' attempts to reach the LLM in the '
    || printf('%g', $window_s) || ' s before ' || printf('%.1f', t_s) || ' s' as text
from counted where attempts > $limit order by attempts desc, line
"""
_PEAK = """
select coalesce(max(attempts), 0), count(*) from (
    select count(*) over (order by t_s range between $window_s preceding and current row)
        as attempts
    from connects where llm and service like 'watcher%')
"""


class RetryStormParams(Params, frozen=True):
    """`per_s`: attempts to connect in a second, on average over `window_s`."""

    per_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    window_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0


def judge(run: OpenRun, params: RetryStormParams) -> list[Finding]:
    """None in a run without the witness, or in which the LLM was never asked."""
    absent = not_witnessed(run)
    if absent is not None:
        return absent
    limit = params.per_s * params.window_s
    asked = {"window_s": params.window_s, "limit": limit}
    peak, attempts = run.one(_PEAK, asked)
    if not attempts:
        return []
    bursts = evidence_of(run, _BURSTS, asked)
    return [
        Finding(
            outcome="fail" if bursts.count else "pass",
            summary=f"{attempts} attempts to reach the LLM, at most {peak / params.window_s:.1f} a "
            f"second over {params.window_s:g} s (limit {params.per_s:g})",
            measured=round(peak / params.window_s, 2),
            limit=params.per_s,
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
