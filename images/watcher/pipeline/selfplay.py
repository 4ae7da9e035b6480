"""`python -m pipeline.selfplay --episodes N --out DIR`: search a better policy by back-test.

For: the Watcher's dispatch, and people. Run it in the workspace with PYTHONPATH=. .
Must not know: the queue, the LLM, publishing. It stages a policy (the few numbers of policy.py),
never a seed, so that the pool learns about draws only through evidence.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import command, evidence, generator, policy
from pipeline.artefacts import (
    RESULT,
    WINDOW_CONFIG,
    PipelineError,
    Stage,
    now_iso,
    read_values,
)
from pipeline.policy import Policy
from pipeline.scoring import Scored, read_scored
from pipeline.window import read_modulus

EPISODES_MAX = 200
PROPOSALS = {"light": 3, "normal": 5, "thorough": 8}
FOLDS = 3
FOLD_EXAMINED_DRAWS = 10
FOLD_JUDGED_DRAWS = 12
LIKELIHOOD_WEIGHT = 0.1
LIKELIHOOD_FLOOR = 1e-3
LOG_FLOOR = float(np.log(LIKELIHOOD_FLOOR))


@dataclass(frozen=True)
class Fold:
    """One back-test: only the draws `examined` are known, and the draws `judged` are predicted.

    `matches`: of the examined draws. `exact`: 1.0 where a survivor has the real value of a judged
    draw, shape (S, judged).
    """

    examined: generator.Values
    judged: generator.Values
    matches: evidence.Matches
    exact: evidence.Floats


def make_folds(scored: Scored, draws: generator.Values, rng: np.random.Generator) -> list[Fold]:
    """`FOLDS` back-tests, each over random draws of the whole history.

    Raises PipelineError if the history is too short.
    """
    need = FOLD_EXAMINED_DRAWS + FOLD_JUDGED_DRAWS
    if len(draws) < need:
        raise PipelineError(f"{len(draws)} draws are too few for selfplay; at least {need}")
    folds = []
    for _ in range(FOLDS):
        chosen = rng.choice(len(draws), size=need, replace=False).astype(np.int64)
        examined, judged = chosen[:FOLD_EXAMINED_DRAWS], chosen[FOLD_EXAMINED_DRAWS:]
        exact = generator.values(scored.seeds, judged, scored.modulus) == draws[judged]
        match_table = evidence.matches(scored.seeds, draws, examined, scored.modulus)
        folds.append(Fold(examined, judged, match_table, exact.astype(np.float64)))
    return folds


def back_test(
    candidate: Policy, folds: list[Fold], scored: Scored, draws: generator.Values
) -> float:
    """Score of a policy: mean hit rate over the folds + 0.1 x log-likelihood scaled to 0..1.

    The hit rate is the goal, but it moves in steps. The likelihood gives the search a slope.
    """
    total = 0.0
    for fold in folds:
        ages = evidence.ages(fold.examined, candidate.decay)
        logits = evidence.credibility(fold.matches, candidate.lane_weights, ages)
        chance = evidence.shares(logits) @ fold.exact
        likelihood = float((np.log(chance + LIKELIHOOD_FLOOR) / LOG_FLOOR).mean())
        rate = evidence.hit_rate(
            scored.seeds, logits, draws, fold.judged, candidate.pool_width, scored.modulus
        )
        total += rate + LIKELIHOOD_WEIGHT * (1 - likelihood)
    return total / len(folds)


def propose(best: Policy, rng: np.random.Generator, candidate_id: str) -> Policy:
    """A random neighbour of `best`, inside the bounds."""
    shifts = rng.normal(0.0, 0.12, size=len(best.lane_weights))
    weights = tuple(
        weight + float(shift) for weight, shift in zip(best.lane_weights, shifts, strict=True)
    )
    decay = best.decay + float(rng.normal(0.0, 0.004))
    width = best.pool_width + int(rng.integers(-2, 3))
    return policy.clipped(weights, decay, width, candidate_id)


def candidate_name(request: str) -> str:
    """The candidate's id: derived from the request's name, and unique per name."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", request.removesuffix(".json"))[:80].strip("_")
    return f"cand_{stem}_{hashlib.sha256(request.encode()).hexdigest()[:8]}"


