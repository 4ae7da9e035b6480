"""When the queue counts as drained."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from typing import Any

import pytest

from chaos.base.deadline import Deadline
from chaos.soaks import waiting
from tests.soaks.ground import Ground


@pytest.mark.parametrize(("quiet_s", "looks"), [(0.0, 3), (0.5, 9)])
def test_queue_is_drained_once_it_was_empty_for_long_enough(
    ground: Ground, quiet_s: float, looks: int
) -> None:
    """Work may still come of the last event, at the next look of whoever makes it."""
    seen = iter([[], [], [], ["late"], *([[]] * 20)])
    waiting.drain(lambda: next(seen), ground.history, Deadline(20), quiet_s, poll_s=0.1)
    assert ground.events("drained")[0].detail["in_time"]
    assert 24 - len(list(seen)) == looks


def drained(
    ground: Ground, looks: Iterable[list[str]], limit_s: float, poll_s: float
) -> dict[str, Any]:
    """What is recorded of a queue that is seen so, look by look."""
    seen = iter(looks)
    waiting.drain(lambda: next(seen), ground.history, Deadline(limit_s), poll_s=poll_s)
    return ground.events("drained")[0].detail


def test_slow_daemon_is_given_the_time_as_long_as_it_finishes_requests(ground: Ground) -> None:
    """Each request takes most of the limit, all of them three times as long."""
    queue = [["a", "b", "c", "d"][number:] for number in range(5) for _ in range(6)]
    assert drained(ground, queue, 1.0, 0.1)["in_time"]


def test_request_that_comes_back_is_no_progress(ground: Ground) -> None:
    looks = itertools.cycle([["again", "stuck"], ["stuck"]])
    assert not drained(ground, looks, 0.3, 0.05)["in_time"]


def test_progress_does_not_last_for_ever(ground: Ground) -> None:
    """Work that makes new work: each look shows another request."""
    begin_s = time.monotonic()
    assert not drained(ground, ([str(number)] for number in itertools.count()), 0.1, 0.02)[
        "in_time"
    ]
    assert time.monotonic() - begin_s >= 0.4, "four times the limit were given"


def test_draw_history_that_does_not_exist_yet_is_empty(ground: Ground) -> None:
    (ground.workspace / ground.target.source("draws").path).unlink()
    assert waiting.read_draws(ground.workspace, ground.target) == []
