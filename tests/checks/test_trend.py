"""The growth rule on synthetic shapes: healthy ones are left alone, leaks are found."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence

import pytest

from chaos.checks.growth.trend import BLOCKS, Block, Growth, growth, theil_sen

HOURS_S = 4 * 3600.0
PERIOD_S = 30.0
LIMIT_MB_PER_H = 5.0
SEEDS = range(30)
Shape = Callable[[random.Random, int], list[float]]


def white(rng: random.Random, count: int) -> list[float]:
    return [200 + rng.gauss(0, 5) for _ in range(count)]


def ar95(rng: random.Random, count: int) -> list[float]:
    values, level = [], 0.0
    for _ in range(count):
        level = 0.95 * level + rng.gauss(0, 1.5)
        values.append(200 + level)
    return values


def sawtooth(rng: random.Random, count: int) -> list[float]:
    tooth = rng.randrange(15, 40)
    return [200 + 30 * (i % tooth) / tooth + rng.gauss(0, 1) for i in range(count)]


def warm_up(rng: random.Random, count: int) -> list[float]:
    tau_s = 45 * 60
    return [
        200 + 60 * (1 - math.exp(-i * PERIOD_S / tau_s)) + rng.gauss(0, 2) for i in range(count)
    ]


def leak(mb_per_h: float) -> Shape:
    def shape(rng: random.Random, count: int) -> list[float]:
        healthy = ar95(rng, count)
        return [v + mb_per_h * i * PERIOD_S / 3600 for i, v in enumerate(healthy)]

    return shape


def blocks_of(
    points: list[tuple[float, float, float]],
    span_s: tuple[float, float],
    masked: Sequence[tuple[float, float]] = (),
) -> list[Block]:
    """Blocks of (time, work, value) as the checks make them by a query."""
    length_s = (span_s[1] - span_s[0]) / BLOCKS
    parts: dict[int, list[tuple[float, float, float]]] = {}
    for point in points:
        if span_s[0] <= point[0] < span_s[1] and not any(a <= point[0] <= b for a, b in masked):
            parts.setdefault(int((point[0] - span_s[0]) / length_s), []).append(point)
    return [
        Block(
            t_s=statistics.fmean(t_s for t_s, _, _ in part),
            work=statistics.median(work for _, work, _ in part),
            floor=statistics.quantiles([value for _, _, value in part], n=10, method="inclusive")[
                0
            ],
        )
        for _, part in sorted(parts.items())
        if len(part) >= 3
    ]


def _judge(values: list[float], masked: list[tuple[float, float]] | None = None) -> Growth:
    points = [(i * PERIOD_S, 0.0, value) for i, value in enumerate(values)]
    end_s = len(values) * PERIOD_S
    blocks = blocks_of(points, (end_s / 3, end_s), masked or [])
    return growth(blocks, LIMIT_MB_PER_H / 3600, per_work=False)


def _count() -> int:
    return int(HOURS_S / PERIOD_S)


@pytest.mark.parametrize("shape", [white, ar95, sawtooth, warm_up])
def test_healthy_shapes_are_never_called_a_leak(shape: Shape) -> None:
    """Noise, memory of noise, saw teeth and a warm-up are not growth."""
    verdicts = [_judge(shape(random.Random(seed), _count())).verdict for seed in SEEDS]
    assert "fail" not in verdicts


@pytest.mark.parametrize("mb_per_h", [25.0, 50.0])
def test_leaks_well_above_the_limit_are_found(mb_per_h: float) -> None:
    found = [_judge(leak(mb_per_h)(random.Random(seed), _count())).verdict for seed in SEEDS]
    assert found.count("fail") >= 0.9 * len(found)


def test_a_leak_of_the_stated_detectable_size_is_found() -> None:
    """The promise made in every report: growth of this size would have been seen."""
    stated = [_judge(white(random.Random(seed), _count())).fails_from for seed in SEEDS]
    assert all(value is not None for value in stated)
    size = 3600 * max(value for value in stated if value is not None)
    planted = leak(2 * size)
    found = [_judge(planted(random.Random(seed), _count())).verdict for seed in SEEDS]
    assert found.count("fail") >= 0.9 * len(found)


def test_few_blocks_are_inconclusive() -> None:
    """A run mostly inside fault windows has not been looked at."""
    values = leak(500.0)(random.Random(1), _count())
    assert _judge(values, [(0.0, 0.75 * HOURS_S)]).verdict == "inconclusive"


def test_growth_inside_a_masked_window_does_not_count() -> None:
    values = [200.0 + (100.0 if 10_000 <= i * PERIOD_S <= 11_000 else 0.0) for i in range(480)]
    assert _judge(values, [(10_000, 11_000)]).verdict == "pass"


def test_noise_that_would_hide_a_leak_is_inconclusive() -> None:
    """A pass needs to have been able to see."""
    rng = random.Random(3)
    values = [900 + rng.gauss(0, 300) for _ in range(_count())]
    assert _judge(values).verdict == "inconclusive"


def test_a_step_that_stays_flat_is_not_a_leak() -> None:
    """The last half must grow too."""
    values = [200.0 if i < 250 else 260.0 for i in range(_count())]
    assert _judge(values).verdict != "fail"


def test_a_leak_per_request_shows_within_minutes() -> None:
    """0.2 MB a request over 40 requests in a minute and a half, far below any hourly limit's
    reach."""
    rng = random.Random(5)
    points = [
        (i * 0.25, float(i // 9), 40 + 0.2 * (i // 9) + rng.gauss(0, 0.2)) for i in range(360)
    ]
    blocks = blocks_of(points, (0.0, 90.0))
    assert len(blocks) == BLOCKS
    assert growth(blocks, 0.1, per_work=True).verdict == "fail"
    assert growth(blocks, 0.5, per_work=True).verdict == "pass"


def test_without_work_a_slope_per_request_means_nothing() -> None:
    points = [(i * 0.25, 3.0, 40.0 + i) for i in range(360)]
    blocks = blocks_of(points, (0.0, 90.0))
    assert growth(blocks, 0.5, per_work=True).verdict == "inconclusive"


def test_theil_sen_equals_a_worked_example() -> None:
    """y = 2x + 1 with one outlier: the median slope stays 2, and lies within its bounds."""
    xs = [float(x) for x in range(12)]
    ys = [2 * x + 1 for x in xs]
    ys[7] = 100.0
    slope = theil_sen(xs, ys)
    assert slope is not None
    assert slope.value == pytest.approx(2.0)
    assert slope.lower <= slope.value <= slope.upper


def test_theil_sen_has_no_slope_without_two_different_x() -> None:
    assert theil_sen([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
