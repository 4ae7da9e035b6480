"""Which strikes a failure needs: exact at stated rates, and never a wrong cause instead of none."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from chaos.shrink.decide import HITS, RATE_RUNS_MAX, Answer, RatioTest, Shrink


def answered(
    rate: float, wanted: set[int], seed: int, *, chance: float = 0.0, **options: int
) -> Answer:
    source = random.Random(seed)

    def ask(strikes: Sequence[int]) -> bool:
        return source.random() < (rate if wanted <= set(strikes) else chance)

    return Shrink(range(12), ask, **options).answer()


def test_the_ratio_test_stops_at_the_run_that_paper_and_pencil_say() -> None:
    # A hit weighs log(0.5 / 0.1) = 1.61, a miss log(0.5 / 0.9) = -0.59; log(20) = 3.00 decides.
    test = RatioTest(0.1, 0.5, 0.05)
    assert test.add(True) is None
    assert test.add(True) is True
    assert test.log_ratio == pytest.approx(2 * math.log(5))
    test = RatioTest(0.1, 0.5, 0.05)
    assert [test.add(False) for _ in range(6)] == [None] * 5 + [False]


def test_the_ratio_test_errs_no_more_often_than_it_says() -> None:
    def decided(rate: float, seed: int) -> bool:
        source, test = random.Random(seed), RatioTest(0.05, 0.5, 0.05)
        while (found := test.add(source.random() < rate)) is None:
            pass
        return found

    assert sum(decided(0.05, seed) for seed in range(400)) <= 0.06 * 400
    assert sum(not decided(0.5, seed) for seed in range(400)) <= 0.06 * 400


@pytest.mark.parametrize("wanted", [{0}, {11}, {5}, {0, 11}, {3, 4}, {1, 6, 10}, set(range(12))])
def test_a_failure_that_always_comes_is_shrunk_exactly(wanted: set[int]) -> None:
    answer = answered(1.0, wanted, 1)
    assert (answer.ending, set(answer.needed)) == ("found", wanted)
    assert list(answer.needed) == sorted(answer.needed)


def test_a_failure_that_needs_no_strike_says_so() -> None:
    answer = answered(0.8, set(), 1)
    assert (answer.ending, answer.needed) == ("found", ())


@pytest.mark.parametrize("rate", [0.9, 0.6, 0.3])
@pytest.mark.parametrize("wanted", [{4}, {2, 9}, {0, 5, 7}])
def test_answers_are_exact_at_the_stated_rates(rate: float, wanted: set[int]) -> None:
    answers = [answered(rate, wanted, seed) for seed in range(60)]
    found = [answer for answer in answers if answer.ending == "found"]
    assert len(found) >= 56, "3 % too rare or lost, and some luck"
    assert sum(set(answer.needed) != wanted for answer in found) <= 2


def test_a_failure_that_also_comes_by_chance_keeps_its_cause() -> None:
    answers = [answered(0.9, {3, 8}, seed, chance=0.04) for seed in range(60)]
    assert sum(set(answer.needed) == {3, 8} for answer in answers) >= 56


def test_a_failure_that_does_not_come_again_names_no_strike() -> None:
    answer = answered(0.0, {1}, 1)
    assert (answer.ending, answer.needed, answer.runs) == ("not reproduced", (), RATE_RUNS_MAX)


def test_a_rare_failure_is_called_too_rare() -> None:
    endings = [answered(0.05, {1}, seed).ending for seed in range(30)]
    assert "too rare" in endings
    assert sum(ending in ("too rare", "not reproduced") for ending in endings) >= 27


def test_a_failure_that_stops_coming_is_lost_and_not_blamed() -> None:
    """It came with all strikes, and then no more: whatever was found does not fail."""
    made = 0

    def ask(_strikes: Sequence[int]) -> bool:
        nonlocal made
        made += 1
        return made <= HITS

    answer = Shrink(range(12), ask).answer()
    assert (answer.ending, answer.needed) == ("lost", ())


def test_the_runs_have_a_limit() -> None:
    answer = answered(0.6, {1, 5, 9}, 1, runs_max=40)
    assert (answer.ending, answer.needed, answer.runs) == ("too many runs", (), 40)
