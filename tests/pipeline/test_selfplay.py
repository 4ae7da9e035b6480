"""Selfplay finds policies that are better by back-test, reproducible, and inside the bounds."""

from __future__ import annotations

from typing import Any

import pytest
from pipeline import policy, selfplay
from pipeline.artefacts import Artefact
from pipeline_loop import Loop


def _play(loop: Loop, request: str, episodes: int = 2, conditioned: bool = False) -> dict[str, Any]:
    """Run selfplay, and return the staged candidate."""
    stage = loop.stage(f"{request}-{conditioned}")
    result = selfplay.search(stage, episodes, conditioned, "normal", request)
    return dict(stage.read(result["candidate"]).content)


def test_the_same_request_gives_the_same_candidate(loop: Loop) -> None:
    """Id, policy and score depend only on the request's name and the workspace."""
    first, second = _play(loop, "a.json"), _play(loop, "a.json", conditioned=True)
    assert {**first, "created_at": ""} == {**second, "created_at": ""}


def test_candidate_ids_are_unique_per_request(loop: Loop) -> None:
    """Also if the readable part of the id is the same."""
    names = ["a.json", "a!.json", "a?.json", "b.json", "x" * 250, "x" * 251]
    assert len({selfplay.candidate_name(name) for name in names}) == len(names)
    assert all(len(selfplay.candidate_name(name)) < 120 for name in names)


def test_the_score_is_never_below_the_baseline_and_often_above(loop: Loop) -> None:
    results = [_play(loop, f"r{number}.json") for number in range(4)]
    assert all(result["score"] >= result["baseline_score"] for result in results)
    assert sum(result["score"] > result["baseline_score"] for result in results) >= 2


def test_more_episodes_reach_a_higher_score(loop: Loop) -> None:
    few, many = _play(loop, "r.json", 1), _play(loop, "r.json", 6, conditioned=True)
    assert many["score"] > few["score"]
    assert (few["episodes"], many["episodes"]) == (1, 6)


def test_candidates_stay_inside_the_bounds(loop: Loop) -> None:
    """Every reader of a policy accepts a candidate."""
    for number in range(5):
        content = _play(loop, f"r{number}.json", 5)
        policy.from_artefact(Artefact("candidate", content), "x")


def test_conditioned_selfplay_starts_from_the_learned_policy(loop: Loop) -> None:
    """Without `conditioned` it starts from the default policy."""
    loop.write("learned_policy_candidate.json", _play(loop, "first.json", 4))
    learned = loop.read("learned_policy_candidate.json")["candidate_id"]
    assert _play(loop, "second.json", conditioned=True)["parent"] == learned
    assert _play(loop, "second.json", conditioned=False)["parent"] == "default"


@pytest.mark.parametrize("width", [policy.POOL_WIDTH_MIN, policy.POOL_WIDTH_MAX])
def test_scores_and_pool_use_the_learned_policy(loop: Loop, width: int) -> None:
    base = loop.read("survivors_with_scores.json")["survivors"]
    learned = policy.clipped((policy.WEIGHT_MAX, policy.WEIGHT_MIN), 0.98, width, "mine")
    loop.write(
        "learned_policy_candidate.json", {"candidate_id": "mine", "policy": learned.to_json()}
    )
    loop.run([3, 6], "normal", "r.json", promote=False)
    pool = loop.read("prediction_pool.json")
    assert pool["policy"] == loop.read("survivors_with_scores.json")["policy"] == "mine"
    assert {len(entry["values"]) for entry in pool["predictions"]} == {width}
    assert loop.read("survivors_with_scores.json")["survivors"] != base


def test_the_pool_predicts_the_next_ten_draws_with_distinct_values(loop: Loop) -> None:
    """At most 20 values per draw, each in 0..999."""
    loop.run([3, 5, 6], "normal", "r.json", promote=False)
    pool = loop.read("prediction_pool.json")
    assert [entry["draw_index"] for entry in pool["predictions"]] == list(range(5000, 5010))
    for entry in pool["predictions"]:
        assert len(set(entry["values"])) == len(entry["values"]) <= 20
        assert all(0 <= value < 1000 for value in entry["values"])
    assert (pool["history_length"], pool["model_version"]) == (5000, 1)
