"""Step 1: choose the window of draws for the sieve, and the residue that it compares.

For: a useful number of survivors: enough that scoring has a choice, few enough to score.
Must not know: which seed is true. The choice uses random seeds only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline import generator
from pipeline.artefacts import WINDOW_CONFIG, Artefact, PipelineError, Stage, read_values

PRNG_TYPE = "java_lcg"
SEED_COUNT = 1 << 18
SURVIVOR_TARGET = 600
SAMPLE_SEEDS = 1 << 14
SIZES = (3, 4, 5, 6)
RESIDUES = (4, 5, 8, 10)
OFFSETS = 8
NEWEST_MARGIN_DRAWS = 60
"""The newest draws, which the window leaves out because they are used for the hold-out."""


@dataclass(frozen=True)
class Window:
    """The draws `offset` .. `offset + size - 1`, compared modulo `residue`."""

    offset: int
    size: int
    residue: int

    @property
    def forward(self) -> int:
        """Number of draws that the forward pass compares; the reverse pass compares the rest."""
        return (self.size + 1) // 2


def read_window(config: Artefact) -> Window:
    """Read the window. Raises PipelineError if step 1 did not run."""
    if "window" not in config.content:
        raise PipelineError(f"{config.name} has no window yet; run step 1 first")
    return Window(
        config.integer("window.offset", 0, 10**9),
        config.integer("window.size", 2, 64),
        config.integer("window.residue", 2, 1000),
    )


def read_modulus(config: Artefact) -> int:
    """Read the modulus of the draws. Raises PipelineError for an unknown generator."""
    if config.text("prng_type") != PRNG_TYPE:
        raise PipelineError(f"{config.name}: prng_type must be {PRNG_TYPE}")
    return config.integer("mod", 2, 1_000_000)


def candidates(draw_count: int) -> list[Window]:
    """The windows to compare, newest first; [] if the history is too short."""
    last_end = draw_count - NEWEST_MARGIN_DRAWS
    span = max(SIZES)
    starts = [last_end - span * (k + 1) for k in range(OFFSETS)]
    return [
        Window(start, size, residue)
        for start in starts
        if start >= 0
        for residue in RESIDUES
        for size in SIZES
    ]


def expected_survivors(
    values: generator.Values, windows: list[Window], modulus: int, seed: int
) -> list[float]:
    """Number of survivors that each window would leave, estimated on random seeds."""
    rng = np.random.default_rng(seed)
    sample = rng.integers(0, SEED_COUNT, size=SAMPLE_SEEDS, dtype=np.int64)
    span = max(SIZES)
    expected: list[float] = []
    cache: dict[tuple[int, int], generator.Values] = {}
    for window in windows:
        key = (window.offset, window.residue)
        if key not in cache:
            indices = np.arange(window.offset, window.offset + span)
            table = generator.values(sample, indices, modulus) % window.residue
            equal = table == values[indices] % window.residue
            cache[key] = np.cumprod(equal, axis=1).sum(axis=0)
        share = float(cache[key][window.size - 1]) / SAMPLE_SEEDS
        expected.append(share * SEED_COUNT)
    return expected


def run(stage: Stage, _effort: str, _request: str) -> dict[str, Any]:
    """Write optimal_window_config.json: the window with the number of survivors nearest the target.

    Returns the facts. Raises PipelineError if the history is too short.
    """
    config = stage.read(WINDOW_CONFIG, "run bootstrap_history.py first")
    modulus = read_modulus(config)
    values = read_values(stage, modulus)
    windows = candidates(len(values))
    if not windows:
        need = NEWEST_MARGIN_DRAWS + max(SIZES)
        raise PipelineError(f"{len(values)} draws are too few; at least {need} are needed")
    expected = expected_survivors(values, windows, modulus, seed=len(values))
    distance = [abs(np.log((count + 1) / SURVIVOR_TARGET)) for count in expected]
    best = int(np.argmin(distance))
    stage.write(
        WINDOW_CONFIG,
        {
            "prng_type": PRNG_TYPE,
            "mod": modulus,
            "window": asdict(windows[best]),
            "seed_range": [0, SEED_COUNT],
            "expected_survivors": round(expected[best], 1),
            "windows_compared": len(windows),
        },
    )
    return {
        "draws": len(values),
        "windows_compared": len(windows),
        "window": asdict(windows[best]),
        "expected_survivors": round(expected[best], 1),
    }
