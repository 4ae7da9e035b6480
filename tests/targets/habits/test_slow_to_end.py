"""A daemon with a service that takes its time to end: it writes out what it holds on SIGTERM.

Stands for an orchestrator that finishes its cycle, or a database that flushes, before it exits.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from chaos.base.deadline import Deadline
from chaos.base.shipped import IMAGES
from chaos.record.rundir import RunDir
from chaos.record.target import Target
from chaos.stack import builder
from chaos.stack.local.backend import LocalBackend
from tests.targets.habits.llm_stacks import NoAssets, read

# Ends only after `take_s`, and says then that it has done so.
PROGRAM = """
import pathlib, signal, sys, time
name, take_s = sys.argv[1:]
def end(*_):
    time.sleep(float(take_s))
    pathlib.Path("../" + name + ".flushed").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path(name).touch()
while True:
    time.sleep(600)
"""
TARGET = """
target: slow_to_end
watcher: {start: [sleep, "600"]}
work: {submit: {folder: inbox}, done: outbox/*, body: {id: "{id}"}}
services:
  flushes: {start: ["{python}", "-S", service.py, flushes, "1.2"], ready_file: flushes}
  too_late:
    start: ["{python}", "-S", service.py, too_late, "60"]
    ready_file: too_late
    stop_limit_s: 0.2
"""


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return read(tmp_path, TARGET)


def backend_of(folder: Path, target: Target) -> LocalBackend:
    run = RunDir(folder / uuid.uuid4().hex)
    run.logs.mkdir(parents=True)
    return LocalBackend(target, {}, run, NoAssets(), IMAGES, sandboxed=False)  # type: ignore[arg-type]


def test_service_has_the_time_to_end_that_the_target_says(tmp_path: Path, target: Target) -> None:
    made = backend_of(tmp_path, target)
    made._workspace.mkdir()
    (made._workspace / "service.py").write_text(PROGRAM)
    services = {n: made._program(n, spec, None) for n, spec in target.services.items()}
    made._started += services.values()  # for `down`
    for service in services.values():
        service.start()
    assert made.down() == []
    codes = {name: service.exit_code() for name, service in services.items()}
    assert codes == {"flushes": 0, "too_late": -9}
    assert [path.name for path in made._workspace.parent.glob("*.flushed")] == ["flushes.flushed"]


def test_time_to_end_is_bounded_for_each_service_and_for_all(
    tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of a service is 30 s where the target says none."""
    made = backend_of(tmp_path, target)

    def limits() -> list[float]:
        deadline = Deadline(builder._PROGRAMS_DOWN_LIMIT_S)
        return [made._down_limit_s(name, deadline) for name in target.services]

    assert limits() == [5.0, 0.2]
    monkeypatch.setattr(builder, "_PROGRAMS_DOWN_LIMIT_S", 0.0)
    assert limits() == [1.0, 0.2]
