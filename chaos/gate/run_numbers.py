"""The numbers of one run that the changelog entry names (the plan, section 9).

Their sources are the verdict and the samples of the history, opened as tables. A number that
was not measured is None, never 0.
"""

from dataclasses import dataclass, field

from chaos.checks.growth.lives import lives_of
from chaos.checks.verdict import Verdict
from chaos.record.open_run import OpenRun
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


def numbers_of(rundir: RunDir, verdict: Verdict) -> RunNumbers:
    """Return the numbers of a run. A damaged history is read up to the damage."""
    numbers = RunNumbers(lasted_s=verdict.lasted_s)
    with OpenRun(rundir) as run:
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


_LAST_VALUES = """
select arg_max("queue.archived", line), arg_max("queue.quarantined", line),
    arg_max("decisions.completed", line), arg_max("decisions.fallbacks", line),
    arg_max("draws.count", line) - arg_min("draws.count", line)
from moments
"""


def _add_samples(run: OpenRun, numbers: RunNumbers) -> None:
    """Add what the samples show. The verdict reports a damaged history."""
    if not run.sample_count:
        return
    lives = lives_of(run, "watcher.rss_anon_bytes+watcher.swap_bytes")
    if lives:
        longest = max(lives, key=lambda life: life.length_s)
        numbers.memory_delta_bytes = longest.last - longest.first
    archived, quarantined, numbers.cycles, numbers.fallbacks, numbers.draws = (
        _whole(value) for value in run.one(_LAST_VALUES)
    )
    if archived is not None:
        numbers.requests = archived + (quarantined or 0)


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) else None
