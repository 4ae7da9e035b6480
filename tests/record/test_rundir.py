"""Run directories: unique, found again, and `latest` names the newest."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from chaos.base.errors import ChaosError, UsageError
from chaos.base.exitcode import ExitCode
from chaos.record.rundir import create, find, write_atomic


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


def test_a_place_that_takes_no_folder_is_a_wrong_one(tmp_path: Path) -> None:
    """/proc stands for a file system that has no folders of ours."""
    blocked = tmp_path / "file"
    blocked.touch()
    for place in (blocked, Path("/proc/x")):
        with pytest.raises(UsageError, match="cannot create") as caught:
            create(place, "soak_c", 1)
        assert caught.value.next_step == "name another folder with --runs DIR"


def test_a_full_disk_is_no_wrong_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC at the first folder stands for a full disk."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(ChaosError, match="cannot create") as caught:
        create(tmp_path, "soak_c", 1)
    assert caught.value.exit_code == ExitCode.INVALID
    assert "free some space" in caught.value.next_step


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    run = create(tmp_path, "soak_c", 1)
    run.config.write_text("{")
    with pytest.raises(ChaosError, match="config"):
        run.read_json(run.config)


def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    """A FIFO stands for a device: as root, a rename over it would take it from the machine."""
    fifo, folder, file = tmp_path / "fifo", tmp_path / "folder", tmp_path / "file"
    os.mkfifo(fifo)
    folder.mkdir()
    file.write_text("old")
    for path in (fifo, folder):
        with pytest.raises(OSError):
            write_atomic(path, "new")
    write_atomic(file, "new")
    assert stat.S_ISFIFO(fifo.stat().st_mode) and folder.is_dir()
    assert file.read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "file", "folder"]


def test_a_write_that_fails_leaves_no_part_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC at the sync stands for a full disk."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "file"
    file.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        write_atomic(file, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "old"
