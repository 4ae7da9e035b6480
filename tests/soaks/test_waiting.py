"""When the queue counts as drained."""

from __future__ import annotations

import pytest

from chaos.base.deadline import Deadline
from chaos.soaks import waiting
from tests.soaks.ground import Ground


@pytest.mark.parametrize(("quiet_s", "looks"), [(0.0, 3), (0.5, 9)])
def test_queue_is_drained_once_it_was_empty_for_long_enough(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, quiet_s: float, looks: int
) -> None:
    """Work may still come of the last event, at the next look of whoever makes it."""
    monkeypatch.setattr(waiting, "_POLL_S", 0.1)
    seen = iter([[], [], [], ["late"], *([[]] * 20)])
    waiting.drain(lambda: next(seen), ground.history, Deadline(20), quiet_s)
    assert ground.events("drained")[0].detail["in_time"]
    assert 24 - len(list(seen)) == looks


def test_draw_history_that_does_not_exist_yet_is_empty(ground: Ground) -> None:
    (ground.workspace / ground.target.source("draws").path).unlink()
    assert waiting.read_draws(ground.workspace, ground.target) == []
