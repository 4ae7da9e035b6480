"""Batch mode: commands run in sequence until the queue is empty, with a timeout and a maximum.

The commands are real processes that stand for the Watcher's `--process-requests`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from chaos.base.deadline import Deadline
from chaos.soaks.batch_requests import BatchRequests
from chaos.stack.process import LocalService, Surroundings
from tests.soaks.ground import ClockedHistory, Ground, OneService
from tests.waiting import wait_for

ARCHIVES_FOUR = "cd watcher_requests; for f in $(ls *.json | head -4); do mv $f archive/; done"
LIMIT_S = 10.0
Begin = Callable[..., BatchRequests]


@pytest.fixture
def begin(ground: Ground) -> Iterator[Begin]:
    """`begin(script, limit_s=, invocations=)` -> the started workload. Its process is ended."""
    services: list[LocalService] = []

    def make(script: str, *, limit_s: float = 60.0, invocations: int = 9) -> BatchRequests:
        assert ground.target.batch is not None
        batch = replace(ground.target.batch, limit_s=limit_s)
        where = Surroundings(ground.workspace, dict(os.environ))
        log = ground.workspace / "watcher.log"
        services.append(LocalService("watcher", ["sh", "-c", script], where, log))
        settings = {"batch_invocations_max": invocations}
        workload = BatchRequests(replace(ground.target, batch=batch), settings, ground.history)
        workload.stage(ground.workspace)
        workload.start(OneService(ground.workspace, services[0]))
        return workload

    yield make
    for service in services:
        service.stop(1.0)


def until(workload: BatchRequests, over: Callable[[], bool]) -> None:
    """Tick the workload until `over`."""

    def look() -> bool:
        if over():
            return True
        workload.tick()
        return False

    wait_for("the workload has come so far", look)


def test_commands_run_in_sequence_until_the_queue_is_empty(begin: Begin, ground: Ground) -> None:
    workload = begin(ARCHIVES_FOUR)
    until(workload, workload.done)
    ops = ground.ops("batch")
    assert [op.outcome for op in ops] == ["ok"] * 3
    assert [op.detail["waiting_before"] for op in ops] == [10, 6, 2]
    assert [op.detail["exit_code"] for op in ops] == [0] * 3
    assert len(list(ground.archive.iterdir())) == 10
    workload.finish(Deadline(5.0))
    assert ground.events("drained")[0].detail["in_time"] is True
    assert ground.events("watcher_exit") == []


def test_a_command_that_does_nothing_is_repeated_at_most_invocations_max_times(
    begin: Begin, ground: Ground
) -> None:
    workload = begin("true", invocations=3)
    until(workload, lambda: len(ground.ops("batch")) == 3)
    for _ in range(5):
        workload.tick()
    workload.finish(Deadline(0.1))
    assert len(ground.ops("batch")) == 3
    drained = ground.events("drained")[0].detail
    assert (drained["pending"], drained["in_time"]) == (10, False)


def test_a_failed_command_is_recorded_as_a_watcher_exit(begin: Begin, ground: Ground) -> None:
    workload = begin("exit 3", invocations=1)
    until(workload, lambda: bool(ground.ops("batch")))
    assert ground.ops("batch")[0].outcome == "fail"
    (died,) = ground.events("watcher_exit")
    assert (died.owner, died.detail["exit_code"]) == ("product", 3)


def test_a_command_that_exceeds_its_timeout_is_stopped(
    begin: Begin, ground: Ground, clock: ClockedHistory
) -> None:
    workload = begin("exec sleep 600", limit_s=30.0, invocations=1)
    workload.tick()
    assert ground.ops("batch") == []
    clock.clock_s = 31.0
    workload.tick()
    (op,) = ground.ops("batch")
    assert (op.outcome, op.detail["in_time"]) == ("fail", False)
    assert op.detail["exit_code"] < 0, "ended by a signal"


def test_no_command_starts_after_abort(begin: Begin, ground: Ground) -> None:
    workload = begin("true")
    workload.abort()
    for _ in range(5):
        workload.tick()
    assert ground.ops("batch") == []
