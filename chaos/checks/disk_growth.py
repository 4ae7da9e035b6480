"""Disk growth: what the Watcher's volume holds more at the end than at the beginning."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Finding
from chaos.record.open_run import OpenRun

_MB = 1e6
_SAMPLES_MIN = 5
# The lowest use in the first and in the last tenth of the measured time.
_FLOORS = """
with used as (
    select line, "disk.workspace_used_bytes"::double as bytes, t_s <= from_s + (to_s - from_s) / 10
        as early, t_s >= to_s - (to_s - from_s) / 10 as late
    from moments, run where t_s between from_s and to_s and not in_fault
        and "disk.workspace_used_bytes" is not null
)
select count(*) filter (early), count(*) filter (late), min(bytes) filter (early),
    min(bytes) filter (late), arg_min(line, bytes) filter (late) from used
"""


class DiskGrowthParams(Params, frozen=True):
    """`limit_mb`: growth over the whole run; a fault that fills the disk is left out."""

    limit_mb: Annotated[float, msgspec.Meta(gt=0)] = 50.0


def judge(run: OpenRun, params: DiskGrowthParams) -> list[Finding]:
    """The plan, soak A, row "Disk growth: < 50 MB". Floors: what is left of the short-lived."""
    early, late, first, last, line = run.one(_FLOORS)
    if min(early, late) < _SAMPLES_MIN:
        return [Finding(outcome="inconclusive", summary="the disk was sampled too rarely")]
    start_s, end_s = run.measured_span_s()
    grown_mb = (last - first) / _MB
    return [
        Finding(
            outcome="fail" if grown_mb > params.limit_mb else "pass",
            summary=f"{grown_mb:+.1f} MB over {(end_s - start_s) / 60:.0f} min "
            f"(limit {params.limit_mb:g} MB)",
            measured=round(grown_mb, 3),
            limit=params.limit_mb,
            evidence=[run.evidence(line, f"{last / _MB:.1f} MB in use")],
        )
    ]


CHECK = Check(
    name="disk_growth",
    title="Disk growth",
    origin="plan, soak A: Disk growth",
    judge=judge,
    params=DiskGrowthParams,
    depends=depends_on("stack"),
)
