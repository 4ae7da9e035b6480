"""Whether a file that each learning dispatch must renew stood still while dispatches went on.

Judged by what was seen of the file during the run. One dispatch may end between two looks, and a
Watcher may write the file before or after its decision: two in a row are no matter of timing. What
began before the version was seen may have written it, and what ended while a fault was in force is
not counted. A prediction may stay the same until there are more draws than it was made from.
"""

from dataclasses import dataclass

from chaos.checks.finding import Evidence
from chaos.record.open_run import OpenRun

_DISPATCHES_MIN = 2
# From the end of a dispatch until its version can be seen (0.1 s were measured): the rest is for a
# machine that is busy. The time between two looks comes on top of it.
_SLACK_S = 5.0
# For each version the learning dispatches that ended well after it and well before the next one.
_STALE = """
with seen as (
    select min(ref) as ref, t_s, coalesce(lead(t_s) over (order by t_s), 1e12) as next_s
    from {table} where t_s is not null group by t_s
), begun as (
    select *, coalesce(start_s, lag(end_s) over (order by end_s)) as began_s from decisions
)
select s.ref, s.t_s, count(*) from seen s join begun d
    on d.end_s > s.t_s + $slack_s and d.end_s < least(next_s, $until_s) - $slack_s
    and d.began_s >= s.t_s
where d.completed and d.kind = 'learning' and not d.in_fault and {due}
group by s.ref, s.t_s having count(*) >= $least order by 3 desc, s.t_s limit 1
"""
_DRAWS = 'select max("draws.count") from moments where t_s <= '
_MORE_DRAWS = f"({_DRAWS} d.began_s) > ({_DRAWS} s.t_s)"
# The longest time without a sample in a measured phase, and the sample that ended it.
_SAMPLE_GAP = """
select m.t_s - m.before_s, m.line from (
    select line, t_s, lag(t_s) over (order by line) as before_s from moments
) m join phases p on m.t_s between p.begin_s and p.end_s
where p.name in ('baseline', 'storm', 'quiet') and m.before_s is not null
order by 1 desc limit 1
"""


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


def sample_gap(run: OpenRun) -> tuple[float, int]:
    """(seconds, line) of the longest time without a sample in a measured phase."""
    gap = run.once("sample gap", lambda run: run.one(_SAMPLE_GAP))
    return (round(gap[0], 3), gap[1]) if gap else (0.0, 0)


def stood_still(run: OpenRun, record: str, until_s: float | None = None) -> Standstill | None:
    """The worst standstill of `record` (telemetry or predictions); None if it was kept up to date.

    `until_s`: run time after which nothing need change any more. What was before the first version
    is not judged: there was nothing that could be stale.
    """
    parameters = {
        "until_s": run.end_s if until_s is None else until_s,
        "slack_s": _SLACK_S + max(sample_gap(run)[0], run.sample_period_s),
        "least": _DISPATCHES_MIN,
    }
    due = _MORE_DRAWS if record == "predictions" else "true"
    worst = run.one(_STALE.format(table=record, due=due), parameters)
    if worst is None:
        return None
    ref, since_s, dispatches = worst
    text = f"{run.target.source(record).path} stayed as it was seen at {since_s:.1f} s"
    return Standstill(dispatches, since_s, Evidence(ref, text))
