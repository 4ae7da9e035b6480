"""A daemon that writes a PID file of plain text: a number alone, as most daemons do.

Stands for a Watcher whose `--stop` sends a signal to the process that `watcher.pid` names.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from chaos.faults.base import parse_params
from chaos.faults.process.second import _owner
from chaos.faults.queue.queue_stale_lock import QueueStaleLock
from chaos.monitor.instance import OwnFile
from chaos.record.pid_file import named_process, plain_pid
from chaos.record.target import Instance
from chaos.runner.resolve import read_target
from chaos.stack.base import Stack
from chaos.targets.check import errors_in
from tests.waiting import wait_for

DAEMON = """
import os, pathlib, time
pathlib.Path("watcher.pid").write_text(f"{os.getpid()}\\n")
time.sleep(600)
"""
PLAIN = Instance(pid_file="watcher.pid", pid="")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-S", "-c", DAEMON], cwd=tmp_path) as process:
        wait_for("its file", lambda: (tmp_path / "watcher.pid").exists())
        wait_for("its number", lambda: (tmp_path / "watcher.pid").read_text().strip())
        yield process.pid
        process.kill()


@pytest.mark.parametrize("instance", [PLAIN, Instance(pid_file="watcher.pid")])
def test_process_is_found_by_the_number_in_its_file(
    daemon: int, tmp_path: Path, instance: Instance
) -> None:
    """Also where the target says nothing of the file's form."""
    assert OwnFile(instance, tmp_path)() == daemon


def test_file_with_something_else_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "watcher.pid").write_text('{"pid": 1}')
    find = OwnFile(PLAIN, tmp_path)
    assert find() is None and "not a number alone" in find.absence_reason


@pytest.mark.parametrize(
    ("content", "pid"),
    [
        (b"12", 12),
        (b" 12\n", 12),
        (b"0", None),
        (b"-3", None),
        (b"12 x", None),
        (b"9" * 5000, None),
        (b"", None),
    ],
)
def test_only_a_number_alone_is_a_pid(content: bytes, pid: int | None) -> None:
    assert plain_pid(content) == pid
    assert named_process(content, PLAIN) == (pid, None)


@pytest.mark.parametrize("how", ["dead_pid", "reused_pid"])
def test_stale_lock_has_the_form_of_the_daemons_own(daemon: int, tmp_path: Path, how: str) -> None:
    """And it is recognized as stale, or as the new daemon's."""
    alive: dict[str, Any] = {"watcher": daemon, "proxy": 1}
    target = replace(read_target("reference")[1], instance=PLAIN)

    def service(name: str) -> Any:
        return SimpleNamespace(pid=lambda: alive[name], kill=lambda: alive.update({name: None}))

    stack = cast(Stack, SimpleNamespace(target=target, workspace=tmp_path, service=service))
    fault = QueueStaleLock("f1", parse_params(QueueStaleLock, {"how": how}, place="test"))
    assert _owner(stack) == daemon
    fault.undo_record(stack)
    assert fault._lock_now(stack)["names_the_watcher"]
    fault.inject(stack)
    named = daemon if how == "dead_pid" else 1
    assert (tmp_path / "watcher.pid").read_text() == f"{named}\n"
    now = fault._lock_now(stack)
    assert now["readable"] and now["pid"] == named and not now["names_the_watcher"]


def test_number_alone_has_no_start_time(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "target: mine\nwatcher: {start: [x]}\n"
        "work: {submit: {folder: q}, done: o/*, body: {a: 1}}\n"
        "instance: {pid_file: w.pid, pid: '', start_ticks: t}\n"
    )
    assert any("instance.start_ticks" in error.place for error in errors_in(str(path))[2])
