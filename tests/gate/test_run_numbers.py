"""The numbers of the changelog entry, from a history that the real writer wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.gate.run_numbers import numbers_of
from chaos.record.history import HistoryWriter, Sample
from chaos.record.rundir import RunDir, create
from tests.checks.history_builder import PlantedRun

Values = dict[str, float | int | str | bool | None]


def verdict(run: RunDir, *findings: Finding) -> Verdict:
    return Verdict(
        verdict="pass",
        exit_code=0,
        reason="",
        run_id=run.run_id,
        soak="soak_c",
        title="",
        profile="quick",
        seed=1,
        schedule_hash="",
        stopped="complete",
        lasted_s=61.0,
        findings=list(findings),
        faults=[],
        notes=[],
        reproduce="",
    )


def recorded(tmp_path: Path, *samples: tuple[float, Values]) -> RunDir:
    run = create(tmp_path, "soak_c", 1)
    planted = PlantedRun(tmp_path / "planted", cuts=())
    run.write_json(run.config, planted.config)
    run.write_json(run.schedule, planted.schedule)
    writer = HistoryWriter(run.history, run.run_id)
    writer.phase("baseline")
    for t_s, values in samples:
        writer.write(Sample(t_s=t_s, values=values))
    writer.close()
    return run


def test_numbers_are_computed_from_samples_and_findings(tmp_path: Path) -> None:
    run = recorded(
        tmp_path,
        (1.0, {"watcher.pid": 5, "watcher.rss_anon_bytes": 100, "draws.count": 5000}),
        (2.0, {"watcher.pid": 5, "watcher.rss_anon_bytes": 130, "watcher.swap_bytes": 20}),
        (3.0, {"queue.archived": 7, "queue.quarantined": 1, "decisions.completed": 6}),
        (9.0, {"draws.count": 5012}),
    )
    error = Finding(outcome="fail", summary="2 tracebacks", measured=2, check="errors", title="E")
    numbers = numbers_of(run, verdict(run, error))
    assert numbers.memory_delta_bytes == 50
    assert (numbers.requests, numbers.cycles, numbers.draws, numbers.errors) == (8, 6, 12, 2)
    assert numbers.problems == ["E: 2 tracebacks"]


def test_the_memory_delta_is_of_the_longest_lived_process(tmp_path: Path) -> None:
    """A restarted process uses less memory, so a difference across a restart means nothing."""
    run = recorded(
        tmp_path,
        (1.0, {"watcher.pid": 5, "watcher.rss_anon_bytes": 900}),
        (2.0, {"watcher.pid": 5, "watcher.rss_anon_bytes": 950}),
        (3.0, {"watcher.pid": 6, "watcher.rss_anon_bytes": 100}),
        (9.0, {"watcher.pid": 6, "watcher.rss_anon_bytes": 110}),
    )
    assert numbers_of(run, verdict(run)).memory_delta_bytes == 10


@pytest.mark.parametrize("history", ["absent", "without samples", "damaged"])
def test_a_number_that_was_not_measured_is_none_and_not_zero(history: str, tmp_path: Path) -> None:
    run = recorded(tmp_path)
    if history == "absent":
        run.history.unlink()
    elif history == "damaged":
        run.history.write_text("{}\n{}\n")
    numbers = numbers_of(run, verdict(run))
    measured = (
        numbers.memory_delta_bytes,
        numbers.requests,
        numbers.cycles,
        numbers.draws,
        numbers.errors,
    )
    assert measured == (None,) * 5
