"""disk_full: the Watcher's volume is full. Every write fails with ENOSPC.

A ballast of real blocks takes all free space, and space that others free meanwhile. Proven by a
write with fsync of 4 KiB: it works before, and fails twice in a row while the fault holds. On a
tmpfs the write itself fails; renames and removals still work, and a short append may succeed in
part, because the last page of a file may have room.
Source: the plan's triage guide, "Disk space exhaustion"; `tmpfs(5)`, `posix_fallocate(3)`.
"""

from typing import Any

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, probe
from chaos.faults.disk.filling import PROBE_PAUSE_S, Filling
from chaos.faults.disk.volume import write_and_sync
from chaos.stack.base import Stack

_REFUSALS_WANTED = 2


class DiskFull(Filling):
    name = "disk_full"
    summary = "the Watcher's volume is full: writes get ENOSPC"

    def leave_bytes(self) -> int:
        return 0

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            wrote = write_and_sync(self.probe_path(stack))
            measured["refused"] = measured["refused"] + 1 if wrote.outcome == "ENOSPC" else 0
            measured |= {"write": wrote.measured(), **self.held(stack)}
            if not self.wrote_before or measured["refused"] < _REFUSALS_WANTED:
                return False
            measured["writes_refused"] = wrote.outcome
            return True

        return probe(look, deadline, PROBE_PAUSE_S, {"attempts": 0, "refused": 0})
