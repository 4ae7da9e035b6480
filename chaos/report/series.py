"""Curves and time spans, reduced by queries over an opened run to a size that can be drawn.

The number of buckets is fixed, so a run of days needs no more memory than one of minutes. Every
peak and trough is kept. Must not know how they are drawn.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from chaos.record.open_run import OpenRun

POINTS_MAX = 2000
_BUCKETS = POINTS_MAX // 2
LANE_BUCKETS = 600  # about the pixels of a drawing
_GAP_S_MIN = 2.0
_GAP_FACTOR = 8.0  # times the usual distance of two points
Point = tuple[float, float]
Span = tuple[float, float]

_EXTREMES = """
select arg_min(t_s, value), min(value), arg_max(t_s, value), max(value), count(*)
from ({points}) where isfinite(value::double) and t_s is not null
group by least(floor(greatest(t_s, 0) / $width_s), $last)
"""
_NUMBERS = """
select min(value), median(value), max(value), arg_max(value, t_s)
from ({points}) where isfinite(value::double) and t_s is not null
"""
_MARKED = """
select least(floor(greatest(start_s, 0) / $width_s), $last) as first_bucket,
    max(least(floor(greatest(end_s - 1e-9, start_s, 0) / $width_s), $last))
from ({spans}) where start_s is not null and end_s is not null group by 1 order by 1
"""


class Curve:
    """The points of a curve in order of time: the lowest and the highest of each bucket.

    `count` is the number of points before the reduction.
    """

    def __init__(self, points: Iterable[Point] = (), count: int = 0) -> None:
        self._points = sorted(set(points))
        self.count = count

    def points(self) -> list[Point]:
        """The kept points."""
        return self._points

    def line(self) -> list[Point]:
        """The kept points, with a NaN in each gap without measurements."""
        points = self._points
        gaps_s = [b - a for (a, _), (b, _) in pairwise(points)]
        limit_s = max(_GAP_S_MIN, _GAP_FACTOR * median(gaps_s)) if gaps_s else 0.0
        line = points[:1]
        for gap_s, point in zip(gaps_s, points[1:], strict=True):
            if gap_s > limit_s:
                line.append((point[0] - gap_s / 2, math.nan))
            line.append(point)
        return line

    def drawn(self) -> list[Point]:
        """The line without points between two equal ones: drawn, it is the same."""
        line = self.line()
        inner = zip(line, line[1:], line[2:], strict=False)
        kept = [b for a, b, c in inner if not (a[1] == b[1] == c[1])]
        return [*line[:1], *kept, *line[1:][-1:]]


@dataclass(frozen=True)
class Numbers:
    """A curve in numbers, over all its points."""

    least: float
    median: float
    most: float
    last: float


def numbers_of(run: OpenRun, points: str) -> Numbers | None:
    """The numbers of the query `points` (columns t_s, value); None without a value."""
    row = run.one(_NUMBERS.format(points=points))
    return None if row[0] is None else Numbers(*(float(value) for value in row))


def curve(run: OpenRun, points: str, span_s: float) -> Curve:
    """The curve of the query `points` (columns t_s, value) over `span_s` seconds from 0."""
    parameters = {"width_s": max(span_s, 1e-9) / _BUCKETS, "last": _BUCKETS - 1}
    rows = run.sql(_EXTREMES.format(points=points), parameters)
    kept = [
        point for low_s, low, high_s, high, _ in rows for point in ((low_s, low), (high_s, high))
    ]
    return Curve(kept, sum(row[4] for row in rows))


def stretches(run: OpenRun, spans: str, span_s: float) -> list[Span]:
    """(start, length) of the stretches of the query `spans` (columns start_s, end_s), in seconds.

    Rounded to buckets and joined where they touch. A short one covers at least one bucket.
    """
    width_s = max(span_s, 1e-9) / LANE_BUCKETS
    rows = run.sql(_MARKED.format(spans=spans), {"width_s": width_s, "last": LANE_BUCKETS - 1})
    return list(_joined([(int(first), int(last)) for first, last in rows], width_s))


def _joined(marked: Sequence[tuple[int, int]], width_s: float) -> Iterator[Span]:
    """Convert ranges of buckets, sorted by their start, to (start, length) in seconds."""
    begin, end = -1, -1
    for first, last in marked:
        if begin >= 0 and first > end + 1:
            yield begin * width_s, (end + 1 - begin) * width_s
            begin = -1
        begin, end = (first, max(last, end)) if begin < 0 else (begin, max(last, end))
    if begin >= 0:
        yield begin * width_s, (end + 1 - begin) * width_s


def peak(curves: Iterable[Sequence[Point]]) -> float:
    """The highest finite value of all curves; 0 if there is none."""
    values = [value for points in curves for _, value in points if math.isfinite(value)]
    return max(values, default=0.0)
