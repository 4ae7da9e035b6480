"""Run directories: unique, found again, and `latest` names the newest."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.errors import ChaosError, UsageError
from chaos.rundir import create, find


def test_latest_points_at_the_newest_run(tmp_path: Path) -> None:
    first = create(tmp_path, "soak_c", 1)
    second = create(tmp_path, "soak_c", 1)
    assert first.path != second.path
    assert (tmp_path / "soak_c" / "latest").resolve() == second.path.resolve()


def test_a_run_is_found_by_path_and_by_latest(tmp_path: Path) -> None:
    run = create(tmp_path, "soak_c", 1)
    run.write_json(run.config, {})
    for reference in (
        str(run.path),
        "latest",
        "soak_c",
        "soak_c/latest",
        f"soak_c/{run.path.name}",
    ):
        assert find(reference, tmp_path).path == run.path.resolve(), reference


def test_an_unknown_run_is_a_usage_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run"):
        find("latest", tmp_path)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ChaosError, match="cannot create") as caught:
        create(blocked, "soak_c", 1)
    assert "--runs" in caught.value.next_step


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    run = create(tmp_path, "soak_c", 1)
    run.config.write_text("{")
    with pytest.raises(ChaosError, match="config"):
        run.read_json(run.config)
