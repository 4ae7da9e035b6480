"""Disk growth: what the Watcher's volume holds more at the end than at the beginning."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Finding
from chaos.checks.run_view import RunView

_MB = 1e6
_EDGE_PART = 0.1  # of the run, at either end
_SAMPLES_MIN = 5


class DiskGrowthParams(Params, frozen=True):
    """`limit_mb`: growth over the whole run; a fault that fills the disk is left out."""

    limit_mb: Annotated[float, msgspec.Meta(gt=0)] = 50.0


def judge(view: RunView, params: DiskGrowthParams) -> list[Finding]:
    """The plan, soak A, row "Disk growth: < 50 MB". Floors: what is left of the short-lived."""
    import numpy as np

    start_s, end_s = view.measured_span_s()
    edge_s = (end_s - start_s) * _EDGE_PART
    table = view.samples
    used = table.column("disk.workspace_used_bytes")
    sound = (used == used) & ~view.in_faults(table.t_s)
    early = sound & (table.t_s >= start_s) & (table.t_s <= start_s + edge_s)
    late = sound & (table.t_s >= end_s - edge_s) & (table.t_s <= end_s)
    if min(int(early.sum()), int(late.sum())) < _SAMPLES_MIN:
        return [Finding(outcome="inconclusive", summary="the disk was sampled too rarely")]
    first, last = float(used[early].min()), int(np.argmin(np.where(late, used, np.inf)))
    grown_mb = (float(used[last]) - first) / _MB
    return [
        Finding(
            outcome="fail" if grown_mb > params.limit_mb else "pass",
            summary=f"{grown_mb:+.1f} MB over {(end_s - start_s) / 60:.0f} min "
            f"(limit {params.limit_mb:g} MB)",
            measured=round(grown_mb, 3),
            limit=params.limit_mb,
            evidence=[view.evidence(int(table.lines[last]), f"{used[last] / _MB:.1f} MB in use")],
        )
    ]


CHECK = Check(
    name="disk_growth",
    title="Disk growth",
    origin="plan, soak A: Disk growth",
    judge=judge,
    params=DiskGrowthParams,
    needs=needs("stack"),
)
