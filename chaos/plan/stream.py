"""The random stream of schedules: SHA-256 over a counter.

A schedule must be repeatable years later. Python does not promise that `random` gives the same
numbers in every version, and floating point differs between machines.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any


class Stream:
    """Whole numbers from a seed: block i is SHA-256 of 'chaos-schedule-1:SEED:i'."""

    def __init__(self, seed: int) -> None:
        self._numbers = self._draw(seed)

    @staticmethod
    def _draw(seed: int) -> Iterator[int]:
        index = 0
        while True:
            block = hashlib.sha256(f"chaos-schedule-1:{seed}:{index}".encode()).digest()
            for offset in range(0, 32, 8):
                yield int.from_bytes(block[offset : offset + 8], "big")
            index += 1

    def below(self, limit: int) -> int:
        """Uniform from 0 to `limit` - 1 (rejection sampling: no bias)."""
        ceiling = 2**64 - 2**64 % limit
        return next(number for number in self._numbers if number < ceiling) % limit

    def shuffle(self, items: list[Any]) -> None:
        """Shuffle in place; every order is equally likely."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]

    def weighted(self, weights: Sequence[int]) -> int:
        """A random index; the probability of each is proportional to its weight."""
        chosen = self.below(sum(weights))
        for index, weight in enumerate(weights):
            if chosen < weight:
                return index
            chosen -= weight
        raise AssertionError("below() keeps its limit")
