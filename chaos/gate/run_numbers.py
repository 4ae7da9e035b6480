"""The numbers of one run that the changelog entry names (the plan, section 9).

Their sources are the verdict and the samples of the history, which is streamed. A number that
was not measured is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chaos.checks.verdict import Verdict
from chaos.record.history import Sample, read_history
from chaos.record.rundir import RunDir


@dataclass
class RunNumbers:
    """The numbers of one run. `memory_delta_bytes` is of the longest-lived Watcher process."""

    lasted_s: float
    memory_delta_bytes: float | None = None
    requests: int | None = None
    cycles: int | None = None
    draws: int | None = None
    errors: int | None = None
    fallbacks: int | None = None
    convergence: str = ""
    faults: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class _Process:
    pid: object
    first_s: float
    last_s: float
    first_bytes: float
    last_bytes: float


def numbers_of(run: RunDir, verdict: Verdict) -> RunNumbers:
    """Return the numbers of `run`. A damaged history is read up to the damage."""
    numbers = RunNumbers(lasted_s=verdict.lasted_s)
    _add_samples(run, numbers)
    findings = {finding.check: finding for finding in verdict.findings}
    if "errors" in findings:
        numbers.errors = _whole(findings["errors"].measured)
    if "convergence" in findings:
        numbers.convergence = findings["convergence"].summary
    numbers.faults = sum(1 for fault in verdict.faults if fault.proven_s is not None)
    numbers.problems = [
        f"{finding.title}: {finding.summary}"
        for finding in verdict.findings
        if finding.outcome not in ("pass", "skipped")
    ]
    return numbers


def _add_samples(run: RunDir, numbers: RunNumbers) -> None:
    processes: list[_Process] = []
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    try:
        for _, record in read_history(run.history):
            if isinstance(record, Sample):
                for key, value in record.values.items():
                    first.setdefault(key, value)
                    last[key] = value
                _add_memory(processes, record)
    except (OSError, ValueError):
        pass  # the verdict reports the damage
    if processes:
        longest = max(processes, key=lambda process: process.last_s - process.first_s)
        numbers.memory_delta_bytes = longest.last_bytes - longest.first_bytes
    archived = _whole(last.get("queue.archived"))
    if archived is not None:
        numbers.requests = archived + (_whole(last.get("queue.quarantined")) or 0)
    numbers.cycles = _whole(last.get("decisions.completed"))
    numbers.fallbacks = _whole(last.get("decisions.fallbacks"))
    before, after = _whole(first.get("draws.count")), _whole(last.get("draws.count"))
    if before is not None and after is not None:
        numbers.draws = after - before


def _add_memory(processes: list[_Process], sample: Sample) -> None:
    """Note the memory (anonymous and swapped) of the Watcher process of `sample`."""
    rss = sample.values.get("watcher.rss_anon_bytes")
    if not isinstance(rss, (int, float)):
        return
    swap = sample.values.get("watcher.swap_bytes")
    used_bytes = float(rss) + (float(swap) if isinstance(swap, (int, float)) else 0.0)
    pid = sample.values.get("watcher.pid")
    if not processes or processes[-1].pid != pid:
        processes.append(_Process(pid, sample.t_s, sample.t_s, used_bytes, used_bytes))
    processes[-1].last_s, processes[-1].last_bytes = sample.t_s, used_bytes


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) else None
