"""The policy: the few numbers that weigh survivors and size the pool.

For: scoring, training, pool and selfplay, which share its meaning.
Must not know: draws, paths of files (artefacts.py has them), how a policy is searched.

Every policy inside the bounds is safe: it changes how fast the pool learns, not if it learns.
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
    """The weights of survivors.

    `lane_weights`: credibility per matching draw (nats), one per lane. `decay`: factor on a draw's
    evidence for each newer examined draw. `pool_width`: number of values per predicted draw.
    """

    lane_weights: tuple[float, ...] = (0.25, 0.25)
    decay: float = 0.995
    pool_width: int = POOL_WIDTH_MAX
    policy_id: str = field(default="default", compare=False)

    def to_json(self) -> dict[str, Any]:
        """The JSON object in policy artefacts."""
        return {
            "lane_weights": dict(zip(LANES, self.lane_weights, strict=True)),
            "decay": self.decay,
            "pool_width": self.pool_width,
        }


def clipped(weights: tuple[float, ...], decay: float, pool_width: int, policy_id: str) -> Policy:
    """The policy nearest to the given values that is inside the bounds."""
    return Policy(
        tuple(round(min(max(weight, WEIGHT_MIN), WEIGHT_MAX), 6) for weight in weights),
        round(min(max(decay, DECAY_MIN), DECAY_MAX), 6),
        int(min(max(pool_width, POOL_WIDTH_MIN), POOL_WIDTH_MAX)),
        policy_id,
    )


def from_artefact(artefact: Artefact, policy_id: str) -> Policy:
    """Read the policy of a candidate or configuration. Raises PipelineError if out of bounds."""
    return Policy(
        read_weights(artefact, "policy.lane_weights"),
        artefact.number("policy.decay", DECAY_MIN, DECAY_MAX),
        artefact.integer("policy.pool_width", POOL_WIDTH_MIN, POOL_WIDTH_MAX),
        policy_id,
    )


def read_weights(artefact: Artefact, key: str) -> tuple[float, ...]:
    """The lane weights at `key`, in the order of LANES. Raises PipelineError if out of bounds."""
    return tuple(artefact.number(f"{key}.{lane}", WEIGHT_MIN, WEIGHT_MAX) for lane in LANES)


def weights_json(weights: tuple[float, ...]) -> Mapping[str, float]:
    """The lane weights by lane name."""
    return dict(zip(LANES, weights, strict=True))


def current(stage: Stage) -> Policy:
    """The learned policy if there is one, else the default. Raises PipelineError if invalid."""
    if not stage.has(LEARNED_POLICY):
        return Policy()
    artefact = stage.read(LEARNED_POLICY)
    if not artefact.content:
        raise PipelineError(f"{LEARNED_POLICY} is empty")
    return from_artefact(artefact, artefact.text("candidate_id"))
