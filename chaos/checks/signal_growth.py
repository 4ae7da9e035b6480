"""One signal of the Watcher's process over a run, made ready for trend.py.

A process that was restarted begins small again, so each life is judged by itself, without its
first third (imports, first allocations) and without the fault windows. One that grows is a
failure; else the longest life that shows enough speaks for the run. Shared by the checks for
growth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from chaos.checks.finding import Outcome
from chaos.checks.run_view import RunView
from chaos.checks.trend import Block, Growth, blocks_of, growth

if TYPE_CHECKING:
    from chaos.checks.hash_sets import Indices
    from chaos.checks.sample_table import Column

WARM_UP_PART = 1 / 3
# A block of a shorter life would hold less than one reading of what is read once a second.
_LIFE_S_MIN = 36.0


@dataclass(frozen=True)
class Signal:
    """`values` at `t_s` in one life of the process, and how many requests were completed by then
    (`work`, over all lives); `restarts` of the process in the whole run.
    """

    t_s: Column
    work: Column
    values: Column
    restarts: int

    @property
    def span_s(self) -> tuple[float, float]:
        """What is judged: without the warm-up."""
        first_s, last_s = float(self.t_s[0]), float(self.t_s[-1])
        return first_s + (last_s - first_s) * WARM_UP_PART, last_s

    @property
    def length_s(self) -> float:
        """Of the whole life, as far as it was sampled."""
        return float(self.t_s[-1] - self.t_s[0])

    def rise(self) -> float:
        """How much more there is at last than at first, floor against floor of the judged span."""
        start_s, end_s = self.span_s
        edge_s = (end_s - start_s) / 6
        inside = self.t_s >= start_s
        early = self.values[inside & (self.t_s <= start_s + edge_s)]
        late = self.values[self.t_s >= end_s - edge_s]
        return float(late.min() - early.min()) if len(early) and len(late) else 0.0


def signal_of(view: RunView, key: str, *also: str) -> Signal | None:
    """Signal `key` in the longest life, see `lives_of`; None if it was never sampled."""
    return max(lives_of(view, key, *also), key=lambda life: life.length_s, default=None)


def lives_of(view: RunView, key: str, *also: str) -> list[Signal]:
    """Signal `key`, plus the signals `also` where they are there, life by life."""
    import numpy as np

    table = view.samples
    values = table.column(key).astype(np.float64)
    for other in also:
        values += np.nan_to_num(table.column(other))
    start_s, end_s = view.measured_span_s()
    pids = table.column("watcher.pid")
    seen = (table.t_s >= start_s) & (table.t_s <= end_s) & (values == values)
    if (alive := pids == pids).any():
        seen &= alive  # between two lives there is nothing that could grow
    there = seen.nonzero()[0]
    if not len(there):
        return []
    lived = np.nan_to_num(pids[there])
    begins = np.append(0, (lived[1:] != lived[:-1]).nonzero()[0] + 1)
    ends = np.append(begins[1:], len(there))
    work = np.nan_to_num(table.column("decisions.completed")).astype(np.float64)
    lives = [_places(there[begin:end]) for begin, end in zip(begins, ends, strict=True)]
    del seen, alive, there, lived  # of a million samples, a third of what is in use here
    return [
        Signal(table.t_s[life], work[life], values[life], restarts=len(lives) - 1) for life in lives
    ]


def _places(there: Indices) -> Indices | slice:
    """Without a gap, as a slice: it shares the memory of what it is taken from."""
    first, end = int(there[0]), int(there[-1]) + 1
    return slice(first, end) if end - first == len(there) else there


class Judged(Protocol):
    """What a check makes of one life. `enough`: there was enough to judge by."""

    @property
    def outcome(self) -> Outcome:
        """For this life."""

    @property
    def enough(self) -> bool:
        """Whether there was enough to judge by."""


J = TypeVar("J", bound=Judged)


def speaking(lives: Sequence[Signal], judge: Callable[[Signal], J]) -> tuple[Signal, J, str]:
    """The life that speaks for the run, what `judge` makes of it, and what to say of the others.

    The first one that fails; else the longest that shows enough; else the longest. What is said
    begins with "; " and is empty for a process that never restarted.
    """
    longest = max(lives, key=lambda life: life.length_s)
    asked = [life for life in lives if life is longest or life.length_s >= _LIFE_S_MIN]
    found = [(life, judge(life)) for life in asked]
    enough = [one for one in found if one[1].enough]
    failed = [one for one in enough if one[1].outcome == "fail"]
    chosen, made = (failed or sorted(enough or found, key=lambda one: -one[0].length_s))[0]
    if len(lives) == 1:
        return chosen, made, ""
    number = 1 + next(n for n, life in enumerate(lives) if life is chosen)
    others = [one.outcome for life, one in enough if life is not chosen]
    about = (
        f"; the Watcher restarted {len(lives) - 1}x: of {len(lives)} lives {len(enough)} long "
        f"enough to judge by, this is number {number} ({chosen.length_s:.0f} s)"
    )
    return chosen, made, about + (f", the others: {', '.join(others)}" if others else "")


def blocks_of_signal(view: RunView, signal: Signal) -> list[Block]:
    """The blocks of `signal`, fault windows left out."""
    period_s = float(view.profile.get("sample_period_s", 1.0))
    masked = [(a, b) for _, a, b in view.injected_faults]
    return blocks_of(signal.t_s, signal.work, signal.values, signal.span_s, period_s, masked)


def growth_of(view: RunView, signal: Signal, limit: float, *, per_work: bool) -> Growth:
    """`signal` against `limit`, per completed request or per second."""
    return growth(blocks_of_signal(view, signal), limit, per_work=per_work)
