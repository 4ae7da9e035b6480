from __future__ import annotations

from chaos.checks.java_lcg import first_draws


def test_the_generator_equals_javas_own() -> None:
    """Values of `new java.util.Random(12345).nextInt(1000)`, taken from a Java machine."""
    assert first_draws(12345, 1000, 12) == [251, 80, 241, 828, 55, 84, 375, 802, 501, 389, 517, 942]
