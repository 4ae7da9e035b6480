"""A plan is rejected at once if its workload cannot work with the target or the settings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chaos.base.errors import UsageError
from chaos.base.shipped import EXPERIMENTS
from chaos.runner.resolve import Request, resolve
from chaos.soaks import WORKLOADS


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXPERIMENTS, tmp_path / "experiments"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def refused(experiments: Path, soak: str, profile: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        resolve(Request(soak, profile=profile, seed=1, experiments=experiments))
    return caught.value


def test_the_batch_profile_has_its_own_workload_and_no_halt_criterion() -> None:
    daemon, batch = (resolve(Request("soak_b", profile=name)) for name in ("quick", "batch"))
    assert WORKLOADS[daemon.workload].daemon
    assert not WORKLOADS[batch.workload].daemon
    assert daemon.criteria.keys() - batch.criteria.keys() == {"halt"}


def test_batch_needs_the_batch_command_of_the_target(experiments: Path) -> None:
    change(experiments / "targets" / "reference.yaml", "batch:\n", "batch: null\n")
    path = experiments / "targets" / "reference.yaml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    at = lines.index("batch: null\n")
    path.write_text("".join(lines[: at + 1] + lines[at + 3 :]), encoding="utf-8")
    error = refused(experiments, "soak_b", "batch")
    assert "batch" in error.place and "batch.command" in error.next_step
    assert resolve(Request("soak_b", profile="quick", experiments=experiments)).workload


@pytest.mark.parametrize("value", ["many", "0", "-1"])
def test_a_setting_out_of_range_is_rejected(experiments: Path, value: str) -> None:
    change(experiments / "soak_a.yaml", "backlog_max: 3", f"backlog_max: {value}")
    place = refused(experiments, "soak_a", "quick").place
    assert "soak_a.yaml:22 profiles.quick.settings.backlog_max" in place


def test_an_unknown_workload_of_a_profile_names_file_and_line(experiments: Path) -> None:
    change(experiments / "soak_b.yaml", "workload: batch_requests", "workload: batch_request")
    error = refused(experiments, "soak_b", "quick")
    assert "soak_b.yaml" in error.place and "batch_requests" in error.next_step
