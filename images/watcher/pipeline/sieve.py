"""Step 2: the bidirectional sieve over the seed range.

For: finding the seeds that could have generated the window. The forward pass steps the generator
from the window's start, the reverse pass steps it backwards from the window's end. Both compare
coarse residues, so many false seeds remain. Only seeds that survive both passes are kept. It runs
on a GPU if there is one, with the same result.
Must not know: how survivors are ranked.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline import arrays, generator
from pipeline.artefacts import SURVIVORS, WINDOW_CONFIG, PipelineError, Stage, read_values
from pipeline.window import SEED_COUNT, Window, read_modulus, read_window

SURVIVORS_MAX = 8000


def _pass(
    seeds: generator.Values,
    targets: generator.Values,
    first_index: int,
    direction: int,
    residue: int,
    modulus: int,
) -> generator.Values:
    """Seeds whose draws equal `targets` modulo `residue`, walking by `direction` (+1 or -1)."""
    states = generator.states_at(seeds, first_index)
    for target in targets:
        keep = generator.outputs(states, modulus) % residue == int(target) % residue
        seeds = seeds[keep]
        states = generator.step(states[keep], direction)
    return seeds


def sieve(
    values: generator.Values,
    window: Window,
    modulus: int,
    seed_range: tuple[int, int],
    xp: Any = np,
) -> tuple[generator.Values, generator.Values]:
    """(seeds after the forward pass, seeds after the reverse pass), each over the whole range.

    Computed with the module `xp`; the results are NumPy arrays.
    """
    seeds = xp.arange(*seed_range, dtype=np.int64)
    middle = window.offset + window.forward
    last = window.offset + window.size - 1
    forward = _pass(
        seeds, values[window.offset : middle], window.offset, 1, window.residue, modulus
    )
    reverse = _pass(seeds, values[middle : last + 1][::-1], last, -1, window.residue, modulus)
    return arrays.to_host(xp, forward), arrays.to_host(xp, reverse)


def run(stage: Stage, _effort: str, _request: str) -> dict[str, Any]:
    """Write bidirectional_survivors.json. Returns the facts.

    Raises PipelineError if no seed or too many seeds survive.
    """
    config = stage.read(WINDOW_CONFIG)
    modulus, window = read_modulus(config), read_window(config)
    values = read_values(stage, modulus)
    if window.offset + window.size > len(values):
        raise PipelineError(f"{config.name}: the window ends after draw {len(values)}")
    low, high = (int(bound) for bound in config.integers("seed_range", 0, SEED_COUNT))
    (forward, reverse), module = arrays.computed(
        lambda xp: sieve(values, window, modulus, (low, high), xp)
    )
    survivors = np.intersect1d(forward, reverse, assume_unique=True)
    if not 0 < len(survivors) <= SURVIVORS_MAX:
        raise PipelineError(
            f"{len(survivors)} seeds survived, expected 1..{SURVIVORS_MAX}; "
            "the history does not fit the generator or the window is too small"
        )
    facts = {
        "seeds": high - low,
        "forward_survivors": len(forward),
        "reverse_survivors": len(reverse),
        "survivors": len(survivors),
    }
    stage.write(
        SURVIVORS,
        {
            "prng_type": config.text("prng_type"),
            "window": asdict(window),
            "counts": facts,
            "array_module": module,
            "survivors": [{"seed": int(seed)} for seed in survivors],
        },
    )
    return {**facts, "array_module": module}
