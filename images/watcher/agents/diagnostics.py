"""Chapter 13: what a new draw says about the predictions, and which requests follow from it.

For: the daemon, once per new draw. Pure functions, standard library only.
Must not know: files, clocks, the queue, the LLM. All memory is in `previous`, the diagnostics of
the draw before, so a restarted daemon goes on exactly where the last one stopped.

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
"""Draws with a prediction that the recent hit rate is taken over."""

DIGIT_WINDOW_DRAWS = 200
"""Newest draws that the digit test is taken over."""

DIGITS = 3


def diagnose(
    values: Sequence[int],
    draw_index: int,
    pool: Mapping[str, Any] | None,
    previous: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Facts about draw `draw_index` (0-based), ready for JSON.

    `values`: the history's values from draw 0 to at least `draw_index`. `pool`: the content of
    prediction_pool.json, or None. `previous`: what this returned for the draw before, or None.
    `hit` is True, False, or None when the pool says nothing about this draw. Rates are 0..1.
    Raises `IndexError` when `values` does not reach `draw_index`.
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
    """Chi-square statistic of the three decimal digits against uniform, 27 degrees of freedom.

    0.0 for no values. A fair generator stays near 27; above 75 the digits are no longer fair.
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
    """Requests that `diagnostics` call for: at most one per request type, selfplay first.

    `thresholds`: overrides of `DEFAULT_TRIGGERS`; what is absent or not a number there has its
    default. An interval of 0 turns that trigger off. The hit-rate and digit triggers fire on the
    draw that crosses the threshold and not again until they were below it, so a lasting bad
    state does not flood the queue.
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
    found: list[tuple[str, str, str]] = []
    if _crossed(diagnostics, "hit_rate_drop", limits["hit_rate_drop"]):
        drop = _number(diagnostics.get("hit_rate_drop"))
        reason = f"hit rate fell by {drop:.2f} at draw {draw_index}"
        found.append(("hit_rate_drop", "learning_loop", reason))
    if _crossed(diagnostics, "digit_chi_square", limits["digit_chi_square_max"]):
        statistic = _number(diagnostics.get("digit_chi_square"))
        reason = f"digit chi-square {statistic:.1f} at draw {draw_index}"
        found.append(("digit_bias", "learning_loop", reason))
    seen = int(_number(diagnostics.get("draws_diagnosed")))
    for name, request_type in (("learning", "learning_loop"), ("selfplay", "selfplay")):
        every = int(limits[f"{name}_every_draws"])
        if every > 0 and seen > 0 and seen % every == 0:
            reason = f"{seen} draws diagnosed, every {every}"
            found.append((f"{name}_interval", request_type, reason))
    return found


def _crossed(diagnostics: Mapping[str, Any], name: str, limit: float) -> bool:
    now = _number(diagnostics.get(name))
    before = _number(diagnostics.get(f"{name}_before"))
    return now >= limit > before


def _parameters(request_type: str, limits: Mapping[str, float]) -> dict[str, Any]:
    if request_type == "selfplay":
        return {"episodes": max(1, int(limits["selfplay_episodes"])), "policy_conditioned": True}
    return {"scope": "steps_3_5_6"}


def _judge(
    pool: Mapping[str, Any] | None, draw_index: int, value: int
) -> tuple[bool | None, int | None]:
    """(did the pool have the value, its 1-based rank); (None, None) without a prediction."""
    for prediction in _list((pool or {}).get("predictions")):
        if isinstance(prediction, Mapping) and prediction.get("draw_index") == draw_index:
            predicted = _list(prediction.get("values"))
            return (True, predicted.index(value) + 1) if value in predicted else (False, None)
    return None, None


def _list(found: object) -> list[Any]:
    return list(found) if isinstance(found, list | tuple) else []


def _number(found: object, default: float = 0.0) -> float:
    """`found` as a number; `default` for anything else, true and false included."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return float(default)
    return float(found)
