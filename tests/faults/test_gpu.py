"""The GPU kinds with a stand-in for the driver (standin_gpu/driver.c), or with none.

Their effect on a real GPU can only be tested on a machine with one. Here all else is tested: the
process that allocates, the look of a new process through NVML and CUDA, the mount over the node.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import noop_twin, parse_params
from chaos.faults.gpu import look
from chaos.faults.gpu.gpu_lost import GpuLost
from chaos.faults.gpu.gpu_memory_taken import GpuMemoryTaken
from chaos.faults.params import Value
from chaos.faults.registry import kinds_of
from chaos.stack.base import Stack
from tests.faults.standin_gpu.library import build

KINDS = kinds_of("gpu")

REPO = Path(__file__).resolve().parents[2]
STACK = cast(
    Stack, SimpleNamespace(sandboxed=True, can_mount=True)
)  # all that these kinds ask of a stack


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in driver, found by every process that is started from here."""
    build(tmp_path, monkeypatch)
    monkeypatch.setattr(look, "DEV", tmp_path / "dev")
    return tmp_path


def taken(kind: type[GpuMemoryTaken] = GpuMemoryTaken, **raw: Value) -> GpuMemoryTaken:
    return kind("f001", parse_params(kind, raw, place="test"))


def test_held_gpu_memory_is_proven_and_freed(gpu: Path) -> None:
    fault = taken(mb=2048)
    assert fault.available(STACK) is None
    fault.undo_record(STACK)
    fault.inject(STACK)
    try:
        effect = fault.effect(STACK, Deadline(20))
        assert effect.proven, effect.measured
        assert (effect.measured["seen_by"], effect.measured["used_mb"]) == ("process", 2048.0)
        assert not fault.recovered(STACK, Deadline(1)).proven
    finally:
        fault.recover(STACK)
    fault.recover(STACK)  # twice: undoing is idempotent
    assert fault.recovered(STACK, Deadline(20)).proven


def test_effect_is_unproven_without_the_process(gpu: Path) -> None:
    """Also if another process allocates as much meanwhile."""
    twin = taken(cast(type[GpuMemoryTaken], noop_twin(GpuMemoryTaken)), mb=1024)
    twin.undo_record(STACK)
    twin.inject(STACK)
    (gpu / "1").write_text(str(2 << 30))
    assert not twin.effect(STACK, Deadline(2)).proven


def test_effect_is_unproven_after_the_end_of_the_process(gpu: Path) -> None:
    fault = taken()
    record = fault.undo_record(STACK)
    fault.inject(STACK)
    fault.undo(record)  # by its mark, as after a crash of the harness
    assert fault._holder is not None
    fault._holder.wait(30)
    assert not fault.effect(STACK, Deadline(1)).proven
    fault.recover(STACK)


def test_too_much_memory_and_an_unknown_gpu_are_unavailable(gpu: Path) -> None:
    assert "are free" in str(taken(mb=100_000).available(STACK))
    assert "does not list GPU 3" in str(taken(device=3).available(STACK))
    with pytest.raises(EnvironmentProblem, match="CUDA error 2"):
        taken(mb=100_000).inject(STACK)


@pytest.mark.stack
def test_a_lost_gpu_is_proven_by_new_processes_and_recovers(gpu: Path) -> None:
    argv = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-m"]
    done = subprocess.run(
        [*argv, "tests.faults.standin_gpu.lose"],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "twin available": None,
        "twin effect": False,
        "twin recovered": True,
        "twin sampled": ["gpu_units"],
        "fault available": None,
        "fault effect": True,
        "no early recovery": True,
        "fault recovered": True,
        "fault sampled": ["gpu_lost", "gpu_back"],
    }


def test_gpu_lost_is_unavailable_without_a_mount_namespace(gpu: Path) -> None:
    fault = GpuLost("f001", parse_params(GpuLost, {}, place="test"))
    outside = cast(Stack, SimpleNamespace(sandboxed=False))
    assert "without the sandbox" in str(fault.available(outside))
    pod = cast(Stack, SimpleNamespace(sandboxed=True, can_mount=False))
    assert "containers" in str(fault.available(pod))


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_gpu_the_kinds_are_unavailable(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "DEV", tmp_path)
    assert "there is no NVIDIA GPU here" in str(kind.available_here())
    fault = kind("f001", parse_params(kind, {}, place="test"))
    assert "there is no NVIDIA GPU here" in str(fault.available(STACK))
