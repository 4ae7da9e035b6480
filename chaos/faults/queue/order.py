"""Kinds about the order of requests: bad files at the head, and times in the future."""

import time
from pathlib import Path
from typing import Annotated

from chaos.faults.params import FaultParams, duration, number
from chaos.faults.queue import requests, shapes
from chaos.faults.queue.base import Planted, QueueFault, whole
from chaos.faults.queue.folder import QueueFolder
from chaos.stack.base import Stack

_OLDER_S = 3600.0  # than anything that the run itself submits


class QueuePoisonHead(QueueFault):
    """Bad files first in the queue, by name and by age, good requests behind them.

    Proven by the listing of the queue: a bad file is the first that waits, or was already taken.
    The good requests must be processed. Source: Watchers that stop at the first file that they
    cannot read.
    """

    name = "queue_poison_head"
    summary = "bad files first in the queue, good requests behind them"

    class Params(FaultParams):
        files: Annotated[int, number("bad files at the head", 1, 1000)] = 3
        requests: Annotated[int, number("good requests behind them", 1, 100)] = 2

    params: Params

    def plan(self, stack: Stack) -> list[Planted]:
        old_ns = time.time_ns() - int(_OLDER_S * 1e9)
        planted = []
        for i in range(1, self.params.files + 1):
            name = f"000_{self.name_of(f'poison_{i:03d}')}"
            torn = shapes.torn(stack.target.work, name, self.body(stack, name))
            content = torn.content or b""
            planted.append(whole(name, torn.end, content, torn.wrong, mtime_ns=old_ns + i))
        return planted + [
            self.good(stack, f"behind_{i:03d}") for i in range(1, self.params.requests + 1)
        ]

    def in_force(self, folder: QueueFolder) -> bool:
        bad = [file.name for file in self.planted[: self.params.files]]
        waiting = folder.pending()
        head = bool(waiting) and waiting[0] in bad
        taken = any(set(folder.places(name)) - {"pending"} for name in bad)
        good = self.planted[self.params.files :]
        return (head or taken) and all(folder.places(file.name) for file in good)


class QueueFutureTime(QueueFault):
    """A good request whose modification time and time stamp are in the future.

    Proven by the modification time of the file against the clock. It must be processed like any
    other request, and so must one behind it. Source: clocks that differ between machines.
    """

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
