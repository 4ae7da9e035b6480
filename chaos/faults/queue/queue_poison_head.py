"""queue_poison_head: bad files at the head of the line, by name and by age, good requests behind.

Proven by the listing of the queue: a bad one is the first of all that wait (or has been taken
already). The good ones must be worked off. Source: watchers that stop at the first file that they
cannot read.
"""

from __future__ import annotations

import time
from typing import ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param, Value
from chaos.faults.queue import shapes
from chaos.faults.queue.base import Planted, QueueFault, whole
from chaos.faults.queue.folder import QueueFolder
from chaos.stack.base import Stack

_OLDER_S = 3600.0  # than anything that the run itself submits


class QueuePoisonHead(QueueFault):
    """See the module."""

    name: ClassVar[str] = "queue_poison_head"
    summary: ClassVar[str] = "bad files first in the line, good requests behind them"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param("files", "int", "bad files at the head", default=3, min=1, max=1000),
        Param("requests", "int", "good requests behind them", default=2, min=1, max=100),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._bad, self._good = int(values["files"]), int(values["requests"])

    def plan(self, stack: Stack) -> list[Planted]:
        """The bad ones have names before all others, and are older."""
        old_ns = time.time_ns() - int(_OLDER_S * 1e9)
        planted = []
        for number in range(1, self._bad + 1):
            name = f"000_{self.name_of(f'poison_{number:03d}')}"
            torn = shapes.torn(stack.target.queue, name, self.body(stack, name))
            content = torn.content or b""
            planted.append(whole(name, torn.end, content, torn.wrong, mtime_ns=old_ns + number))
        return planted + [
            self.good(stack, f"behind_{number:03d}") for number in range(1, self._good + 1)
        ]

    def in_force(self, folder: QueueFolder) -> bool:
        """A bad one is the first of all that wait, or was taken; the good ones are there too."""
        bad = [one.name for one in self.planted[: self._bad]]
        waiting = folder.pending()
        head = bool(waiting) and waiting[0] in bad
        taken = any(set(folder.places(name)) - {"pending"} for name in bad)
        good = self.planted[self._bad :]
        return (head or taken) and all(folder.places(one.name) for one in good)
