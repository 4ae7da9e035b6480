"""Step 3: examine a few more draws, and score the survivors by all draws examined so far.

For: learning gradually. Each call examines only a small number of further draws.
Must not know: training, the pool. The examined draws are kept in survivors_with_scores.json, so
evidence survives calls and restarts, and is never counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import arrays, evidence, generator, model, policy
from pipeline.artefacts import (
    SCORED,
    SCORER_CONFIG,
    SURVIVORS,
    WINDOW_CONFIG,
    PipelineError,
    Stage,
    read_values,
)
from pipeline.policy import LANES, Policy
from pipeline.window import SEED_COUNT, Window, read_modulus, read_window

BUDGET_DRAWS = {"light": 2, "normal": 2, "thorough": 3}
EXAMINED_DRAWS_MAX = 160
HOLDOUT_DRAWS = 20


@dataclass(frozen=True)
class Scorer:
    """The settings of scoring, from optimal_scorer_config.json. All are numbers of draws."""

    budget_draws: dict[str, int]
    examined_draws_max: int
    holdout_draws: int


@dataclass(frozen=True)
class Scored:
    """Content of survivors_with_scores.json: the survivors, and the indices of examined draws."""

    seeds: generator.Values
    examined: generator.Values
    window: Window
    modulus: int


def read_scored(stage: Stage, draw_count: int) -> Scored:
    """Read the survivors and the examined draws. Raises PipelineError if they are invalid."""
    artefact = stage.read(SCORED)
    seeds = artefact.integers_of("survivors", "seed", 0, SEED_COUNT - 1)
    if len(seeds) == 0:
        raise PipelineError(f"{SCORED} has no survivors; run steps 1,2,3 first")
    examined = artefact.integers("examined", 0, max(0, draw_count - 1))
    return Scored(seeds, examined, read_window(artefact), read_modulus(artefact))


def read_scorer(stage: Stage) -> Scorer:
    """Read the settings of scoring. Raises PipelineError if they are missing or out of range."""
    artefact = stage.read(SCORER_CONFIG)
    return Scorer(
        {effort: artefact.integer(f"budget_draws.{effort}", 1, 64) for effort in BUDGET_DRAWS},
        artefact.integer("examined_draws_max", 1, 1000),
        artefact.integer("holdout_draws", 1, 200),
    )


def write_scorer(stage: Stage) -> None:
    """Write optimal_scorer_config.json."""
    content = {
        "lanes": list(LANES),
        "default_policy": Policy().to_json(),
        "budget_draws": BUDGET_DRAWS,
        "examined_draws_max": EXAMINED_DRAWS_MAX,
        "holdout_draws": HOLDOUT_DRAWS,
    }
    stage.write(SCORER_CONFIG, content)


def next_draws(
    draw_count: int, examined: generator.Values, window: Window, budget: int, holdout: int
) -> generator.Values:
    """Indices of the newest `budget` draws to examine next, newest first.

    They were not examined before, and are outside the window and the hold-out.
    """
    excluded = set(examined.tolist()) | set(range(window.offset, window.offset + window.size))
    chosen: list[int] = []
    for index in range(draw_count - holdout - 1, -1, -1):
        if len(chosen) == budget:
            break
        if index not in excluded:
            chosen.append(index)
    return np.array(chosen, dtype=np.int64)


def _start(stage: Stage, draw_count: int) -> Scored:
    """Where scoring continues: the scored survivors, or those of a sieve in the same call."""
    if stage.has(SCORED) and not stage.staged(SURVIVORS):
        return read_scored(stage, draw_count)
    config = stage.read(WINDOW_CONFIG)
    seeds = stage.read(SURVIVORS).integers_of("survivors", "seed", 0, SEED_COUNT - 1)
    if len(seeds) == 0:
        raise PipelineError(f"{SURVIVORS} has no survivors; run step 2 first")
    nothing = np.array([], dtype=np.int64)
    return Scored(seeds, nothing, read_window(config), read_modulus(config))


def run(stage: Stage, effort: str, _request: str) -> dict[str, Any]:
    """Write survivors_with_scores.json, best first. Returns the facts.

    After a sieve it also writes the scorer's settings.
    """
    if stage.staged(SURVIVORS) or not stage.has(SCORER_CONFIG):
        write_scorer(stage)
    scorer = read_scorer(stage)
    modulus = read_modulus(stage.read(WINDOW_CONFIG))
    draws = read_values(stage, modulus)
    before = _start(stage, len(draws))
    further = next_draws(
        len(draws),
        before.examined,
        before.window,
        scorer.budget_draws[effort],
        scorer.holdout_draws,
    )
    examined = np.concatenate([before.examined, further])[-scorer.examined_draws_max :]
    used = policy.current(stage)
    weights = model.current_weights(stage, used)
    match_table, module = arrays.computed(
        lambda xp: evidence.matches(before.seeds, draws, examined, modulus, xp)
    )
    logits = evidence.credibility(match_table, weights, evidence.ages(examined, used.decay))
    _write(stage, before, examined, logits, match_table, used.policy_id)
    credible = evidence.shares(logits)
    return {
        "survivors": len(before.seeds),
        "further_draws": further.tolist(),
        "examined_draws": len(examined),
        "effective_survivors": round(float(1 / np.square(credible).sum()), 2),
        "policy": used.policy_id,
        "array_module": module,
    }


def _write(
    stage: Stage,
    scored: Scored,
    examined: generator.Values,
    logits: evidence.Floats,
    match_table: evidence.Matches,
    policy_id: str,
) -> None:
    counts = match_table.sum(axis=2).astype(int)
    order = np.argsort(-logits, kind="stable")
    stage.write(
        SCORED,
        {
            "prng_type": "java_lcg",
            "mod": scored.modulus,
            "window": {
                "offset": scored.window.offset,
                "size": scored.window.size,
                "residue": scored.window.residue,
            },
            "examined": examined.tolist(),
            "policy": policy_id,
            "survivors": [
                {
                    "seed": int(scored.seeds[at]),
                    "score": round(float(logits[at]), 6),
                    "matches": {lane: int(counts[row, at]) for row, lane in enumerate(LANES)},
                }
                for at in order
            ],
        },
    )
