"""Chapter 13: does the right thing fire, exactly when it should, also across a restart?"""

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
    """Diagnostics of the first draws after the bootstrap; hits between the two positions."""
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


def test_learning_every_fourth_and_selfplay_every_fifth_draw() -> None:
    """Invariant: the intervals fire on their draws and on no other, over 40 draws."""
    for place, names in enumerate(_fired(_follow(40)), start=1):
        expected = ["selfplay_interval"] * (place % 5 == 0) + ["learning_interval"] * (
            place % 4 == 0
        )
        assert names == expected


def test_a_restart_changes_nothing() -> None:
    """Invariant: all memory is in `previous`, and survives being written as JSON."""
    whole = _follow(30, hit_until=15)
    previous = json.loads(json.dumps(whole[16]))
    predicted = [(VALUES[5017] + 1) % 1000]
    pool = {"predictions": [{"draw_index": 5017, "values": predicted}]}
    assert diagnose(VALUES, 5017, pool, previous) == whole[17]


def test_a_fall_of_the_hit_rate_fires_once_when_it_crosses() -> None:
    """Invariant: one learning loop at the crossing, none for staying low; again after recovery."""
    states = _follow(40, hit_until=12)
    fired = _fired(states, learning_every_draws=0, selfplay_every_draws=0)
    assert [place for place, names in enumerate(fired) if names] == [15]
    assert fired[15] == ["hit_rate_drop"]


def test_a_rising_hit_rate_fires_nothing() -> None:
    """Invariant: getting better is no reason for alarm."""
    fired = _fired(_follow(40, hit_from=10), learning_every_draws=0, selfplay_every_draws=0)
    assert not any(fired)


def test_biased_digits_fire_and_fair_ones_do_not() -> None:
    """Invariant: 5200 fair draws never fire the digit trigger, a planted bias does, once."""
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
    """Invariant: never two triggers of a type on one draw; the more telling reason is kept."""
    state = {"draws_diagnosed": 20, "hit_rate_drop": 0.9, "hit_rate_drop_before": 0.0}
    triggers = evaluate_triggers(state, 5019, DEFAULT_TRIGGERS)
    assert [trigger["request_type"] for trigger in triggers] == ["selfplay", "learning_loop"]
    assert triggers[1]["trigger"] == "hit_rate_drop"


def test_parameters_are_the_contracts() -> None:
    """Invariant: selfplay has episodes and policy_conditioned, a learning loop its scope."""
    selfplay, learning = evaluate_triggers({"draws_diagnosed": 20}, 1, {"selfplay_episodes": 3})
    assert selfplay["parameters"] == {"episodes": 3, "policy_conditioned": True}
    assert learning["parameters"] == {"scope": "steps_3_5_6"}
    assert "20 draws" in learning["reason"]


@pytest.mark.parametrize(
    "thresholds", [{}, {"learning_every_draws": "soon"}, {"learning_every_draws": None}]
)
def test_odd_thresholds_mean_the_defaults(thresholds: dict[str, Any]) -> None:
    """Invariant: a slip in the policies does not silence a trigger."""
    assert len(evaluate_triggers({"draws_diagnosed": 20}, 1, thresholds)) == 2


@pytest.mark.parametrize(
    "pool",
    [None, {}, {"predictions": 3}, {"predictions": [1, None, {"draw_index": 7}]}],
)
def test_no_prediction_is_not_a_miss(pool: dict[str, Any] | None) -> None:
    """Invariant: hit is None, and the rate unmoved, when the pool says nothing of the draw."""
    before = _follow(10)[-1]
    state = diagnose(VALUES, 5010, pool, before)
    assert state["hit"] is None
    assert state["recent_hits"] == before["recent_hits"]


def test_hits_misses_and_ranks() -> None:
    """Invariant: rank counts from 1; a prediction without the value is a miss."""
    pool = {"predictions": [{"draw_index": 5000, "values": [1, 2, VALUES[5000]]}]}
    state = diagnose(VALUES, 5000, pool, None)
    assert (state["hit"], state["hit_rank"]) == (True, 3)
    pool["predictions"][0]["values"] = [1, 2]
    assert diagnose(VALUES, 5000, pool, None)["hit"] is False


def test_the_daemon_stays_light() -> None:
    """Invariant: diagnostics bring no NumPy into the process that imports them."""
    watcher = Path(sys.modules["agents"].__path__[0]).parent
    code = "import sys, agents.diagnostics, prng_registry; sys.exit('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=watcher, timeout=30)
    assert done.returncode == 0
