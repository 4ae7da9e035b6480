"""Chapter 13: each trigger fires on exactly the right draws, also across a restart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from agents.diagnostics import (
    DEFAULT_TRIGGERS,
    diagnose,
    digit_chi_square,
    evaluate_triggers,
)
from prng_registry import java_lcg

VALUES = [raw % 1000 for raw in java_lcg(12345, 5200)]


def _follow(count: int, hit_from: int = 0, hit_until: int = 10**9) -> list[dict[str, Any]]:
    """Diagnostics of the first draws after the bootstrap, with hits from `hit_from` on."""
    states: list[dict[str, Any]] = []
    previous = None
    for place in range(count):
        index = 5000 + place
        right = hit_from <= place < hit_until
        predicted = [VALUES[index] if right else (VALUES[index] + 1) % 1000]
        pool = {"predictions": [{"draw_index": index, "values": predicted}]}
        previous = diagnose(VALUES, index, pool, previous)
        states.append(previous)
    return states


def _fired(states: list[dict[str, Any]], **overrides: Any) -> list[list[str]]:
    thresholds = {**DEFAULT_TRIGGERS, **overrides}
    return [
        [trigger["trigger"] for trigger in evaluate_triggers(state, 5000 + place, thresholds)]
        for place, state in enumerate(states)
    ]


def test_learning_fires_every_fourth_and_selfplay_every_fifth_draw() -> None:
    """On no other draw, over 40 draws."""
    for place, names in enumerate(_fired(_follow(40)), start=1):
        expected = ["selfplay_interval"] * (place % 5 == 0) + ["learning_interval"] * (
            place % 4 == 0
        )
        assert names == expected


def test_a_restart_changes_nothing() -> None:
    """All state is in `previous`, and survives JSON."""
    whole = _follow(30, hit_until=15)
    previous = json.loads(json.dumps(whole[16]))
    predicted = [(VALUES[5017] + 1) % 1000]
    pool = {"predictions": [{"draw_index": 5017, "values": predicted}]}
    assert diagnose(VALUES, 5017, pool, previous) == whole[17]


def test_a_drop_of_the_hit_rate_fires_once_when_it_crosses_the_threshold() -> None:
    """A rate that stays low fires nothing."""
    states = _follow(40, hit_until=12)
    fired = _fired(states, learning_every_draws=0, selfplay_every_draws=0)
    assert [place for place, names in enumerate(fired) if names] == [15]
    assert fired[15] == ["hit_rate_drop"]


def test_a_rising_hit_rate_fires_nothing() -> None:
    fired = _fired(_follow(40, hit_from=10), learning_every_draws=0, selfplay_every_draws=0)
    assert not any(fired)


def test_biased_digits_fire_and_fair_ones_do_not() -> None:
    """5200 fair draws never fire the digit trigger. A planted bias fires it once."""
    fair = max(digit_chi_square(VALUES[at - 200 : at]) for at in range(200, len(VALUES)))
    assert fair < DEFAULT_TRIGGERS["digit_chi_square_max"]
    biased = [*VALUES[:5000], *([777] * 60)]
    previous, fired = None, []
    for index in range(5000, 5060):
        previous = diagnose(biased, index, None, previous)
        names = [t["trigger"] for t in evaluate_triggers(previous, index, DEFAULT_TRIGGERS)]
        fired += [name for name in names if name == "digit_bias"]
    assert fired == ["digit_bias"]


def test_two_reasons_for_one_request_type_make_one_request() -> None:
    """The first reason is kept: a threshold that was crossed comes before an interval."""
    state = {"draws_diagnosed": 20, "hit_rate_drop": 0.9, "hit_rate_drop_before": 0.0}
    triggers = evaluate_triggers(state, 5019, DEFAULT_TRIGGERS)
    assert [trigger["request_type"] for trigger in triggers] == ["selfplay", "learning_loop"]
    assert triggers[1]["trigger"] == "hit_rate_drop"


def test_requests_have_the_parameters_of_the_contract() -> None:
    """Selfplay has `episodes` and `policy_conditioned`; a learning loop has `scope`."""
    selfplay, learning = evaluate_triggers({"draws_diagnosed": 20}, 1, {"selfplay_episodes": 3})
    assert selfplay["parameters"] == {"episodes": 3, "policy_conditioned": True}
    assert learning["parameters"] == {"scope": "steps_3_5_6"}
    assert "20 draws" in learning["reason"]


@pytest.mark.parametrize(
    "thresholds", [{}, {"learning_every_draws": "soon"}, {"learning_every_draws": None}]
)
def test_missing_or_invalid_thresholds_mean_the_defaults(thresholds: dict[str, Any]) -> None:
    """A mistake in the policies does not turn a trigger off."""
    assert len(evaluate_triggers({"draws_diagnosed": 20}, 1, thresholds)) == 2


@pytest.mark.parametrize(
    "pool",
    [None, {}, {"predictions": 3}, {"predictions": [1, None, {"draw_index": 7}]}],
)
def test_no_prediction_is_not_a_miss(pool: dict[str, Any] | None) -> None:
    """Without a prediction for the draw, `hit` is None and the rate does not change."""
    before = _follow(10)[-1]
    state = diagnose(VALUES, 5010, pool, before)
    assert state["hit"] is None
    assert state["recent_hits"] == before["recent_hits"]


def test_a_hit_has_a_rank_from_1_and_a_wrong_prediction_is_a_miss() -> None:
    pool = {"predictions": [{"draw_index": 5000, "values": [1, 2, VALUES[5000]]}]}
    state = diagnose(VALUES, 5000, pool, None)
    assert (state["hit"], state["hit_rank"]) == (True, 3)
    pool["predictions"][0]["values"] = [1, 2]
    assert diagnose(VALUES, 5000, pool, None)["hit"] is False


def test_diagnostics_do_not_import_numpy() -> None:
    """The daemon must stay light."""
    watcher = Path(sys.modules["agents"].__path__[0]).parent
    code = "import sys, agents.diagnostics, prng_registry; sys.exit('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=watcher, timeout=30)
    assert done.returncode == 0
