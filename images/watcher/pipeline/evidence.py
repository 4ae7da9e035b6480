"""Weighs survivors by the draws: coarse matches, credibility, and the values they predict.

For: scoring, training, pool and selfplay. Pure functions over arrays.
Must not know: files, efforts, models.

Shapes: S survivors, T examined draws, L lanes. A lane is one binary reading of a value (even or
odd; lower or upper half). One draw carries little evidence, so false survivors fade slowly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import arrays, generator
from pipeline.policy import LANES

Floats = npt.NDArray[np.float64]
Matches = npt.NDArray[np.float64]


def lanes(values: generator.Values, modulus: int) -> npt.NDArray[np.int64]:
    """Lane readings of values: shape (L, *values.shape), each 0 or 1."""
    return np.stack([values % 2, values * 2 // modulus])


def matches(
    seeds: generator.Values,
    draws: generator.Values,
    indices: generator.Values,
    modulus: int,
    xp: Any = np,
) -> Matches:
    """1.0 where a survivor's lane reading equals the real one: shape (L, S, T).

    `draws`: values of the whole history. `indices`: the examined draws. The survivors' values are
    computed with the module `xp`; all parameters and the result are NumPy arrays.
    """
    survivor_values = generator.values(xp.asarray(seeds), indices, modulus, xp)
    predicted = lanes(arrays.to_host(xp, survivor_values), modulus)
    actual = lanes(draws[indices], modulus)
    equal: Matches = (predicted == actual[:, None, :]).astype(np.float64)
    return equal


def ages(indices: generator.Values, decay: float) -> Floats:
    """Weight of each examined draw, shape (T,): 1 for the newest, times `decay` per newer draw."""
    rank = np.argsort(np.argsort(-indices))
    return np.power(decay, rank).astype(np.float64)


def credibility(match_table: Matches, weights: tuple[float, ...], ages_t: Floats) -> Floats:
    """Log-credibility of the survivors, shape (S,), maximum 0: their weighted count of matches.

    `match_table`: from `matches`, shape (L, S, T). `weights`: one per lane. `ages_t`: from `ages`.
    Raises ValueError if the shapes do not fit.
    """
    if match_table.shape[0] != len(LANES) or match_table.shape[2] != len(ages_t):
        raise ValueError(
            f"matches {match_table.shape} do not fit {len(LANES)} lanes, {len(ages_t)} draws"
        )
    total = np.einsum("l,lst,t->s", np.array(weights), match_table, ages_t)
    return np.asarray(total - total.max(), dtype=np.float64)


def shares(logits: Floats) -> Floats:
    """Softmax of the credibility: shares that add up to 1 along the first axis."""
    raised = np.exp(logits - logits.max(axis=0))
    return np.asarray(raised / raised.sum(axis=0), dtype=np.float64)


def ranked_values(
    seeds: generator.Values, logits: Floats, index: int, width: int, modulus: int
) -> list[int]:
    """Up to `width` distinct values for draw `index`, most credible first.

    Survivors are sampled without replacement, in proportion to their credibility (Gumbel top-k,
    seeded by the draw's index), so equally credible survivors share the places fairly over time.
    """
    noise = np.random.default_rng(index).gumbel(size=len(seeds))
    order = np.argsort(-(logits + noise), kind="stable")[: 2 * width]
    predicted = generator.values(seeds[order], [index], modulus)[:, 0]
    return list(dict.fromkeys(int(value) for value in predicted))[:width]


def hit_rate(
    seeds: generator.Values,
    logits: Floats,
    draws: generator.Values,
    indices: generator.Values,
    width: int,
    modulus: int,
) -> float:
    """Share of the draws `indices` with the real value among the ranked ones; 0.0 for no draws."""
    if len(indices) == 0:
        return 0.0
    hits = sum(
        int(draws[index]) in ranked_values(seeds, logits, int(index), width, modulus)
        for index in indices
    )
    return hits / len(indices)
