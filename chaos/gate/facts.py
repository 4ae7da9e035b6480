"""The numbers of one run that the changelog entry names (the plan, section 9).

Read from the verdict and from the samples of the history, streamed. A number that the run does
not have is None, never a zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chaos.checks.verdict import Verdict
from chaos.record.history import Sample, read_history
from chaos.record.rundir import RunDir


@dataclass
class Facts:
    """What one run did. `memory_delta_bytes`: of the Watcher's longest life."""

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
class _Life:
    pid: object
    first_s: float
    last_s: float
    first_bytes: float
    last_bytes: float


def facts_of(run: RunDir, verdict: Verdict) -> Facts:
    """The numbers of `run`."""
    facts = Facts(lasted_s=verdict.lasted_s)
    _from_samples(run, facts)
    found = {finding.check: finding for finding in verdict.findings}
    errors = found["errors"].measured if "errors" in found else None
    facts.errors = int(errors) if isinstance(errors, (int, float)) else None
    if "convergence" in found:
        facts.convergence = found["convergence"].summary
    facts.faults = sum(1 for fault in verdict.faults if fault.proven_s is not None)
    facts.problems = [
        f"{finding.title}: {finding.summary}"
        for finding in verdict.findings
        if finding.outcome not in ("pass", "skipped")
    ]
    return facts


def _from_samples(run: RunDir, facts: Facts) -> None:
    lives: list[_Life] = []
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    try:
        for _, record in read_history(run.history):
            if isinstance(record, Sample):
                for key, value in record.values.items():
                    first.setdefault(key, value)
                    last[key] = value
                _note_life(lives, record)
    except (OSError, ValueError):
        pass  # a damaged history ends here; the verdict says so
    if lives:
        life = max(lives, key=lambda one: one.last_s - one.first_s)
        facts.memory_delta_bytes = life.last_bytes - life.first_bytes
    done = [_whole(last.get(f"queue.{name}")) for name in ("archived", "quarantined")]
    if done[0] is not None:
        facts.requests = done[0] + (done[1] or 0)
    facts.cycles = _whole(last.get("decisions.completed"))
    facts.fallbacks = _whole(last.get("decisions.fallbacks"))
    before, after = _whole(first.get("draws.count")), _whole(last.get("draws.count"))
    if before is not None and after is not None:
        facts.draws = after - before


def _note_life(lives: list[_Life], sample: Sample) -> None:
    rss = sample.values.get("watcher.rss_anon_bytes")
    if not isinstance(rss, (int, float)):
        return
    swap = sample.values.get("watcher.swap_bytes")
    held = float(rss) + (float(swap) if isinstance(swap, (int, float)) else 0.0)
    pid = sample.values.get("watcher.pid")
    if not lives or lives[-1].pid != pid:
        lives.append(_Life(pid, sample.t_s, sample.t_s, held, held))
    lives[-1].last_s, lives[-1].last_bytes = sample.t_s, held


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) else None
