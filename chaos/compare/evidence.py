"""How much paired scores say about "the candidate is worse than the base". Pure.

Two betting processes (Waudby-Smith and Ramdas, JRSS-B 2024) watch the differences d = candidate -
base of scores in [0, 1]. Each is a capital that begins at 1 and cannot be expected to grow as long
as its hypothesis is true, so a capital of 1 / alpha refutes it, whenever that is looked at::

    for PASS   the mean of d is -margin or less
    for BLOCK  the mean of d is -margin or more

A capital is split evenly over three fixed bets instead of one bet that follows the past: it then
does not depend on the order of the pairs, and a long even start does not lose the capital at the
first bad pair. `benchmarks/compare_rates.py` has the rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BETS = (0.3, 0.6, 0.9)  # parts of the largest bet that can never lose everything
GRID = 401  # means that the interval is made from: a step of 0.005
Word = Literal["PASS", "BLOCK", "INCONCLUSIVE"]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """`word` is decided at the pair `at`, 0 if it is not; capitals are those of the last pair.

    `low` and `high` hold the mean difference at every moment with confidence 1 - 2 alpha: so the
    interval leaves -margin out exactly when a word is decided.
    """

    word: Word
    at: int
    pass_capital: float
    block_capital: float
    mean: float
    low: float
    high: float


def log_capitals(values: _Floats, mean: float) -> _Floats:
    """Natural log of the capital after each of `values` (in [0, 1]), shape (n,).

    The hypothesis that loses it: their mean is `mean` or less; 0 < `mean` < 1.
    """
    bets = np.array(BETS)[:, None] / mean
    logs = np.cumsum(np.log1p(bets * (values - mean)), axis=1)
    capitals: _Floats = np.logaddexp.reduce(logs, axis=0) - np.log(len(BETS))
    return capitals


def evidence(
    differences: Sequence[float], *, margin: float, alpha: float, pairs_min: int = 1
) -> Evidence:
    """What these differences (in [-1, 1], in order) show; 0 < `margin`, `alpha` < 1."""
    if not differences:
        return Evidence("INCONCLUSIVE", 0, 1.0, 1.0, 0.0, -1.0, 1.0)
    values = (np.array(differences, dtype=np.float64) + 1) / 2
    limit = -np.log(alpha)
    better = log_capitals(values, (1 - margin) / 2)
    worse = log_capitals(1 - values, (1 + margin) / 2)
    passed, blocked = _first(better, limit), _first(worse, limit)
    word: Word = "INCONCLUSIVE"
    at = 0
    if len(values) >= pairs_min and (first := min(passed, blocked)) <= len(values):
        word = "PASS" if passed <= blocked else "BLOCK"
        at = max(first, pairs_min)
    low, high = interval(values, alpha)
    mean = float(np.mean(differences))
    return Evidence(word, at, float(np.exp(better[-1])), float(np.exp(worse[-1])), mean, low, high)


def _first(capitals: _Floats, limit: float) -> int:
    """The first pair (from 1) at which the capital has reached `limit`; n + 1 for none."""
    reached = np.flatnonzero(capitals >= limit)
    return int(reached[0]) + 1 if reached.size else len(capitals) + 1


def interval(values: _Floats, alpha: float) -> tuple[float, float]:
    """The mean differences that no capital has refuted so far, as (lowest, highest)."""
    grid = np.linspace(-1, 1, GRID)[1:-1]
    limit = -np.log(alpha)
    low, high = -1.0, 1.0
    for difference in grid:  # from below: larger means are refuted by the first process no more
        if log_capitals(values, (1 + difference) / 2).max() < limit:
            break
        low = round(float(difference), 6)
    for difference in grid[::-1]:
        if log_capitals(1 - values, (1 - difference) / 2).max() < limit:
            break
        high = round(float(difference), 6)
    return low, high
