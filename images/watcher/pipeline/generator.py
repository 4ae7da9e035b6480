"""Computes the registry's java_lcg for many seeds at once, with NumPy or on a GPU.

For: sieve, scoring and pool, which follow hundreds of thousands of seeds in parallel. All numbers
are 64-bit integers, so CuPy arrays give the same values.
Must not know: which seed is true, where draws come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from prng_registry import MULTIPLIER, OUTPUT_BITS, STATE_BITS, STATE_MASK, advance

States = npt.NDArray[np.uint64]
Values = npt.NDArray[np.int64]

_MASK = np.uint64(STATE_MASK)
_SHIFT = np.uint64(STATE_BITS - OUTPUT_BITS)


def step(states: States, count: int) -> States:
    """The states `count` steps later; a negative count steps backwards.

    The product may overflow 64 bits. The result is still right, because 2**48 divides 2**64.
    """
    factor, offset = advance(count)
    return (states * np.uint64(factor) + np.uint64(offset)) & _MASK


def states_at(seeds: Values, index: int) -> States:
    """The states whose output is draw `index` (0-based), one per seed."""
    scrambled = (seeds.astype(np.uint64) ^ np.uint64(MULTIPLIER)) & _MASK
    return step(scrambled, index + 1)


def outputs(states: States, modulus: int) -> Values:
    """The draw values (0..modulus-1) of the states."""
    return ((states >> _SHIFT) % np.uint64(modulus)).astype(np.int64)


def values(seeds: Values, indices: Sequence[int] | Values, modulus: int, xp: Any = np) -> Values:
    """Draw values, shape (seeds, indices), computed by jumping to each index.

    `seeds` and the result are arrays of the module `xp`.
    """
    table: Values = xp.empty((len(seeds), len(indices)), dtype=np.int64)
    for column, index in enumerate(indices):
        table[:, column] = outputs(states_at(seeds, int(index)), modulus)
    return table
