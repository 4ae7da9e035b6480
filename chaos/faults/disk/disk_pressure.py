"""disk_pressure: the Watcher's volume is nearly full. Small writes work, large ones do not.

Done by a ballast of real blocks that leaves `leave` MB; what others free meanwhile is taken as
well, what the Watcher uses up of the rest is not given back. Proven by the file system's own
count, and by two writes: 4 KiB still work, more than what is left gets ENOSPC half-way.
Source: the plan's triage guide, "Disk space exhaustion".
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.faults.base import COUNT, HOLD, PERIOD, Evidence, Param, Value
from chaos.faults.disk.filling import PROBE_PAUSE_S, Filling
from chaos.faults.disk.volume import MB, free_bytes, write_and_sync
from chaos.stack.base import Stack

_OVER_BYTES_MIN = 256 * 1024
_LEFT_SLACK_BYTES = 64 * 1024  # what others may free between two top-ups


class DiskPressure(Filling):
    """See the module."""

    name: ClassVar[str] = "disk_pressure"
    summary: ClassVar[str] = "the Watcher's volume is nearly full: only small writes still work"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param("leave", "number", "MB left free", default=1.0, min=0.064, max=1000),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._leave_bytes = int(float(values["leave"]) * MB)

    def leave_bytes(self) -> int:
        """So much."""
        return self._leave_bytes

    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Little is left, a small write works, and one larger than what is left does not.

        The large one is only tried when little is left: it would fill a healthy volume.
        """
        measured: dict[str, Any] = {"attempts": 0}
        path = self.probe_path(stack)
        while not deadline.expired():
            measured["attempts"] += 1
            left = free_bytes(stack.workspace)
            measured |= self.held(stack)
            if self.wrote_before and left <= self._leave_bytes + _LEFT_SLACK_BYTES:
                small = write_and_sync(path)
                large = write_and_sync(path, left + max(left, _OVER_BYTES_MIN))
                measured |= {"small_write": small.measured(), "large_write": large.measured()}
                if small.ok and large.outcome == "ENOSPC":
                    return Evidence(True, {**measured, "writes_refused": large.outcome})
            deadline.wait(PROBE_PAUSE_S)
        return Evidence(False, measured)
