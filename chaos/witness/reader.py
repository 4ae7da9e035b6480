"""Reads all sources of signals, each at its own pace, into one sample.

What is not due is repeated with its last value, so that a sample is always complete; a source
that cannot be read leaves its keys out until it can, and says why. Knows no particular source.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from chaos.witness.base import Source, Values, reason

# A sample that is early by the slack of a timer is still the one a source was due at.
_EARLY_S = 0.01


class _Paced:
    """One source, when it is due next, and what it told last."""

    __slots__ = ("absent", "keys", "looks_at", "next_s", "period_s", "read", "source")

    def __init__(self, source: Source, stretch: float) -> None:
        self.source = source
        self.read = source.read
        self.looks_at = source.looks_at
        self.period_s = source.period_s * stretch
        self.next_s = float("-inf")
        self.keys: set[str] = set()
        self.absent: dict[str, str] = {}


class Reader:
    """Owns `sources`. Not for several threads at once.

    Those with a period are read first, in their order, so that others may look at what they told.
    After a pause a processor's caches are cold, and what a sample costs is how much it touches:
    as long as nothing has changed, the sample before is given again. `stretch` makes the periods
    longer.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        stretch: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        paced = [_Paced(source, stretch) for source in sources]
        self._slow = [one for one in paced if one.period_s]
        self._fast = [one for one in paced if not one.period_s]
        self._unchanged = [one.source.unchanged for one in self._fast]
        self._next_s = float("-inf")  # the first of the slow ones
        self._clock = clock
        self._values: Values = {}  # the last ones of the slow
        self._told: Values = {}  # those of the fast
        self._sample: Values = {}
        self._absent: dict[str, str] = {}

    def read(self) -> Values:
        """One sample: the same object as long as nothing has changed, so it must not be altered.

        Raises what is no `OSError`: a defect of a source.
        """
        now_s = self._clock()
        due = now_s >= self._next_s
        if not due:
            for unchanged in self._unchanged:
                if not unchanged():
                    break
            else:
                return self._sample
        changed = self._read_slow(now_s) if due else False
        told: Values = {}
        for fast in self._fast:
            changed |= self._read_one(fast, told)
        if due or told != self._told:
            self._told = told
            self._sample = self._values | told
        if changed:
            paced = self._slow + self._fast
            self._absent = {name: why for one in paced for name, why in one.absent.items()}
        return self._sample

    def _read_slow(self, now_s: float) -> bool:
        changed = False
        for slow in self._slow:
            if now_s >= slow.next_s:
                slow.next_s = now_s + slow.period_s - _EARLY_S
                values: Values = {}
                changed |= self._read_one(slow, values)
                if values.keys() != slow.keys:
                    for key in slow.keys - values.keys():
                        self._values.pop(key, None)
                    slow.keys = set(values)
                self._values.update(values)
        self._next_s = min((slow.next_s for slow in self._slow), default=float("inf"))
        return changed

    def _read_one(self, paced: _Paced, values: Values) -> bool:
        """Whether its absences have changed."""
        try:
            if paced.looks_at:
                self._read_beside(paced, values)
            else:
                paced.read(values)
            absent = paced.source.absences()
        except OSError as error:
            absent = {paced.source.name: reason(error)}
        if absent == paced.absent:
            return False
        paced.absent = absent
        return True

    def _read_beside(self, paced: _Paced, values: Values) -> None:
        """Read one that looks at what others told; only what it adds is its own."""
        shown = {key: self._values[key] for key in paced.looks_at if key in self._values}
        paced.read(shown)
        values.update({key: shown[key] for key in shown if key not in paced.looks_at})

    def absences(self) -> dict[str, str]:
        """What is missing from the last sample, and why; a new object when it has changed."""
        return self._absent

    def periods_s(self) -> dict[str, float]:
        """The sources that are not read at every sample, and how often they are."""
        return {slow.source.name: slow.period_s for slow in self._slow}

    def close(self) -> None:
        """Close all sources; nothing is read afterwards."""
        for paced in self._slow + self._fast:
            paced.source.close()
        self._slow, self._fast, self._unchanged = [], [], []