def search(
    stage: Stage, episodes: int, conditioned: bool, effort: str, request: str
) -> dict[str, Any]:
    """Search a policy, stage the candidate and result.json. Returns the result.

    `conditioned`: start from the learned policy, not from the default.
    """
    draws = read_values(stage, read_modulus(stage.read(WINDOW_CONFIG)))
    scored = read_scored(stage, len(draws))
    candidate_id = candidate_name(request)
    seed = int.from_bytes(hashlib.sha256(request.encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    start = policy.current(stage) if conditioned else Policy()
    folds = make_folds(scored, draws, rng)
    baseline = score = back_test(start, folds, scored, draws)
    best, log = start, []
    for episode in range(1, episodes + 1):
        started_s = time.perf_counter()
        for _ in range(PROPOSALS[effort]):
            proposal = propose(best, rng, candidate_id)
            proposal_score = back_test(proposal, folds, scored, draws)
            if proposal_score > score:
                best, score = proposal, proposal_score
        took_s = round(time.perf_counter() - started_s, 4)
        log.append({"episode": episode, "score": round(score, 6), "took_s": took_s})
    return _write(
        stage,
        request,
        effort,
        best,
        start,
        {
            "candidate_id": candidate_id,
            "score": round(score, 6),
            "baseline_score": round(baseline, 6),
            "episodes": log,
        },
    )


def _write(
    stage: Stage, request: str, effort: str, best: Policy, start: Policy, facts: dict[str, Any]
) -> dict[str, Any]:
    candidate_id, episodes = facts["candidate_id"], facts["episodes"]
    stage.write(
        f"policy_history/{candidate_id}.json",
        {
            "candidate_id": candidate_id,
            "created_at": now_iso(),
            "request_file": request,
            "parent": start.policy_id,
            "episodes": len(episodes),
            "score": facts["score"],
            "baseline_score": facts["baseline_score"],
            "policy": best.to_json(),
        },
    )
    metrics = {
        "score": facts["score"],
        "baseline_score": facts["baseline_score"],
        "episodes": len(episodes),
        "candidate_id": candidate_id,
    }
    result = {
        "request": request,
        "effort": effort,
        "steps": episodes,
        "metrics": metrics,
        "candidate": f"policy_history/{candidate_id}.json",
    }
    stage.write(RESULT, result)
    return result


def _episodes(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= EPISODES_MAX:
        raise argparse.ArgumentTypeError(f"must be 1..{EPISODES_MAX}, got {text!r}")
    return number


def main(argv: list[str] | None = None) -> int:
    """Command line; exit 0 done, 1 bad input (one line on stderr), 2 usage."""
    parser = argparse.ArgumentParser(
        prog="pipeline.selfplay", description="Search a policy by back-test and stage it in DIR."
    )
    parser.add_argument("--episodes", type=_episodes, required=True, metavar="N")
    parser.add_argument(
        "--policy-conditioned",
        action="store_true",
        help="start from learned_policy_candidate.json when there is one",
    )
    command.add_common(parser)
    arguments = parser.parse_args(argv)

    def work() -> None:
        stage = command.open_stage(arguments.out, arguments.request)
        result = search(
            stage,
            arguments.episodes,
            arguments.policy_conditioned,
            arguments.effort,
            arguments.request,
        )
        metrics = result["metrics"]
        print(
            f"{metrics['candidate_id']}: score {metrics['score']:.4f}, "
            f"baseline {metrics['baseline_score']:.4f}"
        )

    return command.guarded("pipeline.selfplay", work, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
