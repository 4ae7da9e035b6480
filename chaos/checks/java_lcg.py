"""The generator of `java.util.Random`, written again from its documented formula.

Independent of the programs under test on purpose: an oracle that shared their code would share
their mistakes. Source: the algorithm in the class documentation of `java.util.Random`.
"""

from collections.abc import Iterator
from itertools import islice

_MULTIPLIER = 0x5DEECE66D
_INCREMENT = 0xB
_MASK = (1 << 48) - 1


def java_lcg(seed: int, modulus: int) -> Iterator[int]:
    """Endless draws: `next(31) % modulus`. Seed 12345, modulus 1000 begins 251, 80, 241, 828."""
    state = (seed ^ _MULTIPLIER) & _MASK
    while True:
        state = (state * _MULTIPLIER + _INCREMENT) & _MASK
        yield (state >> 17) % modulus


def first_draws(seed: int, modulus: int, count: int) -> list[int]:
    """The first `count` draws."""
    return list(islice(java_lcg(seed, modulus), count))
