"""disk_full: nothing is left on the Watcher's volume. Every write is refused with ENOSPC.

Done by a ballast of real blocks that takes all that is free, and what others free meanwhile.
Proven by a write with fsync of 4 KiB: it works before, and gets ENOSPC twice while it holds. On
a tmpfs the kernel refuses the write itself; renames and removals go on working, and the last page
of an existing file takes what still fits into it, so a short append may succeed in part.
Source: the plan's triage guide, "Disk space exhaustion"; `tmpfs(5)`, `posix_fallocate(3)`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence
from chaos.faults.disk.filling import PROBE_PAUSE_S, Filling
from chaos.faults.disk.volume import write_and_sync
from chaos.stack.base import Stack

_REFUSALS_WANTED = 2


class DiskFull(Filling):
    """See the module."""

    name: ClassVar[str] = "disk_full"
    summary: ClassVar[str] = "the Watcher's volume is full: writes get ENOSPC"

    def leave_bytes(self) -> int:
        """Nothing."""
        return 0

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """A write that worked before is refused for want of space, and again a moment later."""
        measured: dict[str, Any] = {"attempts": 0, "refused": 0}
        while not deadline.expired():
            measured["attempts"] += 1
            wrote = write_and_sync(self.probe_path(stack))
            measured["refused"] = measured["refused"] + 1 if wrote.outcome == "ENOSPC" else 0
            measured |= {"write": wrote.measured(), **self.held(stack)}
            if self.wrote_before and measured["refused"] >= _REFUSALS_WANTED:
                return Evidence(True, {**measured, "writes_refused": wrote.outcome})
            deadline.wait(PROBE_PAUSE_S)
        return Evidence(False, measured)
