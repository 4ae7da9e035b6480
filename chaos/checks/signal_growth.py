"""One signal of the Watcher's process over a run, made ready for trend.py.

Taken from the longest life of the process (a new one begins small again), without its first third
(imports, first allocations) and without the fault windows. Shared by the checks for growth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos.checks.run_view import RunView
from chaos.checks.trend import Block, Growth, blocks_of, growth

if TYPE_CHECKING:
    from chaos.checks.sample_table import Column

WARM_UP_PART = 1 / 3


@dataclass(frozen=True)
class Signal:
    """`values` at `t_s`, and how many requests were completed by then (`work`)."""

    t_s: Column
    work: Column
    values: Column
    restarts: int

    @property
    def span_s(self) -> tuple[float, float]:
        """What is judged: without the warm-up."""
        first_s, last_s = float(self.t_s[0]), float(self.t_s[-1])
        return first_s + (last_s - first_s) * WARM_UP_PART, last_s

    def rise(self) -> float:
        """How much more there is at last than at first, floor against floor of the judged span."""
        start_s, end_s = self.span_s
        edge_s = (end_s - start_s) / 6
        inside = self.t_s >= start_s
        early = self.values[inside & (self.t_s <= start_s + edge_s)]
        late = self.values[self.t_s >= end_s - edge_s]
        return float(late.min() - early.min()) if len(early) and len(late) else 0.0


def signal_of(view: RunView, key: str, *also: str) -> Signal | None:
    """Signal `key`, plus the signals `also` where they are there; None if it was never sampled."""
    import numpy as np

    table = view.samples
    values = table.column(key).astype(np.float64)
    for other in also:
        values += np.nan_to_num(table.column(other))
    start_s, end_s = view.measured_span_s()
    there = ((table.t_s >= start_s) & (table.t_s <= end_s) & (values == values)).nonzero()[0]
    if not len(there):
        return None
    t_s, pids = table.t_s[there], np.nan_to_num(table.column("watcher.pid")[there])
    begins = np.append(0, (pids[1:] != pids[:-1]).nonzero()[0] + 1)
    ends = np.append(begins[1:], len(there)) - 1
    longest = int(np.argmax(t_s[ends] - t_s[begins]))
    life = there[begins[longest] : ends[longest] + 1]
    return Signal(
        t_s=table.t_s[life],
        work=np.nan_to_num(table.column("decisions.completed")[life]).astype(np.float64),
        values=values[life],
        restarts=len(begins) - 1,
    )


def blocks_of_signal(view: RunView, signal: Signal) -> list[Block]:
    """The blocks of `signal`, fault windows left out."""
    period_s = float(view.profile.get("sample_period_s", 1.0))
    masked = [(a, b) for _, a, b in view.injected_faults]
    return blocks_of(signal.t_s, signal.work, signal.values, signal.span_s, period_s, masked)


def growth_of(view: RunView, signal: Signal, limit: float, *, per_work: bool) -> Growth:
    """`signal` against `limit`, per completed request or per second."""
    return growth(blocks_of_signal(view, signal), limit, per_work=per_work)
