"""Steps 1 and 2: the window leaves a useful number of seeds, always with the true one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pipeline import sieve, window
from pipeline.artefacts import PipelineError
from pipeline_loop import Loop
from prng_registry import java_lcg


def _survivors(loop: Loop) -> list[int]:
    content = loop.read("bidirectional_survivors.json")
    return [entry["seed"] for entry in content["survivors"]]


@pytest.mark.parametrize("seed", [0, 12345, 200001, 262143])
def test_the_true_seed_survives_among_false_ones(
    make_loop: Callable[[int], Loop], seed: int
) -> None:
    """Any true seed in the range survives, with hundreds of false ones."""
    survivors = _survivors(make_loop(seed))
    assert seed in survivors
    assert 100 < len(survivors) < 2000


def test_exactly_the_survivors_match_the_window(loop: Loop) -> None:
    """Each survivor reproduces the window's residues; no other seed does."""
    chosen = window.Window(**loop.read("optimal_window_config.json")["window"])
    actual = [draw["value"] for draw in loop.history()]
    part = slice(chosen.offset, chosen.offset + chosen.size)
    wanted = [value % chosen.residue for value in actual[part]]

    def matches(seed: int) -> bool:
        raw = java_lcg(seed, chosen.size, skip=chosen.offset)
        return [number % 1000 % chosen.residue for number in raw] == wanted

    survivors = set(_survivors(loop))
    assert all(matches(seed) for seed in survivors)
    assert not any(matches(seed) for seed in range(3000) if seed not in survivors)


def test_both_passes_are_needed(loop: Loop) -> None:
    """Each pass alone keeps more seeds than both passes together."""
    counts = loop.read("bidirectional_survivors.json")["counts"]
    assert counts["survivors"] < counts["forward_survivors"] < counts["seeds"]
    assert counts["survivors"] < counts["reverse_survivors"] < counts["seeds"]


def test_a_true_seed_outside_the_range_leaves_no_survivor() -> None:
    values = np.array([raw % 1000 for raw in java_lcg(300_000, 100)])
    forward, reverse = sieve.sieve(values, window.Window(50, 9, 1000), 1000, (0, 1 << 18))
    assert len(np.intersect1d(forward, reverse)) == 0


def test_a_history_that_fits_no_seed_is_an_error(loop: Loop) -> None:
    """The error says why, and no empty artefact is written."""
    config = loop.read("optimal_window_config.json")
    config["window"] |= {"residue": 1000, "size": 9}
    loop.write("optimal_window_config.json", config)
    draws = loop.history()
    for place, draw in enumerate(draws):
        draw["value"] = place * 7919 % 1000
    loop.write("lottery_history.json", {"draws": draws})
    stage = loop.stage("refused")
    with pytest.raises(PipelineError, match="0 seeds survived"):
        sieve.run(stage, "normal", "x")
    assert list(stage.out.iterdir()) == []


def test_a_window_with_more_constraints_leaves_fewer_survivors() -> None:
    """The estimate distinguishes windows that leave too many, enough and too few seeds."""
    values = np.array([raw % 1000 for raw in java_lcg(12345, 5000)])
    windows = [window.Window(4900, 2, 4), window.Window(4900, 3, 8), window.Window(4900, 6, 10)]
    weak, right, strong = window.expected_survivors(values, windows, 1000, seed=1)
    assert weak > 5000
    assert 250 < right < 1000
    assert strong < 50
