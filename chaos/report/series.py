"""Curves made small: at most `POINTS_MAX` points each, with every peak and trough kept.

One pass over the record and a fixed number of buckets, so that a run of days costs no more memory
than one of minutes. Knows nothing of drawing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
import numpy.typing as npt

POINTS_MAX = 2000
_BUCKETS = POINTS_MAX // 2
_GAP_S_MIN = 2.0
_GAP_FACTOR = 8.0  # times the usual distance of two points
Point = tuple[float, float]
Numbers = npt.NDArray[np.float64]


class Curve:
    """A curve over `span_s` seconds from 0: of each bucket its least and its greatest point."""

    def __init__(self, span_s: float, buckets: int = _BUCKETS) -> None:
        self._width_s = max(span_s, 1e-9) / buckets
        self._last = buckets - 1
        self._extremes: dict[int, tuple[Point, Point]] = {}
        self.count = 0

    def add(self, t_s: float, value: float) -> None:
        """Take one measurement; what is not a number is left out."""
        self.add_many(np.array([t_s]), np.array([value]))

    def add_many(self, t_s: Numbers, values: Numbers) -> None:
        """Take measurements, in the order of time."""
        there = np.isfinite(values)
        t_s, values = t_s[there], values[there]
        if not len(t_s):
            return
        self.count += len(t_s)
        buckets = np.clip(t_s / self._width_s, 0, self._last).astype(np.int64)
        starts = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), len(buckets)]
        for start, end in pairwise(starts):
            low = start + int(values[start:end].argmin())
            high = start + int(values[start:end].argmax())
            self._keep(
                int(buckets[start]),
                (float(t_s[low]), float(values[low])),
                (float(t_s[high]), float(values[high])),
            )

    def _keep(self, bucket: int, low: Point, high: Point) -> None:
        found = self._extremes.get(bucket)
        if found is not None:
            low = low if low[1] < found[0][1] else found[0]
            high = high if high[1] > found[1][1] else found[1]
        self._extremes[bucket] = (low, high)

    def points(self) -> list[Point]:
        """The kept points in the order of time."""
        kept = [point for pair in self._extremes.values() for point in dict.fromkeys(pair)]
        return sorted(kept)

    def line(self) -> list[Point]:
        """The kept points with a NaN in each gap, where measuring had stopped for a while."""
        points = self.points()
        gaps_s = [b - a for (a, _), (b, _) in pairwise(points)]
        limit_s = max(_GAP_S_MIN, _GAP_FACTOR * median(gaps_s)) if gaps_s else 0.0
        line = points[:1]
        for gap_s, point in zip(gaps_s, points[1:], strict=True):
            if gap_s > limit_s:
                line.append((point[0], math.nan))
            line.append(point)
        return line


@dataclass
class Spans:
    """Stretches of time, rounded to the buckets of a drawing and joined where they touch."""

    span_s: float
    buckets: int = _BUCKETS

    def __post_init__(self) -> None:
        self._width_s = max(self.span_s, 1e-9) / self.buckets
        self._marked = np.zeros(self.buckets, dtype=np.bool_)

    def add(self, start_s: float, end_s: float) -> None:
        """Mark from `start_s` to `end_s`; however short, it stays visible."""
        self.add_many(np.array([start_s]), np.array([end_s]))

    def add_many(self, start_s: Numbers, end_s: Numbers) -> None:
        """Mark all of these; one without a beginning or an end is left out."""
        there = np.isfinite(start_s) & np.isfinite(end_s)
        first = self._buckets_of(start_s[there])
        last = np.maximum(first, self._buckets_of(end_s[there] - 1e-9))
        steps = np.zeros(self.buckets + 1, dtype=np.int64)
        np.add.at(steps, first, 1)
        np.add.at(steps, last + 1, -1)
        self._marked |= np.cumsum(steps[:-1]) > 0

    def _buckets_of(self, t_s: Numbers) -> npt.NDArray[np.int64]:
        return np.clip(t_s / self._width_s, 0, self.buckets - 1).astype(np.int64)

    def joined(self) -> Iterator[tuple[float, float]]:
        """(start, length) of each marked stretch, in seconds."""
        start = -1
        for bucket, marked in enumerate([*self._marked.tolist(), False]):
            if marked and start < 0:
                start = bucket
            elif not marked and start >= 0:
                yield start * self._width_s, (bucket - start) * self._width_s
                start = -1


def peak(curves: Iterable[Sequence[Point]]) -> float:
    """The greatest finite value of all curves, 0 without any."""
    values = [value for curve in curves for _, value in curve if math.isfinite(value)]
    return max(values, default=0.0)
