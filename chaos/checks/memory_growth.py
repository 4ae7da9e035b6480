"""Memory growth of the Watcher: anonymous memory and swap, judged by trend.py.

Judged per completed request by default: a short run with many requests shows a leak that hours of
idling would not.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.checks.run_view import RunView
from chaos.checks.signal_growth import growth_of, lives_of, speaking
from chaos.checks.trend import Growth

_MB = 1e6


class MemoryGrowthParams(Params, frozen=True):
    """`limit_mb` per `unit`: per completed request, per hour, or over the whole run."""

    limit_mb: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    unit: Literal["request", "hour", "run"] = "request"


def judge(view: RunView, params: MemoryGrowthParams) -> list[Finding]:
    """The plan, soak C, row "Memory growth: < 100 MB over 2 hours"."""
    lives = lives_of(view, "watcher.rss_anon_bytes", "watcher.swap_bytes")
    if not lives:
        return [Finding(outcome="inconclusive", summary="the Watcher's memory was never sampled")]
    start_s, end_s = view.measured_span_s()
    # "run": the whole run may grow by the limit, so the rate is the limit over its length.
    per_unit_s = {"request": 1.0, "hour": 3600.0, "run": max(end_s - start_s, 1.0)}[params.unit]
    limit = params.limit_mb * _MB / per_unit_s
    signal, found, again = speaking(
        lives, lambda life: growth_of(view, life, limit, per_work=params.unit == "request")
    )
    held = signal.values / _MB
    seen = (
        f"{len(held)} samples of anonymous memory and swap: {held[0]:.1f} MB at first, "
        f"{held[-1]:.1f} MB at last, peak {held.max():.1f} MB"
    )
    slope_mb = None if found.slope is None else found.slope.value * per_unit_s / _MB
    return [
        Finding(
            outcome=found.verdict,
            summary=_summary(found, params, per_unit_s / _MB) + again,
            measured=None if slope_mb is None else round(slope_mb, 4),
            limit=params.limit_mb,
            evidence=[Evidence("history.jsonl", seen)],
        )
    ]


def _summary(found: Growth, params: MemoryGrowthParams, scale: float) -> str:
    unit = f"MB per {params.unit}"
    if found.slope is None or found.detectable is None or found.last_half is None:
        return f"{found.reason}, limit {params.limit_mb:g} {unit}"
    low, high = found.slope.lower * scale, found.slope.upper * scale
    return (
        f"{found.slope.value * scale:+.3f} {unit} [{low:+.3f}, {high:+.3f}], last half "
        f"{found.last_half * scale:+.3f}, limit {params.limit_mb:g}: {found.reason}; smallest "
        f"detectable {found.detectable * scale:.3f} ({found.blocks} blocks)"
    )


CHECK = Check(
    name="memory_growth",
    title="Memory growth",
    origin="plan, soak C: Memory growth",
    judge=judge,
    params=MemoryGrowthParams,
)
