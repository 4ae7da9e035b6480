"""Bad files in the queue: kinds that differ only in the shape of the file (shapes.py).

Proven by reading the file back, and by the defect that is found in its bytes. The Watcher must
quarantine it and go on. Source: files found in queues after crashes, full disks, and producers
with defects.
"""

import os
from typing import Annotated, Literal

from chaos.base.proc import has_bit
from chaos.faults.base import PlannedStack
from chaos.faults.params import FaultParams, text
from chaos.faults.queue import shapes
from chaos.faults.queue.base import Planted, QueueFault
from chaos.faults.queue.shapes import CORRUPT, Maker
from chaos.stack.base import Stack

_ALL = "all"
_READS_EVERYTHING = (
    "the Watcher runs with the right to read any file, whatever its mode; choose how=directory, "
    "dangling_link or fifo, or run as an ordinary user with --sandbox none"
)


class BadFile(QueueFault):
    """Plants one file of the kind's `shape`."""

    shape = ""

    def maker(self) -> Maker:
        return CORRUPT[self.shape]

    def plan(self, stack: Stack) -> list[Planted]:
        name = self.name_of(self.name.removeprefix("queue_"))
        return [self.maker()(stack.target.work, name, self.body(stack, name))]


class QueueZeroLength(BadFile):
    name = "queue_zero_length"
    summary = "a request file without a byte in it"
    shape = "zero_length"


class QueueNulTail(BadFile):
    name = "queue_nul_tail"
    summary = "a request file that ends in NUL bytes, as a crash leaves it"
    shape = "nul_tail"


class QueueInvalidUtf8(BadFile):
    name = "queue_invalid_utf8"
    summary = "a request file that is not UTF-8"
    shape = "invalid_utf8"


class QueueWrongShape(BadFile):
    name = "queue_wrong_shape"
    summary = "a request file with a JSON array where an object is due"
    shape = "wrong_shape"


class QueueCorruption(QueueFault):
    name = "queue_corruption"
    summary = "bad files in the queue: one of each shape, or of one"

    class Params(FaultParams):
        shape: Annotated[
            str, text("the one shape to plant; all: one of each, in turn", _ALL, *CORRUPT)
        ] = _ALL

    params: Params

    def plan(self, stack: Stack) -> list[Planted]:
        names = {shape: self.name_of(shape) for shape in CORRUPT}
        return [
            CORRUPT[shape](stack.target.work, name, self.body(stack, name))
            for shape, name in names.items()
            if self.params.shape in (_ALL, shape)
        ]


class QueueWrongType(BadFile):
    name = "queue_wrong_type"
    summary = "a request of a type that does not exist, or with fields of wrong types"

    class Params(FaultParams):
        how: Annotated[
            Literal["unknown_type", "wrong_fields"],
            text("what is wrong: the type of request, or the JSON types of all its other fields"),
        ] = "unknown_type"

    params: Params

    def maker(self) -> Maker:
        return CORRUPT[self.params.how]


class QueueUnreadable(BadFile):
    name = "queue_unreadable"
    summary = "a request that cannot be read: a folder, a dead link, a pipe, mode 0"

    class Params(FaultParams):
        how: Annotated[
            Literal["directory", "dangling_link", "fifo", "mode_0"],
            text("what is there instead of a readable file; mode_0 does not bind root"),
        ] = "directory"

    params: Params

    def available_in(self, planned: PlannedStack) -> str | None:
        # In a sandbox that mounts it is root; without one it has the rights of this process.
        rights = planned.can_mount or (not planned.sandboxed and reads_everything(os.getpid()))
        if self.params.how == "mode_0" and rights:
            return _READS_EVERYTHING
        return super().available_in(planned)

    def available(self, stack: Stack) -> str | None:
        if self.params.how == "mode_0":
            pid = stack.service("watcher").pid()
            if pid is not None and reads_everything(pid):
                return _READS_EVERYTHING
        return super().available(stack)

    def settled(self, stack: Stack) -> str | None:
        return self.available(stack)

    def maker(self) -> Maker:
        return shapes.mode_0 if self.params.how == "mode_0" else CORRUPT[self.params.how]


_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2  # linux/capability.h


def reads_everything(pid: int) -> bool:
    """True if file modes do not bind this process: by its effective capabilities."""
    return any(has_bit(pid, "CapEff", bit) for bit in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH))
