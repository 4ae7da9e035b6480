"""Does something grow? Floors of blocks, the Theil-Sen slope, and what could have been seen.

The rule: drop the warm-up, take each block's 10th percentile (its floor: what is left when the
short-lived is gone), and call it growth when both the 99 % lower bound of the slope and the
slope of the last half exceed the limit. Tests for "any slope at all" answer another question,
and call a third of healthy processes leaking. Pure numbers; knows nothing of runs.

Source: P. K. Sen (1968), estimates of the regression coefficient based on Kendall's tau (bounds
from the variance of Kendall's S, corrected for ties).
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

BLOCKS = 24
BLOCKS_MIN = 10
BLOCK_POINTS_MIN = 3
BLOCK_FILL_MIN = 0.5
# Below so many different amounts of work a slope per unit of work means nothing.
WORK_STEPS_MIN = 5
_Z_99 = 2.3263  # one-sided
# A run whose slope is uncertain by this many limits has not looked.
_BLIND_FACTOR = 4.0
# Slopes are planted in steps of 3 % to find the smallest one that would have been seen.
_PLANT_STEP = 1.03
_PLANTS_MAX = 100
_WHOLE_MARGIN = 1.15


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
    """The answer. `fails_from`: the smallest growth that, added to this data, breaks the limit."""

    verdict: Literal["pass", "fail", "inconclusive"]
    reason: str
    blocks: int
    slope: Slope | None = None
    last_half: float | None = None
    blind: bool = False  # growth near the limit could not have been seen
    fails_from: float | None = None

    @property
    def seen_from(self) -> float | None:
        """The smallest growth that this data can tell from none."""
        return None if self.slope is None else self.slope.value - self.slope.lower

    def text(self, scale: float, unit: str, limit: float | None = None) -> str:
        """The slope with its bounds, and what could have been seen; values times `scale`."""
        if self.slope is None or self.fails_from is None:
            return f"no rate per {unit}"
        low, high = self.slope.lower * scale, self.slope.upper * scale
        against = "" if limit is None else f"limit {limit:.3g}, "
        return (
            f"{self.slope.value * scale:+.3g} per {unit} [{low:+.3g}, {high:+.3g}] ({against}"
            f"{(self.seen_from or 0.0) * scale:.3g} could have been seen, "
            f"{self.fails_from * scale:.3g} would fail)"
        )

    @property
    def outcome(self) -> Literal["pass", "fail", "inconclusive"]:
        """The verdict, by the name that findings have for it."""
        return self.verdict

    @property
    def enough(self) -> bool:
        """Whether there was enough to judge by: blocks, work, and little enough noise."""
        return self.slope is not None and not self.blind


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


def growth(blocks: Sequence[Block], limit: float, *, per_work: bool, whole: bool = False) -> Growth:
    """Judge `blocks` against `limit`, in value per unit of work, or per second.

    `whole`: what grows are whole things; it matters for what could have been seen alone.
    """
    count = len(blocks)
    if count < BLOCKS_MIN:
        return Growth("inconclusive", f"only {count} usable blocks of {BLOCKS_MIN}", count)
    xs = [block.work if per_work else block.t_s for block in blocks]
    ys = [block.floor for block in blocks]
    if per_work and len(set(xs)) < WORK_STEPS_MIN:
        return Growth("inconclusive", "too little work was done between the blocks", count)
    slopes = _slopes(xs, ys)
    if slopes is None:
        return Growth("inconclusive", "too little work was done between the blocks", count)
    slope, last_half = slopes
    blind = limit + max(0.0, slope.value - slope.lower) > _BLIND_FACTOR * limit
    verdict, reason = _decided(slope, last_half, limit, blind=blind)
    fails_from = _fails_from(xs, ys, slopes, limit, whole=whole)
    blind &= not (slope.value > limit and last_half > limit)  # a suspicion is no blindness
    return Growth(verdict, reason, count, slope, last_half, blind, fails_from)


def _slopes(xs: Sequence[float], ys: Sequence[float]) -> tuple[Slope, float] | None:
    """The slope, and that of the last half."""
    slope = theil_sen(xs, ys)
    if slope is None:
        return None
    half = len(xs) // 2
    late = theil_sen(xs[half:], ys[half:])
    return slope, slope.value if late is None else late.value


def _fails_from(
    xs: Sequence[float],
    ys: Sequence[float],
    found: tuple[Slope, float],
    limit: float,
    *,
    whole: bool,
) -> float:
    """The smallest slope that fails when it is added to this data, found by adding slopes."""
    slope, last_half = found
    planted = max(limit, limit - min(slope.lower, last_half))
    for _ in range(_PLANTS_MAX):
        planted *= _PLANT_STEP
        leaked = [planted * (x - xs[0]) for x in xs]
        if whole:
            leaked = [float(math.floor(value)) for value in leaked]
        seen = _slopes(xs, [y + more for y, more in zip(ys, leaked, strict=True)])
        if seen is not None and seen[0].lower > limit and seen[1] > limit:
            # What is planted in blocks is not quite what happens within them.
            return planted * (_WHOLE_MARGIN if whole else _PLANT_STEP)
    return math.inf


def _decided(
    slope: Slope, last_half: float, limit: float, *, blind: bool
) -> tuple[Literal["pass", "fail", "inconclusive"], str]:
    if slope.lower > limit and last_half > limit:
        return "fail", "the lower bound and the last half exceed the limit"
    if slope.value > limit and last_half > limit:
        return "inconclusive", "the slope exceeds the limit, its lower bound does not"
    if blind:
        return "inconclusive", "the data are too noisy to have seen growth near the limit"
    return "pass", "no growth beyond the limit"
