"""The model: learned lane weights, how they are trained and when they are refused. Pure arrays
but for reading the model in force.

For: step 5, and whoever needs the weights in force.
Must not know: telemetry, who promotes a champion.

A model says how much a lane's match is worth. The survivors form a mixture that predicts the
lane readings of a draw from all other examined draws; training raises the likelihood of what was
really drawn, held near the policy's weights by a ridge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline import evidence
from pipeline.artefacts import CHAMPION, Stage
from pipeline.policy import LANES, WEIGHT_MAX, WEIGHT_MIN, Policy, read_weights

MISMATCH = 0.05
"""Probability that a lane reading differs although the survivor is the true one."""

LEARNING_RATE = 0.3
RIDGE = 4.0
HOLDOUT_MARGIN = 0.005
"""Nats by which a new model may be worse on the hold-out than the previous one."""


@dataclass(frozen=True)
class Decision:
    """Which weights are in force after the anti-overfit check, and why."""

    weights: tuple[float, ...]
    accepted: bool
    reason: str
    holdout_loss: float
    previous_holdout_loss: float


def newest_model(stage: Stage) -> str | None:
    """Name of the published model with the highest number, or None."""
    folder = stage.workspace / "models"
    numbers = [
        int(path.stem.removeprefix("model_"))
        for path in folder.glob("model_*.json")
        if path.stem.removeprefix("model_").isdecimal()
    ]
    return f"models/model_{max(numbers)}.json" if numbers else None


def current_weights(stage: Stage, policy: Policy) -> tuple[float, ...]:
    """Weights in force: the champion's, else the newest model's, else the policy's own."""
    name = CHAMPION if stage.has(CHAMPION) else newest_model(stage)
    if name is None:
        return policy.lane_weights
    return read_weights(stage.read(name), "weights")


def _likelihood(found: evidence.Matches) -> evidence.Floats:
    """Probability of each draw's lane readings under each survivor: shape (S, T)."""
    return np.asarray(np.where(found > 0, 1 - MISMATCH, MISMATCH).prod(axis=0))


def training_loss(
    weights: tuple[float, ...], found: evidence.Matches, ages: evidence.Floats
) -> tuple[float, npt.NDArray[np.float64]]:
    """(mean loss in nats, gradient): each draw predicted from the other examined draws.

    The gradient of log sum_s share_s q_s is the mean of the evidence under the survivors' shares
    after seeing the draw, minus that before.
    """
    own = found * ages
    others = own.sum(axis=2, keepdims=True) - own
    before = evidence.shares(np.einsum("l,lst->st", np.array(weights), others))
    joint = before * _likelihood(found)
    probability = joint.sum(axis=0)
    after = joint / probability
    rise = np.einsum("lst,st->lt", others, after - before)
    return float(-np.log(probability).mean()), -rise.mean(axis=1)


def train(
    start: tuple[float, ...],
    prior: tuple[float, ...],
    found: evidence.Matches,
    ages: evidence.Floats,
    epochs: int,
) -> tuple[float, ...]:
    """Weights after `epochs` of gradient descent from `start`, ridged towards `prior`."""
    weights = np.array(start, dtype=np.float64)
    anchor = np.array(prior, dtype=np.float64)
    count = max(1, found.shape[2])
    for _ in range(epochs if found.shape[2] > 1 else 0):
        _, gradient = training_loss(tuple(weights), found, ages)
        gradient = gradient + RIDGE / count * (weights - anchor)
        weights = np.clip(weights - LEARNING_RATE / count * gradient, WEIGHT_MIN, WEIGHT_MAX)
    return tuple(round(float(weight), 6) for weight in weights)


def holdout_loss(
    weights: tuple[float, ...],
    found: evidence.Matches,
    ages: evidence.Floats,
    held: evidence.Matches,
) -> float:
    """Mean loss (nats) on draws that were not examined; `held` are the matches on them."""
    if held.shape[2] == 0:
        return 0.0
    share = evidence.shares(evidence.credibility(found, weights, ages))
    return float(-np.log(share @ _likelihood(held)).mean())


def choose(
    previous: tuple[float, ...],
    trained: tuple[float, ...],
    found: evidence.Matches,
    ages: evidence.Floats,
    held: evidence.Matches,
) -> Decision:
    """The anti-overfit check: keep `previous` when `trained` is worse on the hold-out."""
    if len(previous) != len(LANES) or len(trained) != len(LANES):
        raise ValueError(f"weights must have {len(LANES)} entries")
    old = holdout_loss(previous, found, ages, held)
    new = holdout_loss(trained, found, ages, held)
    if new > old + HOLDOUT_MARGIN:
        reason = f"hold-out loss rose from {old:.4f} to {new:.4f}"
        return Decision(previous, False, reason, new, old)
    return Decision(trained, True, f"hold-out loss {old:.4f} to {new:.4f}", new, old)
