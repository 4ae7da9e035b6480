"""The policy: the few numbers by which survivors are believed and pools are filled.

For: scoring, training, pool and selfplay, which must all mean the same by it.
Must not know: draws, files' places (artefacts.py knows), how a policy is searched.

Any policy inside the bounds is sound: it changes how fast the pool learns, never whether it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.artefacts import LEARNED_POLICY, Artefact, PipelineError, Stage

LANES = ("parity", "band")
WEIGHT_MIN, WEIGHT_MAX = 0.15, 0.4
DECAY_MIN, DECAY_MAX = 0.97, 1.0
POOL_WIDTH_MIN, POOL_WIDTH_MAX = 12, 20


@dataclass(frozen=True)
class Policy:
    """How survivors are believed.

    `lane_weights`: credibility per matching draw (nats). `decay`: weight of the evidence of a
    draw, per draw examined after it. `pool_width`: values per predicted draw.
    """

    lane_weights: tuple[float, ...] = (0.25, 0.25)
    decay: float = 0.995
    pool_width: int = POOL_WIDTH_MAX
    policy_id: str = field(default="default", compare=False)

    def to_json(self) -> dict[str, Any]:
        """As written into policy artefacts."""
        return {
            "lane_weights": dict(zip(LANES, self.lane_weights, strict=True)),
            "decay": self.decay,
            "pool_width": self.pool_width,
        }


def clipped(weights: tuple[float, ...], decay: float, pool_width: int, policy_id: str) -> Policy:
    """A policy inside the bounds, nearest to what is given."""
    return Policy(
        tuple(round(min(max(weight, WEIGHT_MIN), WEIGHT_MAX), 6) for weight in weights),
        round(min(max(decay, DECAY_MIN), DECAY_MAX), 6),
        int(min(max(pool_width, POOL_WIDTH_MIN), POOL_WIDTH_MAX)),
        policy_id,
    )


def from_artefact(artefact: Artefact, policy_id: str) -> Policy:
    """The policy inside a candidate or configuration; raises PipelineError when out of bounds."""
    return Policy(
        read_weights(artefact, "policy.lane_weights"),
        artefact.number("policy.decay", DECAY_MIN, DECAY_MAX),
        artefact.integer("policy.pool_width", POOL_WIDTH_MIN, POOL_WIDTH_MAX),
        policy_id,
    )


def read_weights(artefact: Artefact, key: str) -> tuple[float, ...]:
    """Lane weights at `key`, in the order of LANES."""
    return tuple(artefact.number(f"{key}.{lane}", WEIGHT_MIN, WEIGHT_MAX) for lane in LANES)


def weights_json(weights: tuple[float, ...]) -> Mapping[str, float]:
    """Lane weights by name."""
    return dict(zip(LANES, weights, strict=True))


def current(stage: Stage) -> Policy:
    """The learned policy when there is one, otherwise the default."""
    if not stage.has(LEARNED_POLICY):
        return Policy()
    artefact = stage.read(LEARNED_POLICY)
    if not artefact.content:
        raise PipelineError(f"{LEARNED_POLICY} is empty")
    return from_artefact(artefact, artefact.text("candidate_id"))
