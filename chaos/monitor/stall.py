"""Signal `queue.stalled_s`: how long requests have been waiting without any progress.

A process with flat memory and a clean log can still be stuck, so only progress shows that it works.
Put this source after those of the queue and the decisions, whose values it uses. Reads no file.
"""

import time

from chaos.witness.base import SourceBase, Values

_PERIOD_S = 0.5
_WAITING = ("queue.pending", "queue.claimed")
_PROGRESS = ("decisions.lines", "queue.archived", "queue.quarantined")


class Stall(SourceBase):
    """Seconds since the last progress while a request waits; 0 while none waits."""

    inputs: tuple[str, ...] = _WAITING + _PROGRESS

    def __init__(self) -> None:
        super().__init__("stall", _PERIOD_S)
        self._last: tuple[object, ...] | None = None
        self._since_s = 0.0

    def read(self, values: Values) -> None:
        """Add the key, unless the queue's signals are absent."""
        self._absent.clear()
        pending, claimed = (values.get(key) for key in _WAITING)
        if pending is None and claimed is None:
            self._absent["stall"] = "the queue cannot be seen"
            return
        now_s = time.monotonic()
        progress = tuple(values.get(key) for key in _PROGRESS)
        if not (pending or claimed) or progress != self._last:
            self._last, self._since_s = progress, now_s
        values["queue.stalled_s"] = round(now_s - self._since_s, 1)
