"""The path "Disk space exhaustion" is taken when the volume refused writes to a Watcher at work."""

from __future__ import annotations

from datetime import datetime

import pytest

from chaos.checks.paths_taken import paths_of
from chaos.record import recovery_paths as paths
from chaos.record.open_run import OpenRun
from tests.checks.history_builder import EPOCH_S, STORM_S, PlantedRun, iso, judged_by

VOLUME_BYTES = 256 << 20
POOL, TELEMETRY = "prediction_pool.json", "telemetry/learning_health_latest.json"
FULL, HALF = 0.999 * VOLUME_BYTES, 0.5 * VOLUME_BYTES


@pytest.fixture
def disk_faults(planted: PlantedRun) -> PlantedRun:
    """The same run, but what struck twice was the disk: full while it held."""
    for record in planted.records:
        if record["kind"] == "fault":
            record["name"] = "disk_full"
    for item in planted.schedule["items"]:
        item["name"] = "disk_full"
    named = {"triage": paths.DISK_EXHAUSTION, "reconnection": paths.WORK_RESUMES}
    planted.add_event(STORM_S, "fault_paths", paths={"disk_full": named})
    _volume(planted, FULL)
    return planted


def _at(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp() - EPOCH_S


def _volume(run: PlantedRun, used_bytes: float) -> None:
    run.signals["disk.workspace_used_bytes"] = lambda t_s, done: (
        used_bytes if any(a <= t_s <= b for a, b in run.cuts) else 15e6
    )


def _triage(run: PlantedRun) -> list[bool]:
    return [p.taken for p in paths_of(OpenRun(run.write())) if p.role == "triage"]


def _idle_in_second(run: PlantedRun) -> None:
    start_s, end_s = run.cuts[1]

    run.decisions = [
        d
        for d in run.decisions
        if _at(d["timestamp"]) < start_s - 1 or _at(d["started_at"]) > end_s + 1
    ]


def test_a_full_volume_is_met_by_a_watcher_at_work(disk_faults: PlantedRun) -> None:
    assert _triage(disk_faults) == [True, True]


def test_a_volume_with_room_is_no_full_disk(disk_faults: PlantedRun) -> None:
    _volume(disk_faults, HALF)
    assert _triage(disk_faults) == [False, False]


def test_writes_that_were_refused_count_as_well(disk_faults: PlantedRun) -> None:
    """A read-only volume has room, and takes nothing."""
    _volume(disk_faults, HALF)
    for record in disk_faults.records:
        if record.get("state") == "effect_proven":
            record["evidence"]["writes_refused"] = "EROFS"
    assert _triage(disk_faults) == [True, True]


def test_an_idle_watcher_has_not_met_it(disk_faults: PlantedRun) -> None:
    _idle_in_second(disk_faults)
    assert _triage(disk_faults) == [True, False]


def _publish_late(run: PlantedRun, delay_s: float) -> None:
    """What was published around the first fault comes `delay_s` after it."""
    start_s, end_s = run.cuts[0]
    for path in (POOL, TELEMETRY):
        first, *others = [r for r in run.artefacts(path) if start_s < r["t_s"] < end_s + 20]
        first["t_s"] = end_s + delay_s
        run.records = [r for r in run.records if r not in others]


@pytest.fixture
def held_up(disk_faults: PlantedRun) -> PlantedRun:
    """One learning dispatch, decided while the first fault held; no other one near."""
    start_s, end_s = disk_faults.cuts[0]
    dispatch = next(
        d
        for d in disk_faults.decisions
        if d["dispatch"] == "dispatch_learning" and _at(d["timestamp"]) > start_s
    )
    length_s = _at(dispatch["timestamp"]) - _at(dispatch["started_at"])
    dispatch["started_at"], dispatch["timestamp"] = iso(start_s), iso(start_s + length_s)
    later = [
        d
        for d in disk_faults.decisions
        if d["dispatch"] == "dispatch_learning" and start_s < _at(d["started_at"]) < end_s + 20
    ]
    disk_faults.decisions = [d for d in disk_faults.decisions if d not in later]
    disk_faults.config["criteria"] = {"routing": {}}
    return disk_faults


@pytest.mark.parametrize(("delay_s", "outcome"), [(6.0, "pass"), (15.0, "fail")])
def test_what_a_full_disk_held_up_is_published_soon_after_it(
    held_up: PlantedRun, delay_s: float, outcome: str
) -> None:
    """The decision is made before the disk takes it: its artefacts come when there is room."""
    _publish_late(held_up, delay_s)
    assert judged_by(held_up, "routing").outcome == outcome


@pytest.mark.parametrize(("seen_after_s", "outcome"), [(0.15, "pass"), (None, "fail")])
def test_the_next_dispatch_may_begin_before_the_harness_has_looked(
    held_up: PlantedRun, seen_after_s: float | None, outcome: str
) -> None:
    """What is published when there is room again is seen a sample later; what the next one
    publishes at its own end is not for both.
    """
    start_s, end_s = held_up.cuts[0]
    first = next(d for d in held_up.decisions if d["started_at"] == iso(start_s))
    begin_s, over_s = end_s + 3.0, end_s + 4.5
    after = {**first, "started_at": iso(begin_s), "timestamp": iso(over_s)}
    held_up.decisions.insert(held_up.decisions.index(first) + 1, after)
    for path in (POOL, TELEMETRY):
        seen = [r for r in held_up.artefacts(path) if start_s < r["t_s"] < end_s + 20]
        kept = 1 if seen_after_s is None else 2
        held_up.records = [r for r in held_up.records if r not in seen[kept:]]
        moments = [over_s + 0.1] if seen_after_s is None else [begin_s + seen_after_s, over_s + 0.1]
        for record, t_s in zip(seen[:kept], moments, strict=True):
            record["t_s"] = t_s
    found = judged_by(held_up, "routing")
    assert found.outcome == outcome, found
    told = [e.text for e in found.evidence if "no learned artefact" in e.text]
    assert len(told) == (outcome == "fail")
