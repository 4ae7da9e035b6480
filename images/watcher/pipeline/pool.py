"""Step 6: predict the next draws from the survivors, by their credibility.

For: prediction_pool.json.
Must not know: training. It uses the current weights.
"""

from __future__ import annotations

from typing import Any

from pipeline import evidence, model, policy, training
from pipeline.artefacts import POOL, WINDOW_CONFIG, Stage, now_iso, read_values
from pipeline.scoring import read_scored
from pipeline.window import read_modulus

HORIZON_DRAWS = 10


def _weights(stage: Stage, used: policy.Policy) -> tuple[tuple[float, ...], int]:
    """(lane weights, model number). A model trained in this call wins over a published one."""
    number, _ = training.read_telemetry(stage)
    name = f"models/model_{number}.json"
    if number and stage.staged(name):
        return policy.read_weights(stage.read(name), "weights"), number
    return model.current_weights(stage, used), number


def run(stage: Stage, _effort: str, _request: str) -> dict[str, Any]:
    """Write prediction_pool.json: the ranked values of the next draws. Returns the facts."""
    draws = read_values(stage, read_modulus(stage.read(WINDOW_CONFIG)))
    scored = read_scored(stage, len(draws))
    used = policy.current(stage)
    weights, number = _weights(stage, used)
    match_table = evidence.matches(scored.seeds, draws, scored.examined, scored.modulus)
    logits = evidence.credibility(match_table, weights, evidence.ages(scored.examined, used.decay))
    predictions = [
        {
            "draw_index": index,
            "values": evidence.ranked_values(
                scored.seeds, logits, index, used.pool_width, scored.modulus
            ),
        }
        for index in range(len(draws), len(draws) + HORIZON_DRAWS)
    ]
    stage.write(
        POOL,
        {
            "predictions": predictions,
            "generated_at": now_iso(),
            "history_length": len(draws),
            "model_version": number,
            "policy": used.policy_id,
        },
    )
    best = int(scored.seeds[int(logits.argmax())])
    return {
        "predictions": len(predictions),
        "width": used.pool_width,
        "best_seed": best,
        "best_share": round(float(evidence.shares(logits).max()), 6),
    }
