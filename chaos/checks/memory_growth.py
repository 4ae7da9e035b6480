"""Memory growth of the Watcher and of the target's services: anonymous memory and swap, judged by
growth/trend.py.

Judged per completed request by default: a short run with many requests shows a leak that hours of
idling would not.
"""

from typing import Annotated, Literal

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.checks.growth.lives import lives_of, speaking
from chaos.checks.growth.programs import of_programs
from chaos.checks.growth.trend import growth
from chaos.record.open_run import OpenRun

_MB = 1e6


class MemoryGrowthParams(Params, frozen=True):
    """`limit_mb` per `unit`: per completed request, per hour, or over the whole run."""

    limit_mb: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    unit: Literal["request", "hour", "run"] = "request"


def judge(run: OpenRun, params: MemoryGrowthParams) -> list[Finding]:
    """The plan, soak C, row "Memory growth: < 100 MB over 2 hours"."""
    return of_programs(run, lambda program: _judged(run, program, params))


def _judged(run: OpenRun, program: str, params: MemoryGrowthParams) -> Finding:
    lives = lives_of(run, f"{program}.rss_anon_bytes+{program}.swap_bytes")
    if not lives:
        return Finding(outcome="inconclusive", summary="the Watcher's memory was never sampled")
    start_s, end_s = run.measured_span_s()
    # "run": the whole run may grow by the limit, so the rate is the limit over its length.
    per_unit_s = {"request": 1.0, "hour": 3600.0, "run": max(end_s - start_s, 1.0)}[params.unit]
    limit, per_work = params.limit_mb * _MB / per_unit_s, params.unit == "request"
    life, found, others = speaking(
        lives, lambda life: growth(life.blocks, limit, per_work=per_work)
    )
    seen = (
        f"{life.count} samples of anonymous memory and swap: {life.first / _MB:.1f} MB at first, "
        f"{life.last / _MB:.1f} MB at last, peak {life.peak / _MB:.1f} MB"
    )
    scale = per_unit_s / _MB
    if found.slope is None:
        summary = f"{found.reason}, limit {params.limit_mb:g} MB per {params.unit}"
    else:
        text = found.text(scale, params.unit, params.limit_mb)
        summary = f"in MB: {text}, last half {(found.last_half or 0.0) * scale:+.3f}: "
        summary += f"{found.reason} ({found.blocks} blocks)"
    return Finding(
        outcome=found.verdict,
        summary=summary + others,
        measured=None if found.slope is None else round(found.slope.value * scale, 4),
        limit=params.limit_mb,
        evidence=[Evidence("history.jsonl", seen)],
    )


CHECK = Check(
    name="memory_growth",
    title="Memory growth",
    origin="plan, soak C: Memory growth",
    judge=judge,
    params=MemoryGrowthParams,
)
