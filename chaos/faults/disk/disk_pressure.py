"""disk_pressure: the Watcher's volume is nearly full. Small writes work, large ones do not.

A ballast of real blocks leaves `leave` MB, and takes space that others free meanwhile. Proven by
the free space, and by two writes: 4 KiB work, more than what is left fails with ENOSPC.
Source: the plan's triage guide, "Disk space exhaustion".
"""

from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, probe
from chaos.faults.disk.filling import PROBE_PAUSE_S, Filling
from chaos.faults.disk.volume import MB, free_bytes, write_and_sync
from chaos.faults.params import FaultParams, number
from chaos.stack.base import Stack

_OVER_BYTES_MIN = 256 * 1024
_LEFT_SLACK_BYTES = 64 * 1024  # what others may free between two top-ups


class DiskPressure(Filling):
    name = "disk_pressure"
    summary = "the Watcher's volume is nearly full: only small writes still work"

    class Params(FaultParams):
        leave: Annotated[float, number("MB left free", 0.064, 1000)] = 1.0

    params: Params

    def leave_bytes(self) -> int:
        return int(self.params.leave * MB)

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        path = self.probe_path(stack)

        def look(measured: dict[str, Any]) -> bool:
            left = free_bytes(stack.workspace)
            measured |= self.held(stack)
            if not self.wrote_before or left > self.leave_bytes() + _LEFT_SLACK_BYTES:
                return False
            # Only tried when little is left: the large write would fill a healthy volume.
            small = write_and_sync(path)
            large = write_and_sync(path, left + max(left, _OVER_BYTES_MIN))
            measured |= {"small_write": small.measured(), "large_write": large.measured()}
            if not small.ok or large.outcome != "ENOSPC":
                return False
            measured["writes_refused"] = large.outcome
            return True

        return probe(look, deadline, PROBE_PAUSE_S, {"attempts": 0})
