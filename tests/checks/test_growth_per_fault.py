"""What the faults leave in the Watcher's process: a leak on the error path, and healthy habits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.checks.finding import Finding
from tests.checks.history_builder import FAULTS, PlantedRun, judged, judged_by
from tests.checks.wire_builder import Wire

Signal = Callable[[float, int], float]


def found(run: PlantedRun) -> Finding:
    return judged_by(run, "growth_per_fault")


def over(t_s: float) -> int:
    """How many faults are over, or going on."""
    return sum(start_s <= t_s for start_s, _ in FAULTS)


def test_a_healthy_run_keeps_nothing(planted: PlantedRun) -> None:
    result = found(planted)
    assert result.outcome == "pass" and "after 2 faults" in result.summary


def test_a_run_without_faults_is_not_judged(control: PlantedRun) -> None:
    assert "growth_per_fault" not in {f.check for f in judged(control).findings}


@pytest.mark.parametrize(
    ("key", "signal", "words"),
    [
        ("watcher.fds", lambda t, n: 6 + 2 * over(t), "descriptors +2, +2, +4 at the end"),
        ("watcher.threads", lambda t, n: 1 + 2 * over(t), "threads +2, +2, +4 at the end"),
        ("watcher.sockets_close_wait", lambda t, n: 20 * (t >= FAULTS[0][0]), "CLOSE_WAIT +20, +0"),
    ],
)
def test_what_each_fault_leaves_fails(
    planted: PlantedRun, key: str, signal: Signal, words: str
) -> None:
    planted.signals[key] = signal
    result = found(planted)
    assert result.outcome == "fail"
    assert words in result.summary and "2 faults llm_timeout" in result.summary


def test_memory_that_each_fault_leaves_fails(planted: PlantedRun) -> None:
    planted.rss_mb = lambda t_s, done: 40.0 + 5 * over(t_s)
    assert "anonymous memory +5.0 MB, +5.0 MB, +10.0 MB at the end" in found(planted).summary


def failing_calls(run: PlantedRun, count: int) -> None:
    """`count` calls failed in the fault, in one attempt each."""
    first, *others = [d for d in run.decisions if d.get("heuristic_fallback")]
    failed = next(call for call in first["llm_calls"] if call["outcome"] != "ok")
    first["llm_calls"] = [{**failed, "attempts": 1} for _ in range(count)]
    for decision in others:
        decision["llm_calls"] = []


@pytest.mark.parametrize(
    ("calls", "kept", "outcome"), [(5, 5, "fail"), (5, 4, "pass"), (3, 5, "pass")]
)
def test_a_descriptor_for_each_call_that_failed_is_a_leak_after_one_fault(
    tmp_path: Path, calls: int, kept: int, outcome: str
) -> None:
    run = PlantedRun(tmp_path / "run", cuts=FAULTS[:1])
    failing_calls(run, calls)
    run.signals["watcher.fds"] = lambda t, n: 6 + kept * (t >= FAULTS[0][0])
    assert found(run).outcome == outcome


def test_looks_at_the_health_of_a_server_that_refuses_are_no_calls(tmp_path: Path) -> None:
    """On the wire nobody can tell them apart: nothing was sent."""
    run = PlantedRun(tmp_path / "run", cuts=FAULTS[:1])
    failing_calls(run, 5)
    wire = Wire(run)
    start_s, end_s = FAULTS[0]
    for number in range(40):
        at_s = start_s + (number + 1) * (end_s - start_s) / 50
        wire.exchange(at_s, at_s + 0.01, ended="refused", status=None, method=None, path=None)
    wire.write()
    run.signals["watcher.fds"] = lambda t, n: 6 + 5 * (t >= FAULTS[0][0])
    assert found(run).outcome == "fail"


@pytest.mark.parametrize(
    "signal",
    [
        lambda t, n: 6 + 3 * (t >= FAULTS[0][0]),
        lambda t, n: 6 + any(a <= t <= b for a, b in FAULTS) * 30,
        lambda t, n: 6 + 4 * over(t) * (t < FAULTS[1][1] + 20),
        lambda t, n: 6 + over(t),
        lambda t, n: 6 + int(t / 6),
    ],
    ids=[
        "a pool made at the first fault",
        "held while the fault lasts",
        "closed a little later",
        "one more each time is within the noise",
        "growth by the work is not that of the faults",
    ],
)
def test_other_courses_are_no_leak_of_the_faults(planted: PlantedRun, signal: Signal) -> None:
    planted.signals["watcher.fds"] = signal
    assert found(planted).outcome == "pass"


def test_a_watcher_that_was_restarted_by_the_fault_is_not_compared(planted: PlantedRun) -> None:
    planted.signals["watcher.pid"] = lambda t_s, done: 20 + over(t_s)
    planted.signals["watcher.fds"] = lambda t_s, done: 6 + 9 * over(t_s)
    assert "growth_per_fault" not in {f.check for f in judged(planted).findings}
