"""The model is trained, and an overfitted one is rejected."""

from __future__ import annotations

import numpy as np
from pipeline import evidence, model
from pipeline.policy import WEIGHT_MAX, WEIGHT_MIN, Policy
from pipeline_loop import Loop
from prng_registry import java_lcg

LOW, HIGH = (WEIGHT_MIN, WEIGHT_MIN), (WEIGHT_MAX, WEIGHT_MAX)


def _world(survivors: int, draws: int, seed: int) -> evidence.Matches:
    """Random matches of false survivors. Survivor 0 is the true seed, and always matches."""
    rng = np.random.default_rng(seed)
    match_table = rng.integers(0, 2, size=(2, survivors, draws)).astype(np.float64)
    match_table[:, 0, :] = 1.0
    return match_table


def test_the_gradient_equals_finite_differences_of_the_loss() -> None:
    match_table, ages = _world(40, 9, 1), np.ones(9)
    _, gradient = model.training_loss((0.3, 0.2), match_table, ages)
    step = 1e-5
    for lane in range(2):
        up, down = [0.3, 0.2], [0.3, 0.2]
        up[lane] += step
        down[lane] -= step
        rise, _ = model.training_loss(tuple(up), match_table, ages)
        fall, _ = model.training_loss(tuple(down), match_table, ages)
        assert abs((rise - fall) / (2 * step) - gradient[lane]) < 1e-4


def test_training_lowers_the_loss() -> None:
    """The evidence is reliable, so training raises the weights."""
    match_table, ages = _world(200, 24, 2), np.ones(24)
    trained = model.train(LOW, LOW, match_table, ages, 40)
    before, _ = model.training_loss(LOW, match_table, ages)
    after, _ = model.training_loss(trained, match_table, ages)
    assert after < before
    assert min(trained) > WEIGHT_MIN


def test_a_model_that_is_better_on_the_holdout_is_accepted() -> None:
    match_table, held, ages = _world(200, 12, 3), _world(200, 20, 4), np.ones(12)
    decision = model.choose(LOW, HIGH, match_table, ages, held)
    assert decision.accepted
    assert decision.weights == HIGH
    assert decision.holdout_loss < decision.previous_holdout_loss


def test_an_overfitted_model_is_rejected() -> None:
    """The weights fit the examined draws but not the hold-out.

    Planted: survivor 7 matches all examined draws by chance, and is wrong on the hold-out.
    """
    match_table, held, ages = _world(200, 12, 5), _world(200, 20, 6), np.ones(12)
    match_table[:, 0, :] = _world(200, 12, 7)[:, 1, :]
    match_table[:, 7, :] = 1.0
    held[:, 7, :] = 0.0
    overfit = model.train(LOW, LOW, match_table, ages, 40)
    assert (
        model.training_loss(overfit, match_table, ages)[0]
        < model.training_loss(LOW, match_table, ages)[0]
    )
    decision = model.choose(LOW, overfit, match_table, ages, held)
    assert not decision.accepted
    assert decision.weights == LOW
    assert "hold-out loss rose" in decision.reason


def test_step_5_keeps_the_previous_weights_if_the_new_ones_overfit(loop: Loop) -> None:
    """The step records the rejection, still counts a model, and the pool is still predicted.

    Planted: the held-out draws are the opposite of what the examined draws make likely.
    """
    for number in range(6):
        loop.run([3], "thorough", f"s{number}", promote=False)
    weights = {"parity": WEIGHT_MIN, "band": WEIGHT_MIN}
    loop.write("models/champion.json", {"weights": weights})
    draws = loop.history()
    for draw in draws[-20:]:
        draw["value"] = 999 - draw["value"]  # other half, other parity
    loop.write("lottery_history.json", {"draws": draws})
    result = loop.run([5, 6], "thorough", "overfit.json", promote=False)
    kept = loop.read("models/model_1.json")
    assert result["metrics"]["accepted"] is False
    assert kept["weights"] == weights
    assert kept["trained_weights"] != weights
    assert loop.read("telemetry/learning_health_latest.json")["total_models"] == 1
    assert len(loop.read("prediction_pool.json")["predictions"]) == 10


def test_the_champions_weights_win_over_the_newest_models(loop: Loop) -> None:
    """Without a champion the newest model's weights are used."""
    stage = loop.stage("look")
    assert model.current_weights(stage, Policy()) == Policy().lane_weights
    for number, weight in ((9, 0.3), (10, 0.35)):
        loop.write(f"models/model_{number}.json", {"weights": {"parity": weight, "band": weight}})
    assert model.current_weights(stage, Policy()) == (0.35, 0.35)
    loop.write("models/champion.json", {"weights": {"parity": 0.2, "band": 0.2}})
    assert model.current_weights(stage, Policy()) == (0.2, 0.2)


def test_more_evidence_makes_the_true_seed_more_credible() -> None:
    """Its share rises with every doubling of the evidence, with the lowest weights."""
    draws = np.array([raw % 1000 for raw in java_lcg(12345, 400)])
    seeds = np.arange(12000, 12600)
    shares = []
    for count in (10, 20, 40, 80, 160):
        examined = np.arange(count)
        match_table = evidence.matches(seeds, draws, examined, 1000)
        logits = evidence.credibility(match_table, LOW, evidence.ages(examined, 1.0))
        shares.append(float(evidence.shares(logits)[345]))
    assert shares == sorted(shares)
    assert shares[-1] > 0.9


def test_equally_credible_survivors_share_the_pool_fairly() -> None:
    """Without evidence a survivor is in the pool in about width/survivors of all draws."""
    seeds = np.arange(1000, 1200)
    places = sum(
        java_lcg(1000, 1, skip=index)[0] % 1000
        in evidence.ranked_values(seeds, np.zeros(200), index, 20, 1000)
        for index in range(1000)
    )
    assert 60 < places < 180  # 100 expected, and about 20 more by equal values of other seeds
