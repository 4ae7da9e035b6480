"""The model: learned lane weights, their training, and the check that rejects overfitted ones.

For: step 5, and every step that needs the current weights. Pure functions over arrays, except for
reading the current model.
Must not know: telemetry, who promotes a champion.

A model weighs the matches of each lane. The survivors form a mixture that predicts the lane
readings of a draw from all other examined draws. Training raises the likelihood of the real draws,
with a ridge penalty towards the policy's weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline import evidence
from pipeline.artefacts import CHAMPION, Stage
from pipeline.policy import LANES, WEIGHT_MAX, WEIGHT_MIN, Policy, read_weights

MISMATCH = 0.05
"""Probability that a lane reading differs even if the survivor is the true seed."""

LEARNING_RATE = 0.3
RIDGE = 4.0
HOLDOUT_MARGIN = 0.005
"""The most (nats) that a new model may be worse than the previous one on the hold-out."""


@dataclass(frozen=True)
class Decision:
    """The weights after the overfitting check, and its reason. Losses are in nats."""

    weights: tuple[float, ...]
    accepted: bool
    reason: str
    holdout_loss: float
    previous_holdout_loss: float


def newest_model(stage: Stage) -> str | None:
    """Name (models/model_N.json) of the published model with the highest number, or None."""
    folder = stage.workspace / "models"
    numbers = [
        int(path.stem.removeprefix("model_"))
        for path in folder.glob("model_*.json")
        if path.stem.removeprefix("model_").isdecimal()
    ]
    return f"models/model_{max(numbers)}.json" if numbers else None


def current_weights(stage: Stage, policy: Policy) -> tuple[float, ...]:
    """The current weights: the champion's, else the newest model's, else the policy's."""
    name = CHAMPION if stage.has(CHAMPION) else newest_model(stage)
    if name is None:
        return policy.lane_weights
    return read_weights(stage.read(name), "weights")


def _likelihood(match_table: evidence.Matches) -> evidence.Floats:
    """Probability of each draw's lane readings under each survivor: shape (S, T)."""
    return np.asarray(np.where(match_table > 0, 1 - MISMATCH, MISMATCH).prod(axis=0))


def training_loss(
    weights: tuple[float, ...], match_table: evidence.Matches, ages: evidence.Floats
) -> tuple[float, npt.NDArray[np.float64]]:
    """(mean loss in nats, its gradient, shape (L,)); each draw is predicted from the other draws.

    The gradient of log sum_s share_s q_s is the mean evidence under the survivors' shares after
    seeing the draw, minus the mean under their shares before.
    """
    own = match_table * ages
    others = own.sum(axis=2, keepdims=True) - own
    before = evidence.shares(np.einsum("l,lst->st", np.array(weights), others))
    joint = before * _likelihood(match_table)
    probability = joint.sum(axis=0)
    after = joint / probability
    rise = np.einsum("lst,st->lt", others, after - before)
    return float(-np.log(probability).mean()), -rise.mean(axis=1)


def train(
    start: tuple[float, ...],
    prior: tuple[float, ...],
    match_table: evidence.Matches,
    ages: evidence.Floats,
    epochs: int,
) -> tuple[float, ...]:
    """Weights after `epochs` of gradient descent from `start`, with a ridge towards `prior`."""
    weights = np.array(start, dtype=np.float64)
    anchor = np.array(prior, dtype=np.float64)
    count = max(1, match_table.shape[2])
    for _ in range(epochs if match_table.shape[2] > 1 else 0):
        _, gradient = training_loss(tuple(weights), match_table, ages)
        gradient = gradient + RIDGE / count * (weights - anchor)
        weights = np.clip(weights - LEARNING_RATE / count * gradient, WEIGHT_MIN, WEIGHT_MAX)
    return tuple(round(float(weight), 6) for weight in weights)


def holdout_loss(
    weights: tuple[float, ...],
    match_table: evidence.Matches,
    ages: evidence.Floats,
    holdout_table: evidence.Matches,
) -> float:
    """Mean loss (nats) on the hold-out draws. `held`: the matches on them, shape (L, S, T)."""
    if holdout_table.shape[2] == 0:
        return 0.0
    share = evidence.shares(evidence.credibility(match_table, weights, ages))
    return float(-np.log(share @ _likelihood(holdout_table)).mean())


def choose(
    previous: tuple[float, ...],
    trained: tuple[float, ...],
    match_table: evidence.Matches,
    ages: evidence.Floats,
    holdout_table: evidence.Matches,
) -> Decision:
    """The overfitting check: keep `previous` if `trained` is worse on the hold-out."""
    if len(previous) != len(LANES) or len(trained) != len(LANES):
        raise ValueError(f"weights must have {len(LANES)} entries")
    previous_loss = holdout_loss(previous, match_table, ages, holdout_table)
    trained_loss = holdout_loss(trained, match_table, ages, holdout_table)
    if trained_loss > previous_loss + HOLDOUT_MARGIN:
        reason = f"hold-out loss rose from {previous_loss:.4f} to {trained_loss:.4f}"
        return Decision(previous, False, reason, trained_loss, previous_loss)
    return Decision(
        trained,
        True,
        f"hold-out loss {previous_loss:.4f} to {trained_loss:.4f}",
        trained_loss,
        previous_loss,
    )
