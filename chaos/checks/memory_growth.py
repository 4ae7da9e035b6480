"""Memory growth of the Watcher: anonymous memory and swap, judged by trend.py.

Fault windows are left out of the trend, and so is the first third of the run (imports, first
allocations). Judged per completed request by default: a short run with many requests shows a leak
that hours of idling would not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.checks.run_view import RunView
from chaos.checks.trend import Growth, blocks_of, growth

_WARM_UP_PART = 1 / 3
_MB = 1e6
Point = tuple[float, float, float]  # t_s, completed requests, MB


@dataclass
class _Life:
    """One process of the Watcher, from its first sample to its last one (seconds, MB)."""

    pid: object
    first_s: float
    last_s: float
    first_mb: float
    last_mb: float
    peak_mb: float
    samples: int = 1


class MemoryGrowthParams(Params, frozen=True):
    """`limit_mb` per `unit`: per completed request, per hour, or over the whole run."""

    limit_mb: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    unit: Literal["request", "hour", "run"] = "request"


def judge(view: RunView, params: MemoryGrowthParams) -> list[Finding]:
    """The plan, soak C, row "Memory growth: < 100 MB over 2 hours"."""
    start_s, end_s = view.measured_span_s()
    lives = _lives(view, start_s, end_s)
    if not lives:
        return [Finding(outcome="inconclusive", summary="the Watcher's memory was never sampled")]
    life = max(lives, key=lambda one: one.last_s - one.first_s)
    begin_s = life.first_s + (life.last_s - life.first_s) * _WARM_UP_PART
    masked = [(a, b) for _, a, b in view.injected_faults]
    period_s = float(view.profile.get("sample_period_s", 1.0))
    points = (point for _, point in _points(view, life.first_s, life.last_s))
    blocks = blocks_of(points, begin_s, life.last_s, period_s, masked)
    # "run": the whole run may grow by the limit, so the rate is the limit over its length.
    per_unit_s = {"request": 1.0, "hour": 3600.0, "run": max(end_s - start_s, 1.0)}[params.unit]
    found = growth(blocks, params.limit_mb / per_unit_s, per_work=params.unit == "request")
    seen = (
        f"{life.samples} samples of anonymous memory and swap: {life.first_mb:.1f} MB at first, "
        f"{life.last_mb:.1f} MB at last, peak {life.peak_mb:.1f} MB"
    )
    return [
        Finding(
            outcome=found.verdict,
            summary=_summary(found, params, per_unit_s, len(lives) - 1),
            measured=None if found.slope is None else round(found.slope.value * per_unit_s, 4),
            limit=params.limit_mb,
            evidence=[Evidence("history.jsonl", seen)],
        )
    ]


def _summary(found: Growth, params: MemoryGrowthParams, per_s: float, restarts: int) -> str:
    unit = f"MB per {params.unit}"
    again = f"; the Watcher restarted {restarts}x, longest life judged" if restarts else ""
    if found.slope is None or found.detectable is None or found.last_half is None:
        return f"{found.reason}, limit {params.limit_mb:g} {unit}{again}"
    low, high = found.slope.lower * per_s, found.slope.upper * per_s
    return (
        f"{found.slope.value * per_s:+.3f} {unit} [{low:+.3f}, {high:+.3f}], last half "
        f"{found.last_half * per_s:+.3f}, limit {params.limit_mb:g}: {found.reason}; smallest "
        f"detectable {found.detectable * per_s:.3f} ({found.blocks} blocks){again}"
    )


def _points(view: RunView, start_s: float, end_s: float) -> Iterator[tuple[object, Point]]:
    """(pid, point) of each sample in which the Watcher was there; streamed, nothing is kept."""
    for _, sample in view.samples():
        rss = sample.values.get("watcher.rss_anon_bytes")
        if start_s <= sample.t_s <= end_s and isinstance(rss, (int, float)):
            held_mb = (rss + _number(sample.values.get("watcher.swap_bytes"))) / _MB
            done = _number(sample.values.get("decisions.completed"))
            yield sample.values.get("watcher.pid"), (sample.t_s, done, held_mb)


def _lives(view: RunView, start_s: float, end_s: float) -> list[_Life]:
    """The Watcher's processes one after the other: a new one begins small again."""
    lives: list[_Life] = []
    for pid, (t_s, _, held_mb) in _points(view, start_s, end_s):
        if not lives or lives[-1].pid != pid:
            lives.append(_Life(pid, t_s, t_s, held_mb, held_mb, held_mb))
            continue
        life = lives[-1]
        life.last_s, life.last_mb = t_s, held_mb
        life.peak_mb = max(life.peak_mb, held_mb)
        life.samples += 1
    return lives


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


CHECK = Check(
    name="memory_growth",
    title="Memory growth",
    origin="plan, soak C: Memory growth",
    judge=judge,
    params=MemoryGrowthParams,
)
