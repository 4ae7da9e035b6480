"""One bad file in the queue: the kinds that differ in nothing but its shape (shapes.py).

Proven by reading the file back where the Watcher meets it, and telling from its bytes what is wrong
with them. The Watcher must set it aside and go on. Source: files found in queues after crashes,
full disks, and producers with defects.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param
from chaos.faults.queue import shapes
from chaos.faults.queue.base import Planted, QueueFault
from chaos.faults.queue.shapes import Maker
from chaos.stack.base import Stack


class BadFile(QueueFault):
    """Plants one file of the shape that the kind names."""

    shape: ClassVar[str] = ""

    def maker(self) -> Maker:
        """How the file is made."""
        return shapes.CORRUPT[self.shape]

    def plan(self, stack: Stack) -> list[Planted]:
        """The one file."""
        name = self.name_of(self.name.removeprefix("queue_"))
        return [self.maker()(stack.target.queue, name, self.body(stack, name))]


class QueueZeroLength(BadFile):
    """See shapes.zero_length."""

    name: ClassVar[str] = "queue_zero_length"
    summary: ClassVar[str] = "a request file without a byte in it"
    shape: ClassVar[str] = "zero_length"


class QueueNulTail(BadFile):
    """See shapes.nul_tail."""

    name: ClassVar[str] = "queue_nul_tail"
    summary: ClassVar[str] = "a request file that ends in NUL bytes, as a crash leaves it"
    shape: ClassVar[str] = "nul_tail"


class QueueInvalidUtf8(BadFile):
    """See shapes.invalid_utf8."""

    name: ClassVar[str] = "queue_invalid_utf8"
    summary: ClassVar[str] = "a request file that is not UTF-8"
    shape: ClassVar[str] = "invalid_utf8"


class QueueWrongShape(BadFile):
    """See shapes.wrong_shape."""

    name: ClassVar[str] = "queue_wrong_shape"
    summary: ClassVar[str] = "a request file with a JSON array where an object is due"
    shape: ClassVar[str] = "wrong_shape"


class QueueWrongType(BadFile):
    """See shapes.unknown_type and shapes.wrong_fields."""

    name: ClassVar[str] = "queue_wrong_type"
    summary: ClassVar[str] = (
        "a request of a type that does not exist, or with fields of wrong types"
    )
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "how",
            "text",
            "what is wrong: the type of request, or the JSON types of all its other fields",
            default="unknown_type",
            choices=("unknown_type", "wrong_fields"),
        ),
    )

    def maker(self) -> Maker:
        """By `how`."""
        return shapes.CORRUPT[str(self.values["how"])]


class QueueUnreadable(BadFile):
    """See shapes.directory, dangling_link, fifo and mode_0. File modes do not bind root, so that
    what cannot be read is tried with the rights that the Watcher has.
    """

    name: ClassVar[str] = "queue_unreadable"
    summary: ClassVar[str] = "a request that cannot be read: a folder, a dead link, a pipe, mode 0"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param(
            "how",
            "text",
            "what stands in the place of a file; mode_0 binds nobody who is root",
            default="directory",
            choices=("directory", "dangling_link", "fifo", "mode_0"),
        ),
    )

    def available(self, stack: Stack) -> str | None:
        """Mode 0 needs a Watcher that modes bind."""
        if self.values["how"] == "mode_0":
            pid = stack.service("watcher").pid()
            if pid is not None and reads_everything(pid):
                return (
                    "the Watcher runs with the right to read any file, whatever its mode; "
                    "choose how=directory, dangling_link or fifo, or run as an ordinary user "
                    "with --sandbox none"
                )
        return super().available(stack)

    def maker(self) -> Maker:
        """By `how`."""
        how = str(self.values["how"])
        return shapes.mode_0 if how == "mode_0" else shapes.CORRUPT[how]


_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2  # linux/capability.h


def reads_everything(pid: int) -> bool:
    """Whether file modes do not bind this process: by its effective capabilities."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        told = [line for line in status.splitlines() if line.startswith("CapEff:")]
        rights = int(told[0].split()[1], 16)
    except (OSError, IndexError, ValueError):
        return False
    return bool(rights & (1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH))
