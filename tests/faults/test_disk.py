"""The disk kinds: proven only where they act, and never on the host's disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.stopping import StopSignal
from chaos.faults.base import Fault, parse_params
from chaos.faults.disk.disk_log_flood import DiskLogFlood
from chaos.faults.disk.disk_readonly import DiskReadonly
from chaos.faults.disk.filling import DiskPressure
from chaos.faults.disk.volume import free_bytes, write_and_sync
from chaos.faults.lifecycle import Occurrence
from chaos.faults.llm_tcp.no_answer import LLMTimeout
from chaos.faults.registry import fault_kind, kinds_of
from chaos.record.history import FaultState
from chaos.runner.run import Run
from chaos.sandbox.guardian import MODE_VARIABLE
from chaos.sandbox.read_only import cover
from chaos.stack.base import Stack
from tests.faults.disk_on_volume import SCENARIOS, make
from tests.faults.disk_stack import VolumeStack

KINDS = kinds_of("disk")

# With the first process of its own process table all others end: a scenario leaves none behind.
NAMESPACE = [
    *("unshare", "--user", "--map-root-user", "--mount", "--pid"),
    *("--fork", "--kill-child", "--mount-proc"),
]


@pytest.mark.stack
@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_disk_fault_on_a_real_volume(tmp_path: Path, repo: Path, scenario: str) -> None:
    """Each scenario of disk_on_volume.py; its docstring says what must hold."""
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "tests.faults.disk_on_volume", str(tmp_path), scenario],
        # What the guardian says of namespaces that it made: these were made by unshare.
        env={**os.environ, MODE_VARIABLE: "namespaces"},
        cwd=repo,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_plain_folder_is_unavailable_and_inject_refuses_it(
    tmp_path: Path, kind: type[Fault]
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    stack = cast(Stack, VolumeStack(workspace, size_mb=256))
    fault = make(kind)
    assert "not a volume of its own" in str(fault.available(stack))
    assert "--sandbox none" in str(fault.available(stack))
    with pytest.raises(EnvironmentProblem, match="not a volume of its own"):
        fault.inject(stack)
    assert not list(workspace.iterdir())


def test_read_only_is_unavailable_without_a_mount_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(MODE_VARIABLE, raising=False)
    stack = cast(Stack, VolumeStack(tmp_path, size_mb=256, sandboxed=False))
    assert "no mount namespace" in str(make(DiskReadonly).available(stack))
    with pytest.raises(EnvironmentProblem, match="mount namespace"):
        cover(tmp_path)


def test_read_only_is_unavailable_in_containers(tmp_path: Path) -> None:
    """A mount in one container has no effect in the others."""
    inside = VolumeStack(tmp_path, size_mb=256)
    inside.can_mount = False
    assert "containers" in str(make(DiskReadonly).available(cast(Stack, inside)))


def test_a_failed_write_reports_the_error(tmp_path: Path) -> None:
    done = write_and_sync(tmp_path / "probe", 100_000)
    assert done.ok and done.asked_bytes == 100_000
    assert write_and_sync(tmp_path / "nowhere" / "probe").outcome == "ENOENT"
    assert not list(tmp_path.iterdir())
    assert free_bytes(tmp_path) > 0


@pytest.mark.parametrize(
    ("kind", "raw"),
    [(DiskPressure, {"leave": 0}), (DiskPressure, {"leave": "much"}), (DiskLogFlood, {"rate": 0})],
)
def test_invalid_parameters_are_refused(kind: type[Fault], raw: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        parse_params(kind, dict(raw), place="--fault")


def test_the_kinds_are_registered() -> None:
    for kind in KINDS:
        assert fault_kind(kind.name) is kind
        assert kind.name.startswith("disk_")
        assert kind.group == "disk"


def test_a_probe_is_submitted_before_a_disk_fault_and_during_other_faults() -> None:
    """While the volume is full no request can be submitted, and an idle Watcher shows no effect."""
    asked: list[tuple[str, bool]] = []

    class Workload:
        """Stands for a workload: notes what it is told."""

        def on_fault(self, fault_id: str, *, active: bool) -> None:
            """Note it."""
            asked.append((fault_id, active))

    run = object.__new__(Run)
    run.stop, run._workload = StopSignal(), cast(Any, Workload())
    for kind in (DiskPressure, LLMTimeout):
        occurrence = Occurrence(kind.name, make(kind), 0.0, 1.0)
        for state in ("armed", "injected", "effect_proven", "recovered", "closed"):
            run._on_fault_state(occurrence, cast(FaultState, state))
    before, active, after = (DiskPressure.name, True), (DiskPressure.name, True), False
    assert asked[:3] == [before, active, (DiskPressure.name, after)]
    assert asked[3:] == [(LLMTimeout.name, True), (LLMTimeout.name, False)]
