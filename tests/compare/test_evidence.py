"""Evidence from pairs: capitals as computed by hand, and error rates that hold when simulated."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chaos.compare.evidence import BETS, evidence, interval, log_capitals

MARGIN, ALPHA = 0.1, 0.05


def capital(values: list[float], mean: float) -> float:
    """The mean over the bets of the product of 1 + bet / mean * (value - mean), plainly."""
    products = [math.prod(1 + bet / mean * (value - mean) for value in values) for bet in BETS]
    return sum(products) / len(BETS)


def test_the_capital_after_one_pair_is_that_of_paper_and_pencil() -> None:
    # Mean 0.5, value 1: each bet b wins b, so the capital is 1 + (0.3 + 0.6 + 0.9) / 3.
    assert math.exp(log_capitals(np.array([1.0]), 0.5)[0]) == pytest.approx(1.6)
    assert math.exp(log_capitals(np.array([0.0]), 0.5)[0]) == pytest.approx(0.4)
    assert math.exp(log_capitals(np.array([0.5]), 0.5)[0]) == pytest.approx(1.0)


def test_the_capital_is_the_mean_of_the_products_in_any_order() -> None:
    values = [0.5, 0.5, 1.0, 0.0, 0.75, 0.5]
    wanted = capital(values, 0.45)
    assert math.exp(log_capitals(np.array(values), 0.45)[-1]) == pytest.approx(wanted)
    assert math.exp(log_capitals(np.array(values[::-1]), 0.45)[-1]) == pytest.approx(wanted)


def test_a_capital_is_not_expected_to_grow_where_its_hypothesis_is_true() -> None:
    """One step from every outcome of a fair pair: the expectation is 1 at the edge, less below."""
    for chance, limit in ((0.45, 1.0), (0.40, 0.999)):
        up, down = (math.exp(log_capitals(np.array([x]), 0.45)[0]) for x in (1.0, 0.0))
        assert chance * up + (1 - chance) * down <= limit + 1e-12


def test_equal_pairs_pass_and_lost_ones_block() -> None:
    same = evidence([0.0] * 60, margin=MARGIN, alpha=ALPHA)
    assert (same.word, same.at) == ("PASS", 40)
    assert same.low > -MARGIN
    worse = evidence([-1.0] * 10, margin=MARGIN, alpha=ALPHA)
    assert worse.word == "BLOCK" and worse.high < -MARGIN
    assert evidence([0.0, -1.0] * 5, margin=MARGIN, alpha=ALPHA).word == "INCONCLUSIVE"


def test_nothing_is_decided_before_the_least_number_of_pairs() -> None:
    at = evidence([-1.0] * 20, margin=MARGIN, alpha=ALPHA).at
    assert 5 < at < 12
    lost = [-1.0] * at
    assert evidence(lost[1:], margin=MARGIN, alpha=ALPHA).word == "INCONCLUSIVE"
    assert evidence(lost, margin=MARGIN, alpha=ALPHA).word == "BLOCK"
    assert evidence(lost, margin=MARGIN, alpha=ALPHA, pairs_min=15).word == "INCONCLUSIVE"
    assert evidence([-1.0] * 15, margin=MARGIN, alpha=ALPHA, pairs_min=15).at == 15


def test_a_decision_stays_decided_whatever_comes_later() -> None:
    found = evidence([0.0] * 40 + [-1.0] * 3, margin=MARGIN, alpha=ALPHA)
    assert (found.word, found.at) == ("PASS", 40)


def test_no_pairs_show_nothing() -> None:
    found = evidence([], margin=MARGIN, alpha=ALPHA)
    assert (found.word, found.low, found.high) == ("INCONCLUSIVE", -1.0, 1.0)


def _rate(base: float, candidate: float, word: str, trials: int = 300) -> float:
    """How often that word comes within 120 pairs of one strike each."""
    random = np.random.default_rng(11)
    mean = (1 - MARGIN) / 2 if word == "PASS" else (1 + MARGIN) / 2
    count = 0
    for _ in range(trials):
        survived = [random.random(120) < rate for rate in (base, candidate)]
        values = (survived[1].astype(float) - survived[0] + 1) / 2
        values = values if word == "PASS" else 1 - values
        count += bool((log_capitals(values, mean) >= -math.log(ALPHA)).any())
    return count / trials


def test_rates_that_are_stated_hold() -> None:
    """At the margin both words are errors, and each may come in `ALPHA` of the trials at most."""
    assert _rate(0.95, 0.85, "PASS") <= ALPHA
    assert _rate(0.95, 0.85, "BLOCK") <= ALPHA
    assert _rate(0.95, 0.95, "BLOCK") == 0
    assert _rate(0.95, 0.65, "PASS") == 0
    assert _rate(0.95, 0.95, "PASS") > 0.75
    assert _rate(0.95, 0.65, "BLOCK") > 0.9


@pytest.mark.slow(seconds=2)
def test_the_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    held = 0
    for _ in range(60):
        values = (random.choice([-1.0, 0.0, 1.0], 60, p=[0.2, 0.7, 0.1]) + 1) / 2
        low, high = interval(values, ALPHA)
        held += low <= -0.1 <= high
    assert held / 60 >= 1 - 2 * ALPHA


@pytest.mark.parametrize("count", [1, 5, 40])
def test_the_interval_holds_the_mean_of_what_was_seen(count: int) -> None:
    values = np.array([0.5, 0.0, 1.0, 0.5, 0.25] * 8)[:count]
    low, high = interval(values, ALPHA)
    assert low <= float(np.mean(values)) * 2 - 1 <= high
    assert -1 <= low < high <= 1


def test_the_interval_of_equal_pairs_is_narrow_and_even() -> None:
    low, high = interval(np.full(100, 0.5), ALPHA)
    assert -0.1 < low < 0 < high < 0.1
    assert low == pytest.approx(-high)
