"""The numbers of one run that the changelog entry names (the plan, section 9).

Read from the verdict and from the samples of the history, streamed. A number that the run does
not have is None, never a zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chaos.checks.growth.lives import lives_of
from chaos.checks.verdict import Verdict
from chaos.record.open_run import OpenRun
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


def facts_of(rundir: RunDir, verdict: Verdict) -> Facts:
    """The numbers of a run."""
    facts = Facts(lasted_s=verdict.lasted_s)
    with OpenRun(rundir) as run:
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


_EDGES = """
select arg_max("queue.archived", line), arg_max("queue.quarantined", line),
    arg_max("decisions.completed", line), arg_max("decisions.fallbacks", line),
    arg_max("draws.count", line) - arg_min("draws.count", line)
from moments
"""


def _from_samples(run: OpenRun, facts: Facts) -> None:
    """A damaged history ends early; the verdict says so."""
    lives = lives_of(run, "watcher.rss_anon_bytes+watcher.swap_bytes")
    if lives:
        life = max(lives, key=lambda one: one.length_s)
        facts.memory_delta_bytes = life.last - life.first
    archived, quarantined, facts.cycles, facts.fallbacks, facts.draws = (
        None if value is None else int(value) for value in run.one(_EDGES)
    )
    if archived is not None:
        facts.requests = archived + (quarantined or 0)
