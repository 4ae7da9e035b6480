"""The Watcher's process is the one that its own file names: no other name, no reused PID."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.monitor.instance import FixedProcess, OwnFile, start_ticks
from chaos.record.target import Instance
from tests.waiting import wait_for

BY_TICKS = Instance(pid_file="watcher.lock", start_ticks="start_ticks")
BY_FOLDER = Instance(pid_file="watcher.lock")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose working directory is `tmp_path`; ended after the test."""
    started = subprocess.Popen(
        [sys.executable, "-c", "import threading; threading.Event().wait()"], cwd=tmp_path
    )
    yield started
    started.kill()
    started.wait()


def write(root: Path, **content: object) -> None:
    part = root / "part"
    part.write_text(json.dumps(content))
    part.replace(root / "watcher.lock")


def test_the_process_that_the_file_names_is_found(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    find = OwnFile(BY_TICKS, tmp_path)
    assert find() is None and "no such file" in find.absence_reason
    write(tmp_path, pid=process.pid, start_ticks=start_ticks(process.pid))
    assert find() == process.pid
    process.kill()
    process.wait()
    assert find() is None and "has ended" in find.absence_reason


def test_a_zombie_is_not_running(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    write(tmp_path, pid=process.pid, start_ticks=start_ticks(process.pid))
    find = OwnFile(BY_TICKS, tmp_path)
    assert find() == process.pid
    process.kill()
    wait_for("it is a zombie", lambda: start_ticks(process.pid) is None)
    assert find() is None


def test_a_reused_pid_is_not_the_watcher(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    ticks = start_ticks(process.pid)
    assert ticks is not None
    write(tmp_path, pid=process.pid, start_ticks=ticks - 1)
    find = OwnFile(BY_TICKS, tmp_path)
    assert find() is None and "belongs to another" in find.absence_reason


def test_without_a_start_time_the_process_must_work_in_the_workspace(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    write(tmp_path, pid=process.pid)
    assert OwnFile(BY_FOLDER, tmp_path)() == process.pid
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write(elsewhere, pid=process.pid)
    assert OwnFile(BY_FOLDER, elsewhere)() is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "7"}', '{"pid": -1}', "\0\0"])
def test_a_file_without_a_pid_is_explained(content: str, tmp_path: Path) -> None:
    (tmp_path / "watcher.lock").write_text(content)
    find = OwnFile(BY_TICKS, tmp_path)
    assert find() is None and "names no process" in find.absence_reason


def test_a_profile_without_a_pid_file_is_explained(tmp_path: Path) -> None:
    find = OwnFile(None, tmp_path)
    assert find() is None and "instance.pid_file" in find.absence_reason


def test_a_named_process_is_never_replaced(process: subprocess.Popen[bytes]) -> None:
    find = FixedProcess(process.pid)
    assert find() == process.pid
    process.kill()
    process.wait()
    assert find() is None and "has ended" in find.absence_reason
