"""The model is trained for real, and what overfits is refused."""

from __future__ import annotations

import numpy as np
from pipeline import evidence, model
from pipeline.policy import WEIGHT_MAX, WEIGHT_MIN, Policy
from pipeline_loop import Loop
from prng_registry import java_lcg

LOW, HIGH = (WEIGHT_MIN, WEIGHT_MIN), (WEIGHT_MAX, WEIGHT_MAX)


def _world(survivors: int, draws: int, seed: int) -> evidence.Matches:
    """Coin-toss matches of false survivors; survivor 0 is the true one and matches always."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 2, size=(2, survivors, draws)).astype(np.float64)
    found[:, 0, :] = 1.0
    return found


def test_the_gradient_is_that_of_the_loss() -> None:
    """Invariant: the analytic gradient equals finite differences."""
    found, ages = _world(40, 9, 1), np.ones(9)
    _, gradient = model.training_loss((0.3, 0.2), found, ages)
    step = 1e-5
    for lane in range(2):
        up, down = [0.3, 0.2], [0.3, 0.2]
        up[lane] += step
        down[lane] -= step
        rise, _ = model.training_loss(tuple(up), found, ages)
        fall, _ = model.training_loss(tuple(down), found, ages)
        assert abs((rise - fall) / (2 * step) - gradient[lane]) < 1e-4


def test_training_lowers_the_loss() -> None:
    """Invariant: where evidence is trustworthy, training trusts it more."""
    found, ages = _world(200, 24, 2), np.ones(24)
    trained = model.train(LOW, LOW, found, ages, 40)
    before, _ = model.training_loss(LOW, found, ages)
    after, _ = model.training_loss(trained, found, ages)
    assert after < before
    assert min(trained) > WEIGHT_MIN


def test_a_model_that_helps_on_the_holdout_is_accepted() -> None:
    """Invariant: the check lets a better model pass."""
    found, held, ages = _world(200, 12, 3), _world(200, 20, 4), np.ones(12)
    decision = model.choose(LOW, HIGH, found, ages, held)
    assert decision.accepted
    assert decision.weights == HIGH
    assert decision.holdout_loss < decision.previous_holdout_loss


def test_an_overfit_model_is_refused() -> None:
    """Invariant: weights that fit the examined draws but not the hold-out are not put in force.

    Planted: survivor 7 matched all examined draws by luck and is wrong on the hold-out.
    """
    found, held, ages = _world(200, 12, 5), _world(200, 20, 6), np.ones(12)
    found[:, 0, :] = _world(200, 12, 7)[:, 1, :]
    found[:, 7, :] = 1.0
    held[:, 7, :] = 0.0
    overfit = model.train(LOW, LOW, found, ages, 40)
    assert model.training_loss(overfit, found, ages)[0] < model.training_loss(LOW, found, ages)[0]
    decision = model.choose(LOW, overfit, found, ages, held)
    assert not decision.accepted
    assert decision.weights == LOW
    assert "hold-out loss rose" in decision.reason


def test_step_5_keeps_the_previous_model_when_the_new_one_overfits(loop: Loop) -> None:
    """Invariant: the whole step refuses, says so, still counts a model, and goes on predicting.

    Planted: the held-out draws are made by the opposite of what the examined draws made likely.
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


def test_the_champion_comes_before_the_newest_model(loop: Loop) -> None:
    """Invariant: promotion is obeyed; without a champion the newest model is in force."""
    stage = loop.stage("look")
    assert model.current_weights(stage, Policy()) == Policy().lane_weights
    for number, weight in ((9, 0.3), (10, 0.35)):
        loop.write(f"models/model_{number}.json", {"weights": {"parity": weight, "band": weight}})
    assert model.current_weights(stage, Policy()) == (0.35, 0.35)
    loop.write("models/champion.json", {"weights": {"parity": 0.2, "band": 0.2}})
    assert model.current_weights(stage, Policy()) == (0.2, 0.2)


def test_the_true_seed_is_never_less_credible_for_more_evidence() -> None:
    """Invariant: its share rises with every doubling of the evidence (weights at their least)."""
    draws = np.array([raw % 1000 for raw in java_lcg(12345, 400)])
    seeds = np.arange(12000, 12600)
    shares = []
    for count in (10, 20, 40, 80, 160):
        examined = np.arange(count)
        found = evidence.matches(seeds, draws, examined, 1000)
        logits = evidence.credibility(found, LOW, evidence.ages(examined, 1.0))
        shares.append(float(evidence.shares(logits)[345]))
    assert shares == sorted(shares)
    assert shares[-1] > 0.9


def test_equally_credible_survivors_share_the_places_fairly() -> None:
    """Invariant: with no evidence a survivor is in the pool about width/survivors of the time."""
    seeds = np.arange(1000, 1200)
    places = sum(
        java_lcg(1000, 1, skip=index)[0] % 1000
        in evidence.ranked_values(seeds, np.zeros(200), index, 20, 1000)
        for index in range(1000)
    )
    assert 60 < places < 180  # 100 by fairness, about 20 more by equal values of other seeds
