"""Whether a file that each learning dispatch must renew stood still while dispatches went on.

Judged by what was seen of the file during the run. One dispatch may end between two looks, and a
Watcher may write the file before or after its decision: two in a row are no matter of timing. What
ended while a fault was in force is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.checks.finding import Evidence
from chaos.checks.run_view import RunView

_DISPATCHES_MIN = 2
# From the end of a dispatch until its version can be seen (0.1 s were measured): the rest is for a
# machine that is busy. The time between two looks comes on top of it.
_SLACK_S = 5.0


@dataclass(frozen=True)
class Standstill:
    """The longest time without a new version, counted in learning dispatches that ended in it."""

    dispatches: int
    since_s: float  # when the version that stayed was seen
    evidence: Evidence

    @property
    def text(self) -> str:
        """For the summary of a finding."""
        return f"no new version after {self.since_s:.0f} s in {self.dispatches} learning dispatches"


def stood_still(view: RunView, path: str, until_s: float | None = None) -> Standstill | None:
    """The worst standstill of the workspace file `path`, or None where it was kept up to date.

    `until_s`: run time after which nothing need change any more. What was before the first version
    is not judged: there was nothing that could be stale.
    """
    import numpy as np

    seen = [(line, e.t_s) for line, e in view.named("artefact") if e.detail.get("path") == path]
    if not seen:
        return None
    table = view.files.decisions
    learned = table.completed & table.dispatched_as(view.target.decisions.dispatch_learning)
    ends = table.end_s[learned]
    ends = ends[~view.in_faults(ends)]
    end_s = view.end_s if until_s is None else until_s
    times = np.array([t_s for _, t_s in seen])
    after = np.searchsorted(times, ends)  # versions seen before the end of each dispatch
    before_s = np.append(-np.inf, times)[after]
    next_s = np.minimum(np.append(times, np.inf)[after], end_s)
    slack_s = _SLACK_S + max(view.sample_gap[0], float(view.profile.get("sample_period_s", 1.0)))
    stale = (after > 0) & (ends > before_s + slack_s) & (ends < next_s - slack_s)
    counts = np.bincount(after[stale], minlength=1)
    worst = int(counts.argmax())
    if counts[worst] < _DISPATCHES_MIN:
        return None
    line, since_s = seen[worst - 1]
    text = f"{path} stayed as it was seen at {since_s:.1f} s"
    return Standstill(int(counts[worst]), since_s, view.evidence(line, text))
