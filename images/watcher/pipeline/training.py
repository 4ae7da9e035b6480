"""Steps 4 and 5: split the draws, train on the examined ones, reject overfitting, write telemetry.

For: turning evidence into the next model.
Must not know: who promotes a champion; the Watcher publishes what is staged here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import evidence, generator, model, policy
from pipeline.artefacts import PLAN, TELEMETRY, WINDOW_CONFIG, Stage, now_iso, read_values
from pipeline.policy import weights_json
from pipeline.scoring import Scored, read_scored, read_scorer
from pipeline.window import read_modulus

EPOCHS = {"light": 15, "normal": 25, "thorough": 40}
TRAINING_DRAWS_MAX = 64
TELEMETRY_HISTORY_MAX = 50


@dataclass(frozen=True)
class Split:
    """Indices of the draws to train on and of those to hold out. They never overlap."""

    training: generator.Values
    holdout: generator.Values


def plan_split(draw_count: int, scored: Scored, holdout: int) -> Split:
    """Train on the newest examined draws; hold out the newest draws that were not examined."""
    examined = set(scored.examined.tolist())
    newest = range(draw_count - 1, max(-1, draw_count - 1 - 4 * holdout), -1)
    held_out = [index for index in newest if index not in examined][:holdout]
    return Split(scored.examined[-TRAINING_DRAWS_MAX:], np.array(sorted(held_out), dtype=np.int64))


def run_plan(stage: Stage, _effort: str, _request: str) -> dict[str, Any]:
    """Step 4: write ml_plan.json. Returns the facts."""
    split, _, _ = _split(stage)
    stage.write(PLAN, {"training": split.training.tolist(), "holdout": split.holdout.tolist()})
    return {"training_draws": len(split.training), "holdout_draws": len(split.holdout)}


def _split(stage: Stage) -> tuple[Split, Scored, generator.Values]:
    draws = read_values(stage, read_modulus(stage.read(WINDOW_CONFIG)))
    scored = read_scored(stage, len(draws))
    return plan_split(len(draws), scored, read_scorer(stage).holdout_draws), scored, draws


def read_telemetry(stage: Stage) -> tuple[int, list[float]]:
    """(number of models so far, hit rates of the last ones); (0, []) before the first model."""
    if not stage.has(TELEMETRY):
        return 0, []
    artefact = stage.read(TELEMETRY)
    rates = [float(rate) for rate in artefact.items("hit_rate_history") if _is_rate(rate)]
    return artefact.integer("total_models", 0, 10**9), rates[-TELEMETRY_HISTORY_MAX:]


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def run(stage: Stage, effort: str, request: str) -> dict[str, Any]:
    """Step 5: write models/model_<n>.json and the telemetry. Returns the facts of the model."""
    split, scored, draws = _split(stage)
    used = policy.current(stage)
    previous = model.current_weights(stage, used)
    match_table = evidence.matches(scored.seeds, draws, split.training, scored.modulus)
    holdout_table = evidence.matches(scored.seeds, draws, split.holdout, scored.modulus)
    ages = evidence.ages(split.training, used.decay)
    trained = model.train(previous, used.lane_weights, match_table, ages, EPOCHS[effort])
    decision = model.choose(previous, trained, match_table, ages, holdout_table)
    logits = evidence.credibility(match_table, decision.weights, ages)
    rate = evidence.hit_rate(
        scored.seeds, logits, draws, split.holdout, used.pool_width, scored.modulus
    )
    number, rates = read_telemetry(stage)
    facts = {
        "model": number + 1,
        "accepted": decision.accepted,
        "reason": decision.reason,
        "hit_rate": round(rate, 4),
        "previous_hit_rate": rates[-1] if rates else None,
        "holdout_loss": round(decision.holdout_loss, 5),
        "previous_holdout_loss": round(decision.previous_holdout_loss, 5),
        "training_draws": len(split.training),
        "holdout_draws": len(split.holdout),
    }
    _write(stage, request, decision, trained, facts, [*rates, round(rate, 4)])
    return facts


def _write(
    stage: Stage,
    request: str,
    decision: model.Decision,
    trained: tuple[float, ...],
    facts: dict[str, Any],
    rates: list[float],
) -> None:
    number = int(facts["model"])
    stamp = now_iso()
    stage.write(
        f"models/model_{number}.json",
        {
            **facts,
            "request": request,
            "created_at": stamp,
            "weights": weights_json(decision.weights),
            "trained_weights": weights_json(trained),
        },
    )
    stage.write(
        TELEMETRY,
        {
            "total_models": number,
            "timestamp": stamp,
            "hit_rate": facts["hit_rate"],
            "hit_rate_history": rates[-TELEMETRY_HISTORY_MAX:],
            "last_request": request,
            "last_model_accepted": decision.accepted,
            "holdout_loss": facts["holdout_loss"],
        },
    )
