"""The options of a new comparison, checked: a mistake is reported before anything is stored."""

import secrets
from pathlib import Path

from chaos.base.errors import UsageError
from chaos.compare.options import CompareOptions
from chaos.compare.state import Asked
from chaos.runner.resolve import SEED_MAX, is_path

PAIRS_MAX = 10_000


def asked_of(options: CompareOptions) -> Asked:
    """The checked options. Raises `UsageError`."""
    if len(options.arms) != 2:
        raise UsageError(
            f"BASE and CANDIDATE are wanted, {len(options.arms)} given",
            place="chaos compare",
            next_step="chaos compare old.yaml new.yaml --fault llm_timeout",
        )
    # Whole paths: it may go on from another folder.
    base, candidate = (
        str(Path(name).resolve()) if is_path(name) and Path(name).is_file() else name
        for name in options.arms
    )
    margin = 0.1 if options.margin is None else options.margin
    alpha = 0.05 if options.alpha is None else options.alpha
    pairs_max = 200 if options.pairs_max is None else options.pairs_max
    pairs_min = min(5, pairs_max) if options.pairs_min is None else options.pairs_min
    seed = secrets.randbits(32) if options.seed is None else options.seed
    _in_range("--margin", margin, 0.01, 0.9)
    _in_range("--alpha", alpha, 0.0001, 0.4)
    _in_range("--pairs-max", pairs_max, 1, PAIRS_MAX)
    _in_range("--pairs-min", pairs_min, 1, pairs_max)
    _in_range("--seed", seed, 0, SEED_MAX)
    return Asked(
        base=base,
        candidate=candidate,
        soak=options.soak or "soak_b",
        profile=options.profile,
        faults=tuple(options.fault) or ("llm_timeout",),
        overrides=tuple(options.set),
        margin=margin,
        alpha=alpha,
        pairs_min=pairs_min,
        pairs_max=pairs_max,
        score=options.score or "survived",
        seed=seed,
        backend=options.backend or "local",
    )


def _in_range(place: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also for NaN
        raise UsageError(
            f"{value:g} is out of range", place=place, next_step=f"from {low:g} to {high:g}"
        )
