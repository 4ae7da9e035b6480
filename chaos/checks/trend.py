"""Does something grow? Floors of blocks, the Theil-Sen slope, and what could have been seen.

The rule: drop the warm-up, take each block's 10th percentile (its floor: what is left when the
short-lived is gone), and call it growth when both the 99 % lower bound of the slope and the
slope of the last half exceed the limit. Tests for "any slope at all" answer another question,
and call a third of healthy processes leaking. Pure numbers; knows nothing of runs.

Source: P. K. Sen (1968), estimates of the regression coefficient based on Kendall's tau (bounds
from the variance of Kendall's S, corrected for ties).
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

BLOCKS = 24
BLOCKS_MIN = 10
BLOCK_POINTS_MIN = 3
BLOCK_FILL_MIN = 0.5
# Below so many different amounts of work a slope per unit of work means nothing.
WORK_STEPS_MIN = 5
_Z_99 = 2.3263  # one-sided
# A run whose smallest detectable slope is this many limits away has not looked.
_BLIND_FACTOR = 4.0


@dataclass(frozen=True)
class Block:
    """One block of samples: its middle, how much work was done by then, and its floor."""

    t_s: float
    work: float
    floor: float


@dataclass(frozen=True)
class Slope:
    """A Theil-Sen slope with its one-sided 99 % bounds."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Growth:
    """The answer. `detectable`: the smallest true slope that this data would have shown."""

    verdict: Literal["pass", "fail", "inconclusive"]
    reason: str
    blocks: int
    slope: Slope | None = None
    last_half: float | None = None
    detectable: float | None = None


def blocks_of(
    points: Iterable[tuple[float, float, float]],
    start_s: float,
    end_s: float,
    period_s: float,
    masked: Sequence[tuple[float, float]] = (),
) -> list[Block]:
    """Blocks of `points` (t_s, work, value), `BLOCKS` of them over [start_s, end_s).

    Points inside `masked` are left out; a block with less than half its points is not used.
    """
    length_s = (end_s - start_s) / BLOCKS
    if length_s <= 0:
        return []
    needed = max(BLOCK_POINTS_MIN, math.ceil(BLOCK_FILL_MIN * length_s / period_s))
    blocks = []
    for members in _grouped(points, start_s, end_s, length_s, masked):
        if len(members) >= needed:
            blocks.append(
                Block(
                    t_s=statistics.fmean(t_s for t_s, _, _ in members),
                    work=statistics.median(work for _, work, _ in members),
                    floor=_tenth_percentile([value for _, _, value in members]),
                )
            )
    return blocks


def _grouped(
    points: Iterable[tuple[float, float, float]],
    start_s: float,
    end_s: float,
    length_s: float,
    masked: Sequence[tuple[float, float]],
) -> Iterator[list[tuple[float, float, float]]]:
    current = -1
    members: list[tuple[float, float, float]] = []
    for point in points:
        t_s = point[0]
        if not start_s <= t_s < end_s or any(a <= t_s <= b for a, b in masked):
            continue
        index = int((t_s - start_s) / length_s)
        if index != current:
            if members:
                yield members
            current, members = index, []
        members.append(point)
    if members:
        yield members


def _tenth_percentile(values: list[float]) -> float:
    ordered = sorted(values)
    place = 0.1 * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def theil_sen(xs: Sequence[float], ys: Sequence[float]) -> Slope | None:
    """The median slope of all pairs with different x, and its bounds; None without a pair."""
    slopes = sorted(
        (ys[j] - ys[i]) / (xs[j] - xs[i])
        for i in range(len(xs))
        for j in range(i + 1, len(xs))
        if xs[j] != xs[i]
    )
    if not slopes:
        return None
    count = len(slopes)
    spread = _Z_99 * math.sqrt(_kendall_variance(xs, ys))
    low = math.floor((count - spread) / 2)
    high = math.ceil((count + spread) / 2)
    return Slope(
        value=statistics.median(slopes),
        lower=slopes[low] if low >= 0 else -math.inf,
        upper=slopes[high] if high < count else math.inf,
    )


def _kendall_variance(xs: Sequence[float], ys: Sequence[float]) -> float:
    def pairs(n: int) -> float:
        return n * (n - 1) * (2 * n + 5)

    def ties(values: Sequence[float]) -> float:
        return sum(pairs(count) for count in Counter(values).values() if count > 1)

    return max(0.0, (pairs(len(xs)) - ties(xs) - ties(ys)) / 18)


def growth(blocks: Sequence[Block], limit: float, *, per_work: bool) -> Growth:
    """Judge `blocks` against `limit`, in value per unit of work, or per second."""
    count = len(blocks)
    if count < BLOCKS_MIN:
        return Growth("inconclusive", f"only {count} usable blocks of {BLOCKS_MIN}", count)
    xs = [block.work if per_work else block.t_s for block in blocks]
    ys = [block.floor for block in blocks]
    if per_work and len(set(xs)) < WORK_STEPS_MIN:
        return Growth("inconclusive", "too little work was done between the blocks", count)
    slope = theil_sen(xs, ys)
    late = theil_sen(xs[count // 2 :], ys[count // 2 :])
    if slope is None:
        return Growth("inconclusive", "too little work was done between the blocks", count)
    last_half = slope.value if late is None else late.value
    detectable = limit + max(0.0, slope.value - slope.lower)
    verdict, reason = _decided(slope, last_half, detectable, limit)
    return Growth(verdict, reason, count, slope, last_half, detectable)


def _decided(
    slope: Slope, last_half: float, detectable: float, limit: float
) -> tuple[Literal["pass", "fail", "inconclusive"], str]:
    if slope.lower > limit and last_half > limit:
        return "fail", "the lower bound and the last half exceed the limit"
    if slope.value > limit and last_half > limit:
        return "inconclusive", "the slope exceeds the limit, its lower bound does not"
    if detectable > _BLIND_FACTOR * limit:
        return "inconclusive", "the data are too noisy to have seen growth near the limit"
    return "pass", "no growth beyond the limit"
