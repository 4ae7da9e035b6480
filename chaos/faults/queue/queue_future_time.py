"""queue_future_time: a good request whose modification time and time stamp lie in the future.

Proven by the modification time of the file where it is found, against the clock. It must be worked
off like any other, and a request behind it too. Source: clocks that differ between machines.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param, Value
from chaos.faults.queue import requests
from chaos.faults.queue.base import Planted, QueueFault, whole
from chaos.stack.base import Stack


class QueueFutureTime(QueueFault):
    """See the module."""

    name: ClassVar[str] = "queue_future_time"
    summary: ClassVar[str] = "a good request with its times in the future, and one behind it"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "ahead",
            "duration",
            "so far in the future",
            default=86400.0,
            min=60.0,
            max=100 * 365 * 86400.0,
        ),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._ahead_s = float(values["ahead"])

    def plan(self, stack: Stack) -> list[Planted]:
        """The one from the future, and one from now."""
        name = self.name_of("future")
        content = requests.encoded(self.body(stack, name, ahead_s=self._ahead_s))
        mtime_ns = time.time_ns() + int(self._ahead_s * 1e9)

        def wrong(path: Path) -> str:
            try:
                ahead_s = path.stat().st_mtime - time.time()
            except OSError:
                return ""
            return f"modified {ahead_s:.0f} s from now" if ahead_s > self._ahead_s / 2 else ""

        future = whole(name, "archived", content, wrong, mtime_ns=mtime_ns)
        return [future, self.good(stack, "behind_future")]
