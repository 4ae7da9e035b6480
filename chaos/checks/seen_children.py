"""In which decisions a child process of the Watcher ran, by what the harness sampled.

A child was alive at a sample, or it ended and was waited for between two: then the page faults of
the Watcher's ended children have risen. The second counts because short dispatches can run in step
with the sampling, so that many samples meet none of many children. Knows no check.
"""

from __future__ import annotations

import numpy as np

from chaos.checks.hash_sets import Indices, Mask, Times
from chaos.checks.run_view import RunView

# Where page faults were not sampled: a child that lives for less than a few samples can be missed,
# all children cannot.
_SAMPLES_PER_DECISION = 4
_BLOCK = 1 << 16


class SeenChildren:
    """The samples and decisions of a run, made ready for questions about many decisions."""

    def __init__(self, view: RunView) -> None:
        self._table, samples = view.files.decisions, view.samples
        self._t_s = samples.t_s
        self._faults = samples.column("watcher.children_faults")
        self._pids = samples.column("watcher.pid")
        children = samples.column("watcher.children")
        none = np.zeros(1, np.int32)
        self._known = np.append(none, np.cumsum(children == children, dtype=np.int32))
        self._busy = np.append(none, np.cumsum(children > 0, dtype=np.int32))
        self._begun_s, self._ended_s = _in_order(self._table.start_s), _in_order(self._table.end_s)

    def counted(self, decisions: Indices) -> tuple[int, int]:
        """Of `decisions`, which have times: (watched, those of them in which a child ran).

        Watched is one whose rise of page faults is known from the sample before it to the one
        after it, and one that was sampled often.
        """
        watched = ran = 0
        for begin in range(0, len(decisions), _BLOCK):
            told, seen = self._seen(decisions[begin : begin + _BLOCK])
            watched += int(told.sum())
            ran += int((told & seen).sum())
        return watched, ran

    def _seen(self, some: Indices) -> tuple[Mask, Mask]:
        start_s, end_s = self._table.start_s[some], self._table.end_s[some]
        first = np.searchsorted(self._t_s, start_s)
        last = np.maximum(np.searchsorted(self._t_s, end_s), first)
        often = self._known[last] - self._known[first] >= _SAMPLES_PER_DECISION
        rise = self._rise(start_s, end_s, first, last)
        told = ~np.isnan(rise)
        alive = self._busy[last + told] > self._busy[first]
        return often | told, alive | (rise > 0)

    def _rise(self, start_s: Times, end_s: Times, first: Indices, last: Indices) -> Times:
        """What children that ended in these decisions added to the page faults. NaN where it is
        not known: not sampled, another life of the Watcher, or another decision was as near.

        `first`, `last`: the samples within each decision, the last excluded.
        """
        rise: Times = np.full(len(start_s), np.nan)
        count = len(self._t_s)
        if not count:
            return rise
        low, high = np.maximum(first - 1, 0), np.minimum(last, count - 1)
        whole_before = (first > 0) & (self._t_s[low] >= _last_before(self._ended_s, start_s))
        whole_after = (last < count) & (self._t_s[high] <= _first_after(self._begun_s, end_s))
        low, high = np.where(whole_before, low, first), np.where(whole_after, high, last - 1)
        there = np.flatnonzero(low < high)
        low, high = low[there], high[there]
        # Of a part of a decision only a rise is known, not that there was none.
        told = (self._faults[high] > self._faults[low]) | (whole_before & whole_after)[there]
        told &= self._pids[low] == self._pids[high]
        rise[there[told]] = (self._faults[high] - self._faults[low])[told]
        return rise


def _in_order(times_s: Times) -> Times:
    """Those that are known, in order; of a log in order itself, the same array."""
    known = times_s if not np.isnan(times_s).any() else times_s[~np.isnan(times_s)]
    return known if (known[1:] >= known[:-1]).all() else np.sort(known)


def _last_before(ordered_s: Times, at_s: Times) -> Times:
    place = np.searchsorted(ordered_s, at_s, "right") - 1
    return np.where(place >= 0, ordered_s[np.maximum(place, 0)], -np.inf)


def _first_after(ordered_s: Times, at_s: Times) -> Times:
    place = np.searchsorted(ordered_s, at_s)
    there = place < len(ordered_s)
    return np.where(there, ordered_s[np.where(there, place, 0)], np.inf)
