"""A gate goes on as it began, or not at all; and what is wrong is said before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from chaos.gate.settings import default_path, read_settings
from chaos.gate.steps import GateRequest, planned
from chaos.runner.resolve import soak_names
from tests.gate.standin import Bench, ScriptedRunner


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"profile": "full"}, "--profile"),
        ({"soaks": "c"}, "--soaks"),
        ({"faults": ("none",)}, "--fault"),
        ({"seed": 8}, "--seed"),
        ({"target": "other"}, "--target"),
        ({"sandbox": "none"}, "--sandbox"),
        ({"file": Path("other.yaml")}, "--config"),
    ],
)
def test_options_that_say_otherwise_are_refused(
    asked: dict[str, Any], said: str, bench: Bench
) -> None:
    bench.begin(ScriptedRunner())
    runner = ScriptedRunner()
    with pytest.raises(UsageError, match="the gate began with") as caught:
        bench.resume(runner, **asked)
    assert caught.value.place.startswith(said)
    assert runner.made == []


def test_options_that_say_the_same_are_fine(bench: Bench) -> None:
    bench.begin(ScriptedRunner())
    same: dict[str, Any] = {"profile": "quick", "soaks": "b,c", "seed": 7, "file": bench.file}
    assert bench.resume(ScriptedRunner(), **same) == ExitCode.PASS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cooldown_s: 0", "cooldown_s: 0, set: {soak_c: {storm_s: 90}}"),
        ("[llm_timeout]", "[llm_timeout]\n# another file, the same content"),
    ],
)
def test_a_changed_experiment_is_refused_and_a_changed_comment_is_not(
    old: str, new: str, bench: Bench
) -> None:
    bench.begin(ScriptedRunner())
    bench.file.write_text(bench.file.read_text().replace(old, new))
    if "storm_s" not in new:
        assert bench.resume(ScriptedRunner()) == ExitCode.PASS
        return
    with pytest.raises(UsageError, match="soak_c clean is not what it was when the gate began"):
        bench.resume(ScriptedRunner())


def test_another_version_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.begin(ScriptedRunner())
    monkeypatch.setattr("chaos.gate.state.__version__", "99.0")
    with pytest.raises(UsageError, match=r"was begun by chaos .*, this is 99\.0"):
        bench.resume(ScriptedRunner())


@pytest.mark.parametrize("content", ["", "{}", '{"gate_id": 3}', "null", "\x00"])
def test_a_damaged_state_is_refused(content: str, bench: Bench) -> None:
    bench.begin(ScriptedRunner())
    bench.place.state.write_text(content)
    with pytest.raises(UsageError, match="not the state of a gate"):
        bench.resume(ScriptedRunner())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--soaks", "z"], "--soaks: unknown soak 'z'"),
        (["--soaks", ","], "no soak is named"),
        (["--fault", "llm_timout"], "unknown fault 'llm_timout'"),
        (["--fault", "llm_timeout:hold=1h"], "do not fit"),
        (["--fault", "none", "--fault", "llm_timeout"], "exclude each other"),
        (["--profile", "ful"], "did you mean 'full'?"),
        (["--target", "refernce"], "did you mean 'reference'?"),
        (["--resume", "nowhere"], "no gate at 'nowhere'"),
        (["--config", "nowhere.yaml"], "cannot read the file"),
        (["--seed", "-1"], "out of range"),
    ],
)
def test_bad_input_exits_2_before_anything_is_written(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["gate", *words]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("cooldown_s: 0", "cooldown_s: -1", "profiles.quick.cooldown_s"),
        ("cooldown_s: 0", "cooldown: 0", "profiles.quick"),
        ("soaks: [soak_b, soak_c]", "soaks: []", "soaks"),
        ("cooldown_s: 0", "cooldown_s: 0, set: {soak_a: {}}", "unknown soak 'soak_a'"),
        ("cooldown_s: 0", "cooldown_s: 0, set: {soak_c: {storm: 3}}", "storm"),
    ],
)
def test_a_broken_gate_file_is_explained(
    old: str, new: str, said: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.file.write_text(bench.file.read_text().replace(old, new))
    assert main(["gate", "--config", str(bench.file), "--dry-run"]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_the_shipped_gate_has_the_plans_order_and_resolves(profile: str) -> None:
    settings = read_settings(default_path())
    assert tuple(settings.soaks) == ("soak_a", "soak_b", "soak_c")
    request = GateRequest(
        file=str(default_path()),
        profile=profile,
        soaks=settings.soaks,
        faults=settings.faults,
        seed=1,
    )
    plan = planned(request)
    assert [step.soak for step in plan.steps] == [s for s in settings.soaks for _ in range(2)]
    assert all(bool(step.schedule.items) is not step.control for step in plan.steps)
    assert len({step.digest for step in plan.steps}) == len(plan.steps)


def test_the_gate_file_is_no_soak() -> None:
    assert "gate" not in soak_names()


def test_dry_run_says_how_long_it_takes_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["gate", "--dry-run", "--seed", "3"]) == ExitCode.PASS
    assert capsys.readouterr().out.startswith("gate: 6 runs, about ")
    assert main(["gate", "--dry-run", "--seed", "3", "--json"]) == ExitCode.PASS
    content = json.loads(capsys.readouterr().out)
    assert content["request"]["seed"] == 3
    assert content["planned_s"] >= sum(step["planned_s"] for step in content["steps"])
    assert list(tmp_path.iterdir()) == []
