"""A gate resumes only with an unchanged request, and mistakes are reported before any run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from chaos.gate.request import GateRequest
from chaos.gate.settings import default_path, read_settings
from chaos.gate.steps import plan_gate
from chaos.runner.resolve import soak_names
from tests.gate.standin import Bench, ScriptedRunner


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "full"}, "--profile"),
        ({"soaks": "c"}, "--soaks"),
        ({"fault": ("none",)}, "--fault"),
        ({"seed": 8}, "--seed"),
        ({"target": "other"}, "--target"),
        ({"sandbox": "none"}, "--sandbox"),
        ({"witness": "none"}, "--witness"),
        ({"config": Path("other.yaml")}, "--config"),
    ],
)
def test_resuming_with_another_option_is_rejected(
    options: dict[str, Any], message: str, bench: Bench
) -> None:
    bench.begin(ScriptedRunner())
    runner = ScriptedRunner()
    with pytest.raises(UsageError, match="the gate began with") as caught:
        bench.resume(runner, **options)
    assert caught.value.place.startswith(message)
    assert runner.made == []


def test_resuming_with_the_same_options_is_accepted(bench: Bench) -> None:
    bench.begin(ScriptedRunner())
    same: dict[str, Any] = {"profile": "quick", "soaks": "b,c", "seed": 7, "config": bench.file}
    assert bench.resume(ScriptedRunner(), **same) == ExitCode.PASS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cooldown_s: 0", "cooldown_s: 0, set: {soak_c: {storm_s: 90}}"),
        ("[llm_timeout]", "[llm_timeout]\n# another file, the same content"),
    ],
)
def test_a_changed_experiment_is_rejected_and_a_changed_comment_is_not(
    old: str, new: str, bench: Bench
) -> None:
    bench.begin(ScriptedRunner())
    bench.file.write_text(bench.file.read_text().replace(old, new))
    if "storm_s" not in new:
        assert bench.resume(ScriptedRunner()) == ExitCode.PASS
        return
    with pytest.raises(UsageError, match="soak_c clean is not what it was when the gate began"):
        bench.resume(ScriptedRunner())


def test_resuming_with_another_version_is_rejected(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.begin(ScriptedRunner())
    monkeypatch.setattr("chaos.record.state_folder.__version__", "99.0")
    with pytest.raises(UsageError, match=r"was begun by chaos .*, this is 99\.0"):
        bench.resume(ScriptedRunner())


@pytest.mark.parametrize("content", ["", "{}", '{"gate_id": 3}', "null", "\x00"])
def test_a_damaged_state_is_rejected(content: str, bench: Bench) -> None:
    bench.begin(ScriptedRunner())
    bench.folder.state.write_text(content)
    with pytest.raises(UsageError, match="not the state of a gate"):
        bench.resume(ScriptedRunner())


@pytest.mark.parametrize(
    ("words", "message"),
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
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["gate", *words]) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cooldown_s: 0", "cooldown_s: -1", "profiles.quick.cooldown_s"),
        ("cooldown_s: 0", "cooldown: 0", "profiles.quick"),
        ("soaks: [soak_b, soak_c]", "soaks: []", "soaks"),
        ("cooldown_s: 0", "cooldown_s: 0, set: {soak_a: {}}", "unknown soak 'soak_a'"),
        ("cooldown_s: 0", "cooldown_s: 0, set: {soak_c: {storm: 3}}", "storm"),
    ],
)
def test_a_mistake_in_the_gate_file_is_explained(
    old: str, new: str, message: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.file.write_text(bench.file.read_text().replace(old, new))
    assert main(["gate", "--config", str(bench.file), "--dry-run"]) == ExitCode.USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_the_shipped_gate_file_resolves_in_the_order_of_the_plan(profile: str) -> None:
    settings = read_settings(default_path())
    assert tuple(settings.soaks) == ("soak_a", "soak_b", "soak_c")
    request = GateRequest(
        file=str(default_path()),
        profile=profile,
        soaks=settings.soaks,
        faults=settings.faults,
        seed=1,
    )
    plan = plan_gate(request)
    assert [step.soak for step in plan.steps] == [s for s in settings.soaks for _ in range(2)]
    assert all(bool(step.schedule.items) is not step.control for step in plan.steps)
    assert len({step.digest for step in plan.steps}) == len(plan.steps)


def test_the_gate_file_is_not_listed_as_a_soak() -> None:
    assert "gate" not in soak_names()


def test_dry_run_prints_the_duration_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["gate", "--dry-run", "--seed", "3"]) == ExitCode.PASS
    assert capsys.readouterr().out.startswith("gate: 6 runs and a crash sweep, about ")
    assert main(["gate", "--dry-run", "--seed", "3", "--json"]) == ExitCode.PASS
    content = json.loads(capsys.readouterr().out)
    assert content["request"]["seed"] == 3
    assert content["planned_s"] >= sum(step["planned_s"] for step in content["steps"])
    assert list(tmp_path.iterdir()) == []
