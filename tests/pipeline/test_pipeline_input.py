"""Bad input: one line that names the artefact, a non-zero exit code, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pipeline import run, selfplay
from pipeline_loop import Loop

NEEDED = [
    "lottery_history.json",
    "optimal_window_config.json",
    "survivors_with_scores.json",
    "optimal_scorer_config.json",
]
CORRUPTIONS = {
    "missing": None,
    "empty": b"",
    "torn": b'{"draws": [{"value": 1}, {"va',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "array": b"[1, 2]",
    "wrong shape": b'{"draws": {}, "survivors": 3, "budget_draws": null}',
    "NUL": b"\0" * 64,
}

MADE_AGAIN = {("survivors_with_scores.json", "missing"), ("optimal_scorer_config.json", "missing")}
"""Step 3 makes these from bidirectional_survivors.json if they are missing."""


def _corrupt(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


CASES = [(name, kind) for name in NEEDED for kind in CORRUPTIONS if (name, kind) not in MADE_AGAIN]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_bad_artefact_is_named_and_nothing_is_staged(
    loop: Loop, name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, one line with the artefact's name, an empty staging folder."""
    _corrupt(loop.workspace / name, CORRUPTIONS[kind])
    out = loop.workspace / "work" / "bad"
    assert run.main(["--steps", "3,5,6", "--out", str(out), "--request", "r.json"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert name in lines[0]
    assert list(out.iterdir()) == []


def test_scoring_starts_from_the_sieve_if_there_are_no_scores(loop: Loop) -> None:
    """Steps 1,2 and 3 can run in separate calls. Without any survivors step 3 fails."""
    (loop.workspace / "survivors_with_scores.json").unlink()
    (loop.workspace / "optimal_scorer_config.json").unlink()
    assert run.main(["--steps", "3", "--out", "work/a"]) == 0
    (loop.workspace / "bidirectional_survivors.json").unlink()
    assert run.main(["--steps", "3", "--out", "work/b"]) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("models/champion.json", {"weights": {"parity": -5, "band": 0.3}}),
        ("learned_policy_candidate.json", {"candidate_id": "c", "policy": {"decay": 7}}),
        ("telemetry/learning_health_latest.json", {"total_models": "many"}),
    ],
)
def test_values_out_of_bounds_are_rejected(
    loop: Loop, name: str, content: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the artefact."""
    loop.write(name, content)
    assert run.main(["--steps", "3,5,6", "--out", "work/bad", "--request", "r.json"]) == 1
    assert name in capsys.readouterr().err


def test_selfplay_rejects_bad_input(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    (loop.workspace / "survivors_with_scores.json").write_text("{")
    assert selfplay.main(["--episodes", "1", "--out", "work/bad"]) == 1
    assert "survivors_with_scores.json" in capsys.readouterr().err


@pytest.mark.parametrize("steps", ["0", "7", "3,2", "3,3", "", "a", "1;2"])
def test_invalid_steps_are_a_usage_error(loop: Loop, steps: str) -> None:
    """Exit code 2 before anything is read."""
    with pytest.raises(SystemExit) as stopped:
        run.main(["--steps", steps, "--out", "work/x"])
    assert stopped.value.code == 2
    assert not (loop.workspace / "work" / "x").exists()


@pytest.mark.parametrize("steps", ["1", "2,3", "3", "4", "5", "6", "4,5,6", "3,6", "1,2,3,4,5,6"])
def test_any_ascending_subset_of_steps_runs(loop: Loop, steps: str) -> None:
    """Each step reads its input from the steps before it or from the workspace."""
    assert run.main(["--steps", steps, "--out", "work/sub", "--request", "r.json"]) == 0
    result = json.loads((loop.workspace / "work/sub/result.json").read_text())
    assert ",".join(str(step["step"]) for step in result["steps"]) == steps


def test_the_workspace_is_rejected_as_staging_folder(
    loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong --out must not overwrite or empty the workspace."""
    assert run.main(["--steps", "3", "--out", "."]) == 1
    assert "--out" in capsys.readouterr().err
    assert (loop.workspace / "lottery_history.json").exists()


def test_telemetry_counts_models_and_stays_bounded(loop: Loop) -> None:
    """total_models = previous + 1; the history of rates has at most 50 entries."""
    loop.write(
        "telemetry/learning_health_latest.json",
        {"total_models": 70, "hit_rate_history": [0.5] * 70},
    )
    loop.run([5], "light", "r.json", promote=False)
    telemetry = loop.read("telemetry/learning_health_latest.json")
    assert telemetry["total_models"] == 71
    assert telemetry["last_request"] == "r.json"
    assert telemetry["timestamp"].endswith("+00:00")
    assert len(telemetry["hit_rate_history"]) == 50
    assert telemetry["hit_rate_history"][-1] == telemetry["hit_rate"]
