"""Stamps of another time zone are put back onto run time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from chaos.record.open_run import OpenRun
from tests.checks.history_builder import PlantedRun, judged, not_passed


def shifted(stamp: str, ahead_s: float) -> str:
    """As a daemon writes it that knows no zones."""
    moved = datetime.fromisoformat(stamp).replace(tzinfo=None) + timedelta(seconds=ahead_s)
    return moved.isoformat(timespec="microseconds")


def shift(run: PlantedRun, ahead_s: float) -> None:
    """What the harness sampled stays; what the daemon writes moves."""
    samples = run._samples()
    run._samples = lambda: samples  # type: ignore[method-assign]
    for decision in run.decisions:
        for record in (decision, *decision["llm_calls"]):
            for key in ("started_at", "timestamp", "ended_at"):
                if key in record:
                    record[key] = shifted(record[key], ahead_s)
    for diagnosis in run.diagnostics.values():
        diagnosis["timestamp"] = shifted(diagnosis["timestamp"], ahead_s)


@pytest.mark.parametrize("ahead_s", [3600.0, -7 * 3600.0, 5.75 * 3600.0])
def test_a_daemon_that_writes_local_time_is_judged_like_any_other(
    planted: PlantedRun, ahead_s: float
) -> None:
    shift(planted, ahead_s)
    assert not_passed(judged(planted)) == {}


def test_a_single_decision_shows_the_zone(planted: PlantedRun) -> None:
    """A sweep submits one piece of work."""
    del planted.decisions[1:]
    with OpenRun(planted.write()) as run:
        meant_s = run.one("select end_s from decisions")
    shift(planted, 3600.0)
    with OpenRun(planted.write()) as run:
        assert run.one("select end_s from decisions") == pytest.approx(meant_s)


def test_stamps_that_are_off_by_no_zone_stay_as_they_are(planted: PlantedRun) -> None:
    shift(planted, 400.0)
    with OpenRun(planted.write()) as run:
        assert run.one("select min(start_s) from decisions") > 400
