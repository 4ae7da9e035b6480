"""Reference generators of draws, by name, in plain Python.

For: bootstrap, diagnostics and every program that must recompute a draw exactly.
Must not know: NumPy (the daemon stays light), files, the true seed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Protocol

MULTIPLIER = 0x5DEECE66D
INCREMENT = 0xB
STATE_BITS = 48
OUTPUT_BITS = 31
STATE_MASK = (1 << STATE_BITS) - 1


class UnknownGeneratorError(KeyError):
    """The registry has no generator of this name; the message lists the known names."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"unknown generator {self.name!r}; known: {', '.join(sorted(_REGISTRY))}"


class Generator(Protocol):
    """A CPU reference implementation of one generator."""

    def __call__(self, seed: int, count: int, *, skip: int = 0) -> list[int]:
        """The raw outputs `skip` .. `skip + count - 1` of `seed`; both numbers 0 or more."""
        ...


def advance(steps: int) -> tuple[int, int]:
    """`(a, c)` such that the state `steps` later is `(a * state + c) mod 2**48`.

    Takes O(log steps) multiplications. A negative `steps` steps backwards. That is possible because
    the multiplier is odd, so the generator is a permutation of its states.
    """
    steps %= 1 << STATE_BITS  # the period of the generator is 2**48
    factor, offset = 1, 0
    step_factor, step_offset = MULTIPLIER, INCREMENT
    while steps:
        if steps & 1:
            factor = (factor * step_factor) & STATE_MASK
            offset = (offset * step_factor + step_offset) & STATE_MASK
        step_offset = (step_offset * (step_factor + 1)) & STATE_MASK
        step_factor = (step_factor * step_factor) & STATE_MASK
        steps >>= 1
    return factor, offset


def scramble(seed: int) -> int:
    """The initial state of `java.util.Random` for `seed`."""
    return (seed ^ MULTIPLIER) & STATE_MASK


def java_lcg(seed: int, count: int, *, skip: int = 0) -> list[int]:
    """`next(31)` of `java.util.Random(seed)`: `count` 31-bit outputs, after the first `skip`.

    Raises ValueError if `count` or `skip` is negative.

    >>> [raw % 1000 for raw in java_lcg(12345, 4)]
    [251, 80, 241, 828]
    """
    if count < 0 or skip < 0:
        raise ValueError(f"count and skip must be 0 or more, got {count} and {skip}")
    factor, offset = advance(skip)
    state = (scramble(seed) * factor + offset) & STATE_MASK
    outputs: list[int] = []
    for _ in range(count):
        state = (state * MULTIPLIER + INCREMENT) & STATE_MASK
        outputs.append(state >> (STATE_BITS - OUTPUT_BITS))
    return outputs


_REGISTRY: Mapping[str, Generator] = {"java_lcg": java_lcg}


def names() -> list[str]:
    """The names that `get_cpu_reference` accepts, sorted."""
    return sorted(_REGISTRY)


def get_cpu_reference(name: str) -> Generator:
    """The generator called `name`. Raises `UnknownGeneratorError`."""
    try:
        return _REGISTRY[name]
    except KeyError:
        raise UnknownGeneratorError(name) from None


def _main(arguments: list[str], write: Callable[[str], object] = print) -> int:
    """`python prng_registry.py [SEED [COUNT]]` prints draw values, to compare with other tools."""
    seed = int(arguments[0]) if arguments else 12345
    count = int(arguments[1]) if len(arguments) > 1 else 12
    write(" ".join(str(raw % 1000) for raw in java_lcg(seed, count)))
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
