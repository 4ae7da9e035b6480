"""One signal of the daemon's process over a run, made ready for trend.py.

A process that was restarted begins small again, so each life is judged by itself, without its
first third (imports, first allocations) and without the fault windows. One that grows is a
failure; else the longest life that shows enough speaks for the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from chaos.checks.finding import Outcome
from chaos.checks.growth.trend import BLOCK_FILL_MIN, BLOCK_POINTS_MIN, BLOCKS, Block
from chaos.record.open_run import OpenRun
from chaos.record.signals import declared_signal

WARM_UP_PART = 1 / 3
# A block of a shorter life would hold less than one reading of what is read once a second.
_LIFE_S_MIN = 36.0

# Stretches of samples with the same process id, in the measured time. Where no process id was ever
# sampled, all samples are one life; samples without one are between two lives.
_LIVES = """
with measured as (
    select line, "watcher.pid" as pid from moments, run where t_s between from_s and to_s
), alive as (
    select line, pid, coalesce(pid <> lag(pid) over (order by line), true) as begins
    from measured where pid is not null or not exists (select 1 from measured where pid > 0)
)
select min(line), max(line) from (
    select line, sum((begins and pid is not null)::int) over (order by line) as life from alive
) group by life order by 1
"""
_SUMMARY = """
select count(*), min(t_s), max(t_s), first(value order by line), last(value order by line),
    max(value)
from ({values})
"""
_RISE = """
select min(value) filter (t_s <= $start_s + $edge_s), min(value) filter (t_s >= $end_s - $edge_s)
from ({values}) where t_s >= $start_s
"""
_BLOCKS = """
select avg(t_s), median(work), quantile_cont(value, 0.1) from ({values})
where t_s >= $start_s and t_s < $end_s and not in_fault(t_s)
group by least(floor((t_s - $start_s) / $length_s), $blocks - 1) having count(*) >= $needed
order by 1
"""


@dataclass(frozen=True)
class Life:
    """One signal in one life of the process. `first`, `last` and `peak` are values of it;
    `restarts` counts those of the process in the whole run.
    """

    run: OpenRun
    values: str  # the samples of this life as SQL: line, t_s, work, value
    count: int
    first_s: float
    last_s: float
    first: float
    last: float
    peak: float
    restarts: int = 0

    @property
    def span_s(self) -> tuple[float, float]:
        """What is judged: without the warm-up."""
        return self.first_s + self.length_s * WARM_UP_PART, self.last_s

    @property
    def length_s(self) -> float:
        """Of the whole life, as far as it was sampled."""
        return self.last_s - self.first_s

    def rise(self) -> float:
        """How much more there is at last than at first, floor against floor of the judged span."""
        start_s, end_s = self.span_s
        parameters = {"start_s": start_s, "end_s": end_s, "edge_s": (end_s - start_s) / 6}
        early, late = self.run.one(_RISE.format(values=self.values), parameters)
        return 0.0 if early is None or late is None else float(late - early)

    def blocks(self) -> list[Block]:
        """`BLOCKS` equal parts of the judged span; those with too few samples are left out."""
        start_s, end_s = self.span_s
        length_s = (end_s - start_s) / BLOCKS
        if length_s <= 0:
            return []
        filled = math.ceil(BLOCK_FILL_MIN * length_s / self.run.sample_period_s)
        parameters = {
            "start_s": start_s,
            "end_s": end_s,
            "length_s": length_s,
            "blocks": BLOCKS,
            "needed": max(BLOCK_POINTS_MIN, filled),
        }
        rows = self.run.sql(_BLOCKS.format(values=self.values), parameters)
        return [Block(*row) for row in rows]


def lives_of(run: OpenRun, signal: str, *also: str) -> list[Life]:
    """`signal`, plus the signals `also` where they are there, life by life; [] if never sampled."""
    names = [declared_signal(name).name for name in (signal, *also)]
    extra = "".join(f' + coalesce("{name}"::double, 0)' for name in names[1:])
    lives = []
    for first, last in run.once("lives", lambda run: run.sql(_LIVES)):
        values = (
            f'select line, t_s, coalesce("decisions.completed", 0) as work, "{names[0]}"::double'
            f'{extra} as value from moments where line between {first} and {last} and "{names[0]}" '
            "is not null"
        )
        count, *summary = run.one(_SUMMARY.format(values=values))
        if count:
            lives.append(Life(run, values, count, *summary))
    return [replace(life, restarts=len(lives) - 1) for life in lives]


class Judged(Protocol):
    """What a check makes of one life. `enough`: there was enough to judge by."""

    @property
    def outcome(self) -> Outcome:
        """For this life."""

    @property
    def enough(self) -> bool:
        """Whether there was enough to judge by."""


J = TypeVar("J", bound=Judged)


def speaking(lives: Sequence[Life], judge: Callable[[Life], J]) -> tuple[Life, J, str]:
    """The life that speaks for the run, what `judge` makes of it, and what to say of the others.

    The first one that fails; else the longest that shows enough; else the longest. The text begins
    with "; " and is empty for a process that never restarted.
    """
    longest = max(lives, key=lambda life: life.length_s)
    asked = [life for life in lives if life is longest or life.length_s >= _LIFE_S_MIN]
    judged = [(life, judge(life)) for life in asked]
    enough = [one for one in judged if one[1].enough]
    failed = [one for one in enough if one[1].outcome == "fail"]
    chosen, made = (failed or sorted(enough or judged, key=lambda one: -one[0].length_s))[0]
    if len(lives) == 1:
        return chosen, made, ""
    number = 1 + next(n for n, life in enumerate(lives) if life is chosen)
    others = [one.outcome for life, one in enough if life is not chosen]
    about = (
        f"; the Watcher restarted {len(lives) - 1}x: of {len(lives)} lives {len(enough)} long "
        f"enough to judge by, this is number {number} ({chosen.length_s:.0f} s)"
    )
    return chosen, made, about + (f", the others: {', '.join(others)}" if others else "")
