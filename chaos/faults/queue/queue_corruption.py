"""queue_corruption: one bad file of each shape, one after the other, or of one shape.

What people mean by "a corrupted queue"; the shapes are those of the single kinds (shapes.py), and
so is the proof.
"""

from typing import Annotated

from chaos.faults.params import FaultParams, text
from chaos.faults.queue.base import Planted, QueueFault
from chaos.faults.queue.shapes import CORRUPT
from chaos.stack.base import Stack

_ALL = "all"


class QueueCorruption(QueueFault):
    name = "queue_corruption"
    summary = "bad files in the queue: one of each shape, or of one"

    class Params(FaultParams):
        shape: Annotated[
            str, text("the one shape to plant; all: one of each, in turn", _ALL, *CORRUPT)
        ] = _ALL

    params: Params

    def plan(self, stack: Stack) -> list[Planted]:
        asked = self.params.shape
        found = []
        for shape in CORRUPT if asked == _ALL else (asked,):
            name = self.name_of(shape)
            found.append(CORRUPT[shape](stack.target.queue, name, self.body(stack, name)))
        return found
