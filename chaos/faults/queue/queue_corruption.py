"""queue_corruption: one bad file of each shape, one after the other, or of one shape.

What people mean by "a corrupted queue"; the shapes are those of the single kinds (shapes.py), and
so is the proof.
"""

from __future__ import annotations

from typing import ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param
from chaos.faults.queue.base import Planted, QueueFault
from chaos.faults.queue.shapes import CORRUPT
from chaos.stack.base import Stack

_ALL = "all"


class QueueCorruption(QueueFault):
    """See the module."""

    name: ClassVar[str] = "queue_corruption"
    summary: ClassVar[str] = "bad files in the queue: one of each shape, or of one"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "shape",
            "text",
            "the one shape to plant; all: one of each, in turn",
            default=_ALL,
            choices=(_ALL, *CORRUPT),
        ),
    )

    def plan(self, stack: Stack) -> list[Planted]:
        """One file for each shape asked for."""
        asked = str(self.values["shape"])
        found = []
        for shape in CORRUPT if asked == _ALL else (asked,):
            name = self.name_of(shape)
            found.append(CORRUPT[shape](stack.target.queue, name, self.body(stack, name)))
        return found
