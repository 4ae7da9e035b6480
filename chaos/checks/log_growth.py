"""Log growth: how much the Watcher writes into its logs, in all and in its worst minute."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.checks.run_view import RunView

_MB = 1e6
_WINDOW_S = 60.0


class LogGrowthParams(Params, frozen=True):
    """`limit_mb` over the whole run, rotated files included; `flood_mb` within one minute,
    fault windows included: a Watcher that is cut off must not write its disk full about it.
    """

    limit_mb: Annotated[float, msgspec.Meta(gt=0)] = 50.0
    flood_mb: Annotated[float, msgspec.Meta(gt=0)] = 5.0


def judge(view: RunView, params: LogGrowthParams) -> list[Finding]:
    """Beyond the plan: log flooding has filled the disk of a real Watcher."""
    import numpy as np

    table = view.samples
    written = table.column("log.bytes").astype(np.float64)
    there = written == written
    if int(there.sum()) < 2:
        return [Finding(outcome="inconclusive", summary="the logs were never sampled")]
    t_s, written, lines = table.t_s[there], written[there], table.lines[there]
    grown_mb = float(written[-1] - written[0]) / _MB
    begin = np.searchsorted(t_s, t_s - _WINDOW_S)
    flood = (written - written[begin]) / _MB
    worst = int(np.argmax(flood))
    wrong = []
    if flood[worst] > params.flood_mb:
        wrong.append(view.evidence(int(lines[worst]), f"{flood[worst]:.1f} MB within a minute"))
    if grown_mb > params.limit_mb:
        wrong.append(view.evidence(int(lines[-1]), f"{grown_mb:.1f} MB more than at first"))
    seen = Evidence(f"history.jsonl:{lines[-1]}", f"{written[-1] / _MB:.3f} MB of logs at last")
    return [
        Finding(
            outcome="fail" if wrong else "pass",
            summary=f"{grown_mb:+.2f} MB of logs (limit {params.limit_mb:g} MB), at most "
            f"{flood[worst]:.2f} MB within a minute (limit {params.flood_mb:g} MB)",
            measured=round(grown_mb, 4),
            limit=params.limit_mb,
            evidence=wrong or [seen],
        )
    ]


CHECK = Check(name="log_growth", title="Log growth", judge=judge, params=LogGrowthParams)
