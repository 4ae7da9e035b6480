"""What a daemon uses of the processor while it has nothing to do."""

from __future__ import annotations

import pytest

from chaos.checks.finding import Finding
from tests.checks.history_builder import FAULTS, PlantedRun, judged, judged_by


@pytest.fixture
def planted(planted: PlantedRun) -> PlantedRun:
    planted.signals["queue.pending"] = lambda t_s, done: 0
    return planted


def found(run: PlantedRun) -> Finding:
    return judged_by(run, "idle_cpu")


def test_a_loop_with_a_pause_passes(planted: PlantedRun) -> None:
    planted.signals["watcher.cpu_s"] = lambda t_s, done: 0.02 * t_s
    finding = found(planted)
    assert finding.outcome == "pass" and "2 % of a core" in finding.summary


def test_a_loop_without_a_pause_fails(planted: PlantedRun) -> None:
    planted.signals["watcher.cpu_s"] = lambda t_s, done: 0.9 * t_s
    finding = found(planted)
    assert finding.outcome == "fail" and "90 % of a core" in finding.summary


def test_a_loop_that_gets_a_part_of_a_core_fails(planted: PlantedRun) -> None:
    """Other programs take the rest: it waits for its turn."""
    planted.signals["watcher.cpu_s"] = lambda t_s, done: 0.37 * t_s
    assert found(planted).outcome == "pass"
    planted.signals["watcher.wait_s"] = lambda t_s, done: 0.6 * t_s
    finding = found(planted)
    assert finding.outcome == "fail" and "waited for a processor" in finding.summary


def test_waiting_alone_is_no_use_of_the_processor(planted: PlantedRun) -> None:
    """Each short look at the queue waits behind the other programs of a busy machine."""
    planted.signals["watcher.cpu_s"] = lambda t_s, done: 0.05 * t_s
    planted.signals["watcher.wait_s"] = lambda t_s, done: 0.95 * t_s
    assert found(planted).outcome == "pass"


def test_work_and_faults_may_take_the_processor(planted: PlantedRun) -> None:
    def busy_s(t_s: float) -> float:
        return sum(min(max(t_s - a, 0.0), b - a) for a, b in FAULTS)

    planted.signals["watcher.cpu_s"] = lambda t_s, done: busy_s(t_s)
    assert found(planted).outcome == "pass"
    planted.signals["watcher.cpu_s"] = lambda t_s, done: 0.9 * t_s
    planted.signals["watcher.children"] = lambda t_s, done: 1
    assert "idle_cpu" not in {f.check for f in judged(planted).findings}


def test_a_restart_is_no_use_of_the_processor(planted: PlantedRun) -> None:
    planted.signals["watcher.pid"] = lambda t_s, done: 20 + int(t_s / 5)
    planted.signals["watcher.cpu_s"] = lambda t_s, done: 0.01 * (t_s % 5) + 3 * (int(t_s / 5) % 2)
    assert found(planted).outcome == "pass"
