"""Chapter 13: judges the predictions by each new draw, and decides which requests to emit.

For: the daemon, once per new draw. Pure functions, standard library only.
Must not know: files, clocks, the queue, the LLM. All state is in `previous`, the diagnostics of the
draw before, so a restarted daemon continues exactly where the last one stopped.

    state = diagnose(values, 5003, pool, previous)
    for trigger in evaluate_triggers(state, 5003, DEFAULT_TRIGGERS):
        ...  # {"trigger": "learning_interval", "request_type": "learning_loop", ...}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DEFAULT_TRIGGERS: dict[str, Any] = {
    "learning_every_draws": 4,
    "selfplay_every_draws": 5,
    "selfplay_episodes": 2,
    "hit_rate_drop": 0.5,
    "digit_chi_square_max": 75.0,  # 27 degrees of freedom: chance of about 2 in a million
}

HIT_WINDOW_DRAWS = 8
"""Number of predicted draws that the recent hit rate is computed over."""

DIGIT_WINDOW_DRAWS = 200
"""Number of newest draws that the digit test is computed over."""

DIGITS = 3


def diagnose(
    values: Sequence[int],
    draw_index: int,
    pool: Mapping[str, Any] | None,
    previous: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The diagnostics of draw `draw_index` (0-based), ready for JSON.

    `values`: the history's values from draw 0 to at least `draw_index`. `pool`: the content of
    prediction_pool.json, or None. `previous`: the diagnostics of the draw before, or None. In the
    result `hit` is True, False, or None if the pool has no prediction for this draw; rates are
    0..1. Raises `IndexError` if `values` does not reach `draw_index`.
    """
    before = previous or {}
    value = values[draw_index]
    hit, rank = _judge(pool, draw_index, value)
    recent = [bool(flag) for flag in _list(before.get("recent_hits"))]
    if hit is not None:
        recent = [*recent, hit][-HIT_WINDOW_DRAWS:]
    rate = sum(recent) / len(recent) if len(recent) == HIT_WINDOW_DRAWS else None
    peak = _number(before.get("peak_hit_rate"))
    drop = max(0.0, peak - rate) if rate is not None else 0.0
    window = values[max(0, draw_index + 1 - DIGIT_WINDOW_DRAWS) : draw_index + 1]
    return {
        "draws_diagnosed": int(_number(before.get("draws_diagnosed"))) + 1,
        "hit": hit,
        "hit_rank": rank,
        "recent_hits": recent,
        "recent_hit_rate": rate,
        "peak_hit_rate": max(peak, rate or 0.0),
        "hit_rate_drop": round(drop, 6),
        "hit_rate_drop_before": _number(before.get("hit_rate_drop")),
        "digit_chi_square": round(digit_chi_square(window), 3),
        "digit_chi_square_before": _number(before.get("digit_chi_square")),
        "repeats_in_window": sum(1 for other in window if other == value) - 1,
    }


def digit_chi_square(values: Sequence[int]) -> float:
    """Chi-square statistic of the three decimal digits against a uniform distribution.

    27 degrees of freedom, so a fair generator stays near 27; above 75 the digits are biased. 0.0
    for no values.
    """
    if not values:
        return 0.0
    expected = len(values) / 10
    total = 0.0
    for place in range(DIGITS):
        counts = [0] * 10
        for value in values:
            counts[value // 10**place % 10] += 1
        total += sum((count - expected) ** 2 for count in counts) / expected
    return total


def evaluate_triggers(
    diagnostics: Mapping[str, Any], draw_index: int, thresholds: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The requests to emit for `diagnostics`: at most one per request type, selfplay first.

    `thresholds` overrides `DEFAULT_TRIGGERS`; a missing or non-numeric value means the default. An
    interval of 0 turns its trigger off. The hit-rate and digit triggers fire on the draw that
    crosses the threshold, and again only after they were below it, so that a lasting bad state does
    not flood the queue.
    """
    limits = {
        name: _number(thresholds.get(name), default) for name, default in DEFAULT_TRIGGERS.items()
    }
    fired: dict[str, dict[str, Any]] = {}
    for trigger, request_type, reason in _candidates(diagnostics, draw_index, limits):
        if request_type not in fired:
            fired[request_type] = {
                "trigger": trigger,
                "request_type": request_type,
                "reason": reason,
                "parameters": _parameters(request_type, limits),
            }
    return [fired[kind] for kind in ("selfplay", "learning_loop") if kind in fired]


def _candidates(
    diagnostics: Mapping[str, Any], draw_index: int, limits: Mapping[str, float]
) -> list[tuple[str, str, str]]:
    """(trigger, request type, reason) of everything that fires, most telling reason first."""
    candidates: list[tuple[str, str, str]] = []
    if _crossed(diagnostics, "hit_rate_drop", limits["hit_rate_drop"]):
        drop = _number(diagnostics.get("hit_rate_drop"))
        reason = f"hit rate fell by {drop:.2f} at draw {draw_index}"
        candidates.append(("hit_rate_drop", "learning_loop", reason))
    if _crossed(diagnostics, "digit_chi_square", limits["digit_chi_square_max"]):
        statistic = _number(diagnostics.get("digit_chi_square"))
        reason = f"digit chi-square {statistic:.1f} at draw {draw_index}"
        candidates.append(("digit_bias", "learning_loop", reason))
    diagnosed = int(_number(diagnostics.get("draws_diagnosed")))
    for name, request_type in (("learning", "learning_loop"), ("selfplay", "selfplay")):
        every = int(limits[f"{name}_every_draws"])
        if every > 0 and diagnosed > 0 and diagnosed % every == 0:
            reason = f"{diagnosed} draws diagnosed, every {every}"
            candidates.append((f"{name}_interval", request_type, reason))
    return candidates


def _crossed(diagnostics: Mapping[str, Any], name: str, limit: float) -> bool:
    value = _number(diagnostics.get(name))
    before = _number(diagnostics.get(f"{name}_before"))
    return value >= limit > before


def _parameters(request_type: str, limits: Mapping[str, float]) -> dict[str, Any]:
    if request_type == "selfplay":
        return {"episodes": max(1, int(limits["selfplay_episodes"])), "policy_conditioned": True}
    return {"scope": "steps_3_5_6"}


def _judge(
    pool: Mapping[str, Any] | None, draw_index: int, value: int
) -> tuple[bool | None, int | None]:
    """(True if the pool has the value, its rank from 1); (None, None) without a prediction."""
    for prediction in _list((pool or {}).get("predictions")):
        if isinstance(prediction, Mapping) and prediction.get("draw_index") == draw_index:
            predicted = _list(prediction.get("values"))
            return (True, predicted.index(value) + 1) if value in predicted else (False, None)
    return None, None


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _number(value: object, default: float = 0.0) -> float:
    """`value` as a float; `default` if it is not a number (a bool is not)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float(default)
    return float(value)
