"""The generator is java.util.Random's, and jumps through its sequence give the same values."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import prng_registry
import pytest
from pipeline import generator

ORACLE = [251, 80, 241, 828, 55, 84, 375, 802, 501, 389, 517, 942]
"""new java.util.Random(12345).nextInt(1000), from a JVM."""


def test_values_are_those_of_java() -> None:
    """Value n is the n-th nextInt(1000) of java.util.Random with the same seed."""
    raw = prng_registry.get_cpu_reference("java_lcg")(12345, len(ORACLE))
    assert [number % 1000 for number in raw] == ORACLE


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="no Java here to compare with")
def test_values_are_those_of_the_installed_java(tmp_path: Path) -> None:
    """For several seeds, far into the sequence."""
    source = tmp_path / "Oracle.java"
    source.write_text(
        "public class Oracle { public static void main(String[] a) {"
        " for (long seed : new long[]{0, 12345, 262143, 99999999999L}) {"
        " java.util.Random r = new java.util.Random(seed);"
        " for (int i = 0; i < 5100; i++) { int v = r.nextInt(1000);"
        ' if (i >= 5090) System.out.print(v + " "); } } } }'
    )
    shown = subprocess.run(
        ["java", str(source)], capture_output=True, text=True, check=True, timeout=120
    )
    expected = [
        raw % 1000
        for seed in (0, 12345, 262143, 99999999999)
        for raw in prng_registry.java_lcg(seed, 10, skip=5090)
    ]
    assert [int(word) for word in shown.stdout.split()] == expected


def test_skipping_equals_stepping() -> None:
    """`skip=k` gives the outputs from k on of a sequence without skip."""
    rng = random.Random(1)
    for _ in range(50):
        seed, skip = rng.randrange(1 << 48), rng.randrange(3000)
        walked = prng_registry.java_lcg(seed, skip + 5)[skip:]
        assert prng_registry.java_lcg(seed, 5, skip=skip) == walked


def test_stepping_back_undoes_stepping_forward() -> None:
    """advance(-k) is the inverse of advance(k) on every state."""
    rng = random.Random(2)
    for _ in range(50):
        state, steps = rng.randrange(1 << 48), rng.randrange(10**12)
        factor, offset = prng_registry.advance(steps)
        there = (state * factor + offset) & prng_registry.STATE_MASK
        factor, offset = prng_registry.advance(-steps)
        assert (there * factor + offset) & prng_registry.STATE_MASK == state


def test_the_numpy_table_has_the_values_of_the_reference() -> None:
    seeds, indices = [0, 1, 12345, 262143], [0, 1, 17, 4999, 5012]
    table = generator.values(np.array(seeds), indices, 1000)
    expected = [
        [prng_registry.java_lcg(seed, 1, skip=index)[0] % 1000 for index in indices]
        for seed in seeds
    ]
    assert table.tolist() == expected


def test_an_error_names_the_unknown_generator_and_the_known_ones() -> None:
    with pytest.raises(prng_registry.UnknownGeneratorError, match=r"'mt19937'.*java_lcg"):
        prng_registry.get_cpu_reference("mt19937")


def test_negative_counts_are_rejected() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        prng_registry.java_lcg(1, -1)
