"""The learning loop learns: the pool's hit rate, judged by the generator, starts low and rises."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pipeline import selfplay
from pipeline_loop import Loop

LOOPS = 8
EFFORTS = ("light", "normal", "thorough")


def _learn(loop: Loop, answers: list[tuple[str, bool]]) -> list[float]:
    """Hit rate of the pool after each learning loop; a selfplay request between two loops."""
    rates = []
    for number, (effort, promote) in enumerate(answers):
        loop.add_draws(4)
        loop.run([3, 5, 6], effort, f"learn{number}.json", promote)
        rates.append(loop.pool_hit_rate())
        stage = loop.stage(f"play{number}")
        selfplay.search(stage, 1, True, effort, f"play{number}.json")
        loop.publish(stage.out, promote)
    return rates


def _assert_rises(rates: list[float]) -> None:
    assert rates[0] <= 0.3, rates
    assert min(rates[-2:]) >= 0.9, rates
    assert len({round(rate, 1) for rate in rates}) >= 3, f"a jump is no learning: {rates}"


@pytest.mark.parametrize(
    ("effort", "promote"),
    [
        ("light", False),
        ("normal", False),
        ("thorough", True),
        pytest.param("light", True, marks=pytest.mark.long),
        pytest.param("normal", True, marks=pytest.mark.long),
        pytest.param("thorough", False, marks=pytest.mark.long),
    ],
)
def test_hit_rate_rises_whatever_the_answers(loop: Loop, effort: str, promote: bool) -> None:
    """With the same answers to all questions: low at first, near 1 at the end."""
    _assert_rises(_learn(loop, [(effort, promote)] * LOOPS))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))]
)
def test_hit_rate_rises_with_mixed_answers(loop: Loop, seed: int) -> None:
    """Three random sequences of answers."""
    rng = random.Random(seed)
    _assert_rises(_learn(loop, [(rng.choice(EFFORTS), rng.random() < 0.5) for _ in range(LOOPS)]))


@pytest.mark.parametrize(
    "true_seed", [777, *(pytest.param(seed, marks=pytest.mark.long) for seed in (54321, 250000))]
)
def test_any_true_seed_is_learned(make_loop: Callable[[int], Loop], true_seed: int) -> None:
    """Nothing is specific to the plan's seed 12345."""
    loop = make_loop(true_seed)
    rates = _learn(loop, [("normal", False)] * (LOOPS + 2))
    assert rates[0] <= 0.4, rates
    assert min(rates[-2:]) >= 0.9, rates


def test_random_draws_leave_the_hit_rate_at_chance(loop: Loop) -> None:
    """No survivor generates these draws."""
    draws = loop.history()
    rng = random.Random(5)
    for draw in draws[4000:]:
        draw["value"] = rng.randrange(1000)
    loop.write("lottery_history.json", {"draws": draws})
    loop.run([1, 2, 3], "normal", "again", promote=False)
    loop.seed = 10**6  # the next draws come from a seed outside the range
    rates = [
        loop.run([3, 5, 6], "thorough", f"l{number}", promote=True)["metrics"]["hit_rate"]
        for number in range(LOOPS)
    ]
    assert max(rates) <= 0.3, rates
    assert loop.pool_hit_rate() <= 0.3


def test_each_loop_examines_its_budget_of_new_draws(loop: Loop) -> None:
    """The budget depends on the effort, and no draw is examined twice."""
    before = loop.read("survivors_with_scores.json")["examined"]
    for number, effort in enumerate(EFFORTS):
        loop.add_draws(1)
        budget = loop.read("optimal_scorer_config.json")["budget_draws"][effort]
        loop.run([3, 5, 6], effort, f"l{number}", promote=False)
        after = loop.read("survivors_with_scores.json")["examined"]
        assert after[: len(before)] == before
        assert len(after) == len(before) + budget == len(set(after))
        before = after


def test_examined_draws_stay_bounded(loop: Loop) -> None:
    """The configuration limits their number, whatever the number of loops."""
    config = loop.read("optimal_scorer_config.json")
    loop.write("optimal_scorer_config.json", config | {"examined_draws_max": 5})
    for number in range(4):
        loop.run([3], "thorough", f"l{number}", promote=False)
    assert len(loop.read("survivors_with_scores.json")["examined"]) == 5


def test_child_processes_write_only_into_the_staging_folder(loop: Loop, tmp_path: Path) -> None:
    """With the command lines that the Watcher uses."""
    watcher = Path(sys.modules["pipeline"].__path__[0]).parent
    env = {**os.environ, "PYTHONPATH": str(watcher), "OMP_NUM_THREADS": "1"}
    loop.add_draws(4)
    before = {path: path.read_bytes() for path in loop.workspace.rglob("*") if path.is_file()}
    out = tmp_path / "staging"
    for arguments in (
        ["pipeline.run", "--steps", "3,5,6"],
        ["pipeline.selfplay", "--episodes", "2", "--policy-conditioned"],
    ):
        common = ["--out", str(out), "--effort", "light", "--request", "ch13_5004_x.json"]
        done = subprocess.run(
            [sys.executable, "-m", *arguments, *common],
            env=env,
            cwd=loop.workspace,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
    after = {path: path.read_bytes() for path in loop.workspace.rglob("*") if path.is_file()}
    assert before == after
    staged = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert [name for name in staged if not name.startswith("policy_history/")] == [
        "models/model_1.json",
        "prediction_pool.json",
        "result.json",
        "survivors_with_scores.json",
        "telemetry/learning_health_latest.json",
    ]
    assert len(staged) == 6
