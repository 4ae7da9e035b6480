"""Selfplay searches policies for real: better by back-test, reproducible, always sound to use."""

from __future__ import annotations

from typing import Any

import pytest
from pipeline import policy, selfplay
from pipeline.artefacts import Artefact
from pipeline_loop import Loop


def _play(loop: Loop, request: str, episodes: int = 2, conditioned: bool = False) -> dict[str, Any]:
    """The staged candidate."""
    stage = loop.stage(f"{request}-{conditioned}")
    result = selfplay.search(stage, episodes, conditioned, "normal", request)
    return dict(stage.read(result["candidate"]).content)


def test_the_same_request_gives_the_same_candidate(loop: Loop) -> None:
    """Invariant: id, policy and score follow from the request and the workspace alone."""
    first, second = _play(loop, "a.json"), _play(loop, "a.json", conditioned=True)
    assert {**first, "created_at": ""} == {**second, "created_at": ""}


def test_other_requests_give_other_candidates(loop: Loop) -> None:
    """Invariant: ids are unique per request, also where the readable part is the same."""
    names = ["a.json", "a!.json", "a?.json", "b.json", "x" * 250, "x" * 251]
    assert len({selfplay.candidate_name(name) for name in names}) == len(names)
    assert all(len(selfplay.candidate_name(name)) < 120 for name in names)


def test_the_search_never_ends_below_where_it_began_and_usually_above(loop: Loop) -> None:
    """Invariant: score >= baseline_score always; over several requests it really improves."""
    found = [_play(loop, f"r{number}.json") for number in range(4)]
    assert all(one["score"] >= one["baseline_score"] for one in found)
    assert sum(one["score"] > one["baseline_score"] for one in found) >= 2


def test_more_episodes_search_further(loop: Loop) -> None:
    """Invariant: episodes are work, not a label."""
    few, many = _play(loop, "r.json", 1), _play(loop, "r.json", 6, conditioned=True)
    assert many["score"] > few["score"]
    assert (few["episodes"], many["episodes"]) == (1, 6)


def test_candidates_stay_inside_the_bounds(loop: Loop) -> None:
    """Invariant: what selfplay emits is always accepted by whoever reads a policy."""
    for number in range(5):
        content = _play(loop, f"r{number}.json", 5)
        policy.from_artefact(Artefact("candidate", content), "x")


def test_conditioned_selfplay_starts_from_the_learned_policy(loop: Loop) -> None:
    """Invariant: --policy-conditioned is obeyed, and its absence too."""
    loop.write("learned_policy_candidate.json", _play(loop, "first.json", 4))
    learned = loop.read("learned_policy_candidate.json")["candidate_id"]
    assert _play(loop, "second.json", conditioned=True)["parent"] == learned
    assert _play(loop, "second.json", conditioned=False)["parent"] == "default"


@pytest.mark.parametrize("width", [policy.POOL_WIDTH_MIN, policy.POOL_WIDTH_MAX])
def test_the_learned_policy_is_really_used(loop: Loop, width: int) -> None:
    """Invariant: scores and pool follow the learned policy."""
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


def test_the_pool_has_the_next_draws_and_distinct_values(loop: Loop) -> None:
    """Invariant: ten draws from the next one on, at most 20 distinct values 0..999 each."""
    loop.run([3, 5, 6], "normal", "r.json", promote=False)
    pool = loop.read("prediction_pool.json")
    assert [entry["draw_index"] for entry in pool["predictions"]] == list(range(5000, 5010))
    for entry in pool["predictions"]:
        assert len(set(entry["values"])) == len(entry["values"]) <= 20
        assert all(0 <= value < 1000 for value in entry["values"])
    assert (pool["history_length"], pool["model_version"]) == (5000, 1)
