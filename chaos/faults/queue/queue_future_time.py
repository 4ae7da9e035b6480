"""queue_future_time: a good request whose modification time and time stamp are in the future.

Proven by the modification time of the file against the clock. It must be processed like any other
request, and so must one behind it. Source: clocks that differ between machines.
"""

import time
from pathlib import Path
from typing import Annotated

from chaos.faults.params import FaultParams, duration
from chaos.faults.queue import requests
from chaos.faults.queue.base import Planted, QueueFault, whole
from chaos.stack.base import Stack


class QueueFutureTime(QueueFault):
    name = "queue_future_time"
    summary = "a good request with its times in the future, and one behind it"

    class Params(FaultParams):
        ahead: Annotated[float, duration("so far in the future", 60, 100 * 365 * 86400)] = 86400.0

    params: Params

    def plan(self, stack: Stack) -> list[Planted]:
        name = self.name_of("future")
        content = requests.encoded(self.body(stack, name, ahead_s=self.params.ahead))
        mtime_ns = time.time_ns() + int(self.params.ahead * 1e9)

        def wrong(path: Path) -> str:
            try:
                ahead_s = path.stat().st_mtime - time.time()
            except OSError:
                return ""
            return f"modified {ahead_s:.0f} s from now" if ahead_s > self.params.ahead / 2 else ""

        future = whole(name, "archived", content, wrong, mtime_ns=mtime_ns)
        return [future, self.good(stack, "behind_future")]
