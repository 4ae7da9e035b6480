"""The sampler keeps an absolute schedule, records absences, and records its own failure."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.record.history import Event, HistoryWriter, Record, Sample, read_history
from chaos.record.target import Target
from chaos.stack.base import Endpoint
from chaos.witness.base import SourceBase, Values
from chaos.witness.build import build_sources
from chaos.witness.sampler import Sampler
from tests.waiting import wait_for

CLOCK_S = 0.002  # a wait may end this much early


class Counter(SourceBase):
    """Stands for any source: counts its reads; some reads may be slow, or raise."""

    def __init__(self) -> None:
        super().__init__("counter")
        self.reads = 0
        self.closed = False
        self.wait_s: dict[int, float] = {}
        self.error: Exception | None = None

    def read(self, values: Values) -> None:
        self.reads += 1
        time.sleep(self.wait_s.get(self.reads, 0))
        if self.error is not None:
            raise self.error
        values["counter.reads"] = self.reads

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def history(tmp_path: Path) -> Iterator[HistoryWriter]:
    writer = HistoryWriter(tmp_path / "history.jsonl", "test")
    yield writer
    writer.close()


def records(tmp_path: Path) -> list[Record]:
    return [record for _, record in read_history(tmp_path / "history.jsonl")]


def enough_at(source: Counter, reads: int, enough: threading.Event) -> None:
    if source.reads >= reads:
        enough.set()


def run_until(sampler: Sampler, ticked: threading.Event) -> None:
    sampler.start()
    try:
        assert ticked.wait(30)
    finally:
        sampler.stop()


def sample_times(tmp_path: Path) -> list[float]:
    return [record.t_s for record in records(tmp_path) if isinstance(record, Sample)]


def test_ten_per_second_keep_an_absolute_schedule(tmp_path: Path, history: HistoryWriter) -> None:
    """Sample k comes at or after moment k, and every moment has a sample or a counted overrun.

    A loop that sleeps one period after each read would fall behind without counting it.
    """
    period_s, wanted = 0.1, 15
    source = Counter()
    source.wait_s = dict.fromkeys(range(100), 0.02)
    enough = threading.Event()
    sampler = Sampler([source], history, period_s, lambda _: enough_at(source, wanted, enough))
    started_s = history.now_s()
    run_until(sampler, enough)
    times = sample_times(tmp_path)
    assert len(times) == sampler.taken >= wanted
    for number, moment_s in enumerate(times):
        assert moment_s >= started_s + number * period_s - CLOCK_S
    moments_passed = int((times[-1] - times[0]) / period_s)
    assert moments_passed <= len(times) - 1 + sampler.overruns


def test_a_slow_sample_is_counted_and_not_made_up_for(
    tmp_path: Path, history: HistoryWriter
) -> None:
    """Moments that pass during a slow read are skipped; no burst of samples follows."""
    period_s = 0.1
    source = Counter()
    source.wait_s = {2: 3.5 * period_s}  # from moment 1 past moments 2, 3 and 4
    enough = threading.Event()
    sampler = Sampler([source], history, period_s, lambda _: enough_at(source, 6, enough))
    started_s = history.now_s()
    run_until(sampler, enough)
    assert sampler.overruns >= 3
    for number, moment_s in enumerate(sample_times(tmp_path)[2:], start=2):
        assert moment_s >= started_s + (number + 3) * period_s - CLOCK_S
    (total,) = [r for r in records(tmp_path) if isinstance(r, Event) and r.name == "sampler"]
    assert total.detail["overruns"] == sampler.overruns


def test_an_absence_and_its_end_are_recorded_once_per_reason(
    tmp_path: Path, history: HistoryWriter
) -> None:
    source = Counter()
    sampler = Sampler([source], history, 1.0)
    broken, refused = OSError(5, "Input/output error"), OSError(111, "Connection refused")
    for error in (broken, broken, None, broken, refused, None, refused, None):
        source.error = error
        values = sampler.sample_once()
        assert ("counter.reads" in values) == (error is None)
        assert ("counter" in sampler.absences()) == (error is not None)
    events = [(r.name, r.detail.get("reason")) for r in records(tmp_path) if isinstance(r, Event)]
    assert events == [
        ("source_absent", "input/output error"),
        ("source_present", None),
        ("source_absent", "connection refused"),
        ("source_present", None),
    ]


def test_a_defect_in_a_source_is_a_problem_of_the_harness(
    tmp_path: Path, history: HistoryWriter
) -> None:
    """Sampling that ends early is recorded, and `failure` says why."""
    source = Counter()
    source.error = ZeroDivisionError("planted")
    sampler = Sampler([source], history, 0.01)
    sampler.start()
    wait_for("the sampler's failure", lambda: sampler.failure is not None)
    sampler.stop()
    assert sampler.failure is not None and "planted" in sampler.failure
    assert source.closed
    (problem,) = [r for r in records(tmp_path) if isinstance(r, Event) and r.name == "problem"]
    assert (problem.owner, problem.severity) == ("harness", "error")


def test_stop_ends_a_long_period_at_once(history: HistoryWriter) -> None:
    """`stop` does not wait for the next sample."""
    ticked = threading.Event()
    run_until(Sampler([Counter()], history, 3600.0, lambda _: ticked.set()), ticked)


def test_all_sources_of_an_empty_workspace_are_absent_or_measured(
    tmp_path: Path, workspace: Path, target: Target, history: HistoryWriter
) -> None:
    """Without a Watcher and an LLM, the host is measured and the rest is absent with a reason."""
    sources = build_sources(target, workspace, Endpoint("127.0.0.1", 1), lambda: None)
    sampler = Sampler(sources, history, 1.0)
    values = sampler.sample_once()
    assert values["llm.health"] == "down"
    assert values["queue.pending"] == values["candidates.count"] == 0
    assert {"harness.rss_bytes", "host.load1", "disk.workspace_free_bytes"} <= values.keys()
    assert not [
        key for key in values if key.startswith(("watcher.", "decisions.", "draws.", "log."))
    ]
    reasons = sampler.absences()
    assert {"watcher", "decisions", "draws", "logs", "llm.process", "llm.metrics"} <= reasons.keys()
    assert all(reasons.values())
    gpu_keys = [key for key in values if key.startswith("gpu")]
    assert bool(gpu_keys) != ("gpu" in reasons)
    sampler.stop()


def descriptors() -> set[tuple[str, str]]:
    """The open descriptors of this process: (number, what it leads to)."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile: the one of this listing, for one
            found.add((path.name, str(path.readlink())))
    return found


def test_sources_close_every_descriptor_they_open(
    workspace: Path, target: Target, history: HistoryWriter
) -> None:
    """`stop` closes every file that a source opened. Files that other tests open do not count."""
    (workspace / target.decisions.path).write_text("{}\n")
    (workspace / "logs" / "watcher_agent.log").write_text("x\n")
    before = descriptors()
    pid = os.getpid()
    sampler = Sampler(
        build_sources(target, workspace, Endpoint("127.0.0.1", 1), lambda: pid), history, 1.0
    )
    sampler.sample_once()
    opened = descriptors() - before
    assert opened
    sampler.stop()
    assert not opened & descriptors()
