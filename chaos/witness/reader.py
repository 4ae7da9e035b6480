"""Read all sources of signals, each at its own period, into one sample.

A source that is not due repeats its last values, so a sample is always complete. A source that
cannot be read has no keys in the sample, and an absence says why. Knows no particular source.
"""

import time
from collections.abc import Callable, Sequence

from chaos.witness.base import Source, Values, reason

# A timer may fire this much early. A source that is due within it is read.
_EARLY_S = 0.01


class _Paced:
    """One source with the time of its next read, and the keys and absences of its last read."""

    __slots__ = ("absent", "inputs", "keys", "next_s", "period_s", "read", "source")

    def __init__(self, source: Source, stretch: float) -> None:
        self.source = source
        self.read = source.read
        self.inputs = source.inputs
        self.period_s = source.period_s * stretch
        self.next_s = float("-inf")
        self.keys: set[str] = set()
        self.absent: dict[str, str] = {}


class Reader:
    """Owns and closes `sources`. Not thread-safe.

    Sources with a period ("slow") are read first, in their order, so that the others ("fast") can
    use their values. While nothing has changed, the previous sample is returned again: after a
    pause the CPU's caches are cold, so the cost of a sample is the memory that it touches.
    `stretch` multiplies the periods.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        stretch: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        paced = [_Paced(source, stretch) for source in sources]
        self._slow = [each for each in paced if each.period_s]
        self._fast = [each for each in paced if not each.period_s]
        self._unchanged = [fast.source.unchanged for fast in self._fast]
        self._next_s = float("-inf")  # when the next slow source is due
        self._clock = clock
        self._slow_values: Values = {}  # of the last read of each
        self._fast_values: Values = {}
        self._sample: Values = {}
        self._absent: dict[str, str] = {}

    def read(self) -> Values:
        """Take one sample. Do not modify it: the same object is returned while nothing changes.

        An `OSError` of a source becomes an absence. Any other exception is a defect, and is raised.
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
        fast_values: Values = {}
        for fast in self._fast:
            changed |= self._read_one(fast, fast_values)
        if due or fast_values != self._fast_values:
            self._fast_values = fast_values
            self._sample = self._slow_values | fast_values
        if changed:
            paced = self._slow + self._fast
            self._absent = {name: why for each in paced for name, why in each.absent.items()}
        return self._sample

    def _read_slow(self, now_s: float) -> bool:
        """Read the slow sources that are due. True if the absences of any have changed."""
        changed = False
        for slow in self._slow:
            if now_s >= slow.next_s:
                slow.next_s = now_s + slow.period_s - _EARLY_S
                values: Values = {}
                changed |= self._read_one(slow, values)
                if values.keys() != slow.keys:
                    for key in slow.keys - values.keys():
                        self._slow_values.pop(key, None)
                    slow.keys = set(values)
                self._slow_values.update(values)
        self._next_s = min((slow.next_s for slow in self._slow), default=float("inf"))
        return changed

    def _read_one(self, paced: _Paced, values: Values) -> bool:
        """Read one source into `values`. True if its absences have changed."""
        try:
            if paced.inputs:
                self._read_with_inputs(paced, values)
            else:
                paced.read(values)
            absent = paced.source.absences()
        except OSError as error:
            absent = {paced.source.name: reason(error)}
        if absent == paced.absent:
            return False
        paced.absent = absent
        return True

    def _read_with_inputs(self, paced: _Paced, values: Values) -> None:
        """Give the source its inputs, and keep only the keys that it adds."""
        shown = {key: self._slow_values[key] for key in paced.inputs if key in self._slow_values}
        paced.read(shown)
        values.update({key: shown[key] for key in shown if key not in paced.inputs})

    def absences(self) -> dict[str, str]:
        """Map each missing part of the last sample to the reason. A new object after a change."""
        return self._absent

    def periods_s(self) -> dict[str, float]:
        """Period in seconds by source, for those that are not read at every sample."""
        return {slow.source.name: slow.period_s for slow in self._slow}

    def close(self) -> None:
        """Close all sources. Do not read afterwards."""
        for paced in self._slow + self._fast:
            paced.source.close()
        self._slow, self._fast, self._unchanged = [], [], []
