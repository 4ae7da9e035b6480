"""Log growth: how much the Watcher writes into its logs, in all and in its worst minute."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Finding
from chaos.record.open_run import OpenRun

_MB = 1e6
_GROWN = """
with written as (select line, t_s, "log.bytes"::double as bytes from moments
    where "log.bytes" is not null)
select count(*), first(bytes order by line), last(bytes order by line), max(line) from written
"""
_FLOOD = """
with written as (select line, t_s, "log.bytes"::double as bytes from moments
    where "log.bytes" is not null)
select bytes - first_value(bytes) over (order by t_s range between 60 preceding and current row)
    as minute, line
from written order by 1 desc, 2 limit 1
"""


class LogGrowthParams(Params, frozen=True):
    """`limit_mb` over the whole run, rotated files included; `flood_mb` within one minute,
    fault windows included: a Watcher that is cut off must not write its disk full about it.
    """

    limit_mb: Annotated[float, msgspec.Meta(gt=0)] = 50.0
    flood_mb: Annotated[float, msgspec.Meta(gt=0)] = 5.0


def judge(run: OpenRun, params: LogGrowthParams) -> list[Finding]:
    """Beyond the plan: log flooding has filled the disk of a real Watcher."""
    count, first, last, line = run.one(_GROWN)
    if count < 2:
        return [Finding(outcome="inconclusive", summary="the logs were never sampled")]
    flood, flood_line = run.one(_FLOOD)
    grown_mb, flood_mb = (last - first) / _MB, flood / _MB
    wrong = []
    if flood_mb > params.flood_mb:
        wrong.append(run.evidence(flood_line, f"{flood_mb:.1f} MB within a minute"))
    if grown_mb > params.limit_mb:
        wrong.append(run.evidence(line, f"{grown_mb:.1f} MB more than at first"))
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=f"{grown_mb:+.2f} MB of logs (limit {params.limit_mb:g} MB), at most "
            f"{flood_mb:.2f} MB within a minute (limit {params.flood_mb:g} MB)",
            measured=round(grown_mb, 4),
            limit=params.limit_mb,
            evidence=wrong or [run.evidence(line, f"{last / _MB:.3f} MB of logs at last")],
        )
    ]


CHECK = Check(
    says=("paths.logs",), name="log_growth", title="Log growth", judge=judge, params=LogGrowthParams
)
