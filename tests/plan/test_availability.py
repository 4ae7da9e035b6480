"""Faults that cannot be injected in a run: refused with the reason, or left out and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from chaos.faults.gpu import look
from chaos.faults.registry import our_kinds
from chaos.plan.plan import Plan
from chaos.plan.schedule import draw
from chaos.runner.judge import judge
from chaos.runner.resolve import resolve
from tests.checks.history_builder import PlantedRun
from tests.examples.cases import EXAMPLES
from tests.plan.test_plan import asked, refused

MINIMAL = str(EXAMPLES / "minimal" / "target.yaml")

TWO_PROGRAMS = """
target: two_programs
watcher: {start: [sleep, "600"]}
services: {orchestrator: {start: [sleep, "600"]}}
links: {prices: {endpoint: "127.0.0.1:9101", upstream: "127.0.0.1:9102", probe: /health}}
work: {submit: {folder: inbox}, done: outbox/*, body: {id: "{id}"}}
"""


@pytest.fixture(autouse=True)
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a GPU; a file `nvidia0` in it stands for one."""
    (tmp_path / "dev").mkdir()
    monkeypatch.setattr(look, "DEV", tmp_path / "dev")
    return tmp_path / "dev"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"faults": ["gpu_lost"]}, "gpu_lost: there is no NVIDIA GPU here"),
        ({"pool": ["all"]}, "gpu_lost, gpu_memory_taken: there is no NVIDIA GPU here"),
        ({"faults": ["queue_unreadable:how=mode_0"]}, "the right to read any file"),
        ({"soak": "soak_b", "faults": ["injector_killed"]}, "the injector does not run"),
        ({"faults": ["injector_killed"], "target": MINIMAL}, "the target has no injector"),
        (
            {"soak": "soak_b", "profile": "batch", "faults": ["watcher_paused"]},
            "the Watcher is a batch command",
        ),
        ({"faults": ["syscall_error"], "witness": "none"}, "this run has no witness"),
        ({"pool": ["disk"], "sandbox": "none"}, "disk_full, disk_log_flood, disk_pressure: "),
        ({"faults": ["disk_readonly"], "backend": "docker"}, "containers have mounts"),
        ({"faults": ["watcher_clock_jump"], "backend": "docker"}, "no container has a clock"),
        ({"faults": ["disk_pressure:leave=1000"]}, "the fault leaves as much"),
    ],
    ids=str,
)
def test_a_fault_that_cannot_be_injected_is_refused_with_the_reason(
    changes: dict[str, Any], reason: str
) -> None:
    error = refused(**changes)
    assert error.place == ("--faults" if "pool" in changes else "--fault")
    assert "cannot be injected in this run:" in str(error) and reason in str(error)
    assert "--skip-unavailable" in error.next_step


def test_a_gpu_is_in_reach_of_containers_only_if_they_are_given_it(dev: Path) -> None:
    (dev / "nvidia0").touch()
    resolve(asked(faults=["gpu_lost"]))
    assert "add --gpu" in str(refused(faults=["gpu_memory_taken"], backend="docker"))
    resolve(asked(faults=["gpu_memory_taken"], backend="docker", gpu=True))
    assert "the right to mount" in str(refused(faults=["gpu_lost"], backend="docker", gpu=True))


def test_every_kind_is_available_in_some_run(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with all that a kind may need: nothing is refused there."""
    (dev / "nvidia0").touch()
    for kind in our_kinds().values():
        if kind.group != "gpu":
            monkeypatch.setattr(kind, "available_here", classmethod(lambda _: None))
    plan = resolve(asked(pool=["all"]))
    assert not [fault.name for fault in plan.faults if fault.left_out]


def test_skipping_leaves_out_and_keeps_the_schedule(dev: Path) -> None:
    wanted = asked(faults=["llm_timeout", "gpu_lost"], skip_unavailable=True)
    left_out = resolve(wanted)
    assert [fault.name for fault in left_out.faults if fault.left_out] == ["gpu_lost"]
    assert "--skip-unavailable" in left_out.reproduce
    assert Plan.from_json(json.loads(json.dumps(left_out.to_json()))) == left_out
    (dev / "nvidia0").touch()
    there = resolve(wanted)
    assert not [fault for fault in there.faults if fault.left_out]
    assert draw(left_out) == draw(there), "the schedule depends on no machine"


def test_what_a_left_out_fault_needs_is_not_started() -> None:
    words = {"faults": ["syscall_slow", "llm_timeout"], "witness": "none"}
    assert resolve(asked(**words, skip_unavailable=True)).needs == frozenset()
    there = resolve(
        asked(faults=["watcher_clock_jump", "llm_timeout"], backend="docker", skip_unavailable=True)
    )
    assert "clock" not in there.needs


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize(
    ("fault", "message", "step"),
    [
        ("watcher_killed:service=orchestratr", "service of the target", "orchestrator"),
        ("watcher_paused:service=nobody", "service of the target", "known: orchestrator, watcher"),
        ("llm_reset:link=db", "link of the target", "known: prices"),
    ],
)
def test_name_that_the_target_lacks_is_refused_and_never_left_out(
    fault: str, message: str, step: str, skip: bool, tmp_path: Path
) -> None:
    """It is a mistake on any machine."""
    target = tmp_path / "mine.yaml"
    target.write_text(TWO_PROGRAMS)
    faults = ["llm_timeout", fault]
    error = refused(soak="soak_b", target=str(target), faults=faults, skip_unavailable=skip)
    assert error.exit_code == ExitCode.USAGE
    kind, _, given = fault.partition(":")
    parameter, _, name = given.partition("=")
    assert (error.place, error.message) == (
        f"--fault {kind}:{parameter}",
        f"unknown {message} {name!r}",
    )
    assert step in error.next_step


def test_nothing_left_is_refused() -> None:
    assert "no fault is left: gpu_lost" in str(refused(faults=["gpu_lost"], skip_unavailable=True))


@pytest.mark.parametrize("command", [["run", "soak_c"], ["gate"]])
def test_commands_refuse_at_the_start_and_name_what_they_leave_out(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*command, "--fault", "llm_timeout", "--fault", "gpu_lost", "--seed", "1"]
    words += ["--runs", str(tmp_path / "runs")]
    for dry in ([], ["--dry-run"]):
        assert main([*words, *dry]) == ExitCode.USAGE
        assert "gpu_lost: there is no NVIDIA GPU here" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert main([*words, "--dry-run", "--skip-unavailable"]) == ExitCode.PASS
    out = capsys.readouterr().out
    assert "left out (--skip-unavailable): gpu_lost: there is no NVIDIA GPU here" in out
    assert main([*words, "--dry-run", "--skip-unavailable", "--json"]) == ExitCode.PASS
    assert "there is no NVIDIA GPU here" in capsys.readouterr().out


def test_the_verdict_names_what_was_left_out(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run").write()
    config = run.read_json(run.config)
    config["faults"].append({"name": "gpu_lost", "params": {}, "left_out": "there is no GPU"})
    run.write_json(run.config, config)
    note = "Left out (--skip-unavailable): gpu_lost: there is no GPU."
    assert note in judge(run).notes
    assert "there is no GPU" in run.report.read_text(encoding="utf-8")
