"""disk_full, disk_pressure: a ballast of real blocks takes the free space of the Watcher's volume.

It also takes space that others free meanwhile. Proven by writes with fsync that work before and
fail with ENOSPC while the fault holds. On a tmpfs the write itself fails; renames and removals
still work, and a short append may succeed in part, because the last page of a file may have room.
Source: the plan's triage guide, "Disk space exhaustion"; `tmpfs(5)`, `posix_fallocate(3)`.
"""

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any

from chaos.base.deadline import Deadline
from chaos.faults.base import Evidence, Fault, PlannedStack, probe
from chaos.faults.disk.ballast import Ballast
from chaos.faults.disk.volume import (
    MB,
    NOT_OWN,
    Wrote,
    free_bytes,
    free_mb,
    not_own,
    require_own,
    write_and_sync,
)
from chaos.faults.params import FaultParams, Value, number
from chaos.record.recovery_paths import DISK_EXHAUSTION, WORK_RESUMES
from chaos.stack.base import Stack

_MORE_ROOM = "make the workspace larger (workspace.size_mb), or leave less"
PROBE_PAUSE_S = 0.2
_OVERTIME_S = 60.0  # how long after its hold the ballast stops taking freed space
_FREED_PART = 0.5
_REFUSALS_WANTED = 2  # in a row
_OVER_BYTES_MIN = 256 * 1024
_LEFT_SLACK_BYTES = 64 * 1024  # what others may free between two top-ups


class DiskFault(Fault):
    """`at_end` is measured just before recovery, while the fault still holds."""

    group = "disk"
    triage_path = DISK_EXHAUSTION
    reconnection_path = WORK_RESUMES
    # The probes of these groups look at the link to the LLM, which no disk kind touches.
    compatible_groups = frozenset({"llm_tcp", "llm_wire"})

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self.at_end: dict[str, Any] = {}

    def available_in(self, planned: PlannedStack) -> str | None:
        return super().available_in(planned) if planned.sandboxed else NOT_OWN

    def settled(self, stack: Stack) -> str | None:
        return self.available(stack)

    def probe_path(self, stack: Stack) -> Path:
        """The file that probes write and remove."""
        return stack.workspace / f".chaos_probe_{self.fault_id}"


class Filling(DiskFault):
    """The volume is filled by a ballast. A kind says how much is left, and what proves it."""

    _ballast: Ballast | None = None
    _free_before = 0
    _wrote_before: Wrote | None = None

    @abstractmethod
    def leave_bytes(self) -> int:
        """Free space that is left to others."""

    def available_in(self, planned: PlannedStack) -> str | None:
        size_mb = planned.target.workspace.size_mb
        if planned.sandboxed and size_mb * MB <= self.leave_bytes():
            return f"the volume has {size_mb} MB, and the fault leaves as much; {_MORE_ROOM}"
        return super().available_in(planned)

    def available(self, stack: Stack) -> str | None:
        reason = not_own(stack)
        if reason is None and free_bytes(stack.workspace) <= self.leave_bytes():
            reason = (
                f"only {free_mb(stack.workspace):g} MB are free, and the fault leaves as much; "
                + _MORE_ROOM
            )
        return reason

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """What was free. The ballast has no name and ends with its process."""
        self._free_before = free_bytes(stack.workspace)
        self._wrote_before = write_and_sync(self.probe_path(stack))
        return {
            "volume": str(stack.workspace),
            "free_mb": round(self._free_before / MB, 3),
            "write": self._wrote_before.measured(),
        }

    def inject(self, stack: Stack) -> None:
        require_own(stack)
        self._ballast = Ballast(stack.workspace, self.leave_bytes())
        self._ballast.start(self.params.hold + _OVERTIME_S)

    @property
    def wrote_before(self) -> bool:
        """True if a write worked before; otherwise its failure proves nothing."""
        return self._wrote_before is not None and self._wrote_before.ok

    def held(self, stack: Stack) -> dict[str, Any]:
        """What is taken and free now, by the file system."""
        ballast = self._ballast
        return {
            "free_mb_before": round(self._free_before / MB, 3),
            "free_mb": free_mb(stack.workspace),
            "ballast_mb": round(ballast.bytes_held() / MB, 3) if ballast else 0.0,
        }

    def recover(self, stack: Stack) -> None:
        ballast = self._ballast
        if ballast is None:
            return
        if not self.at_end:
            self.at_end = {
                "free_mb_at_end": free_mb(stack.workspace),
                "write_at_end": write_and_sync(self.probe_path(stack)).measured(),
                "topped_up_mb": round(ballast.topped_up_bytes / MB, 3),
                "topping_up_failed": ballast.trouble,
            }
        ballast.release()

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        def look(measured: dict[str, Any]) -> bool:
            wrote = write_and_sync(self.probe_path(stack))
            measured |= {"write": wrote.measured(), **self.held(stack)}
            back = free_bytes(stack.workspace) >= self._free_before * _FREED_PART
            return wrote.ok and back

        return probe(look, deadline, PROBE_PAUSE_S, {"attempts": 0, **self.at_end})


class DiskFull(Filling):
    """Every write fails. Proven by 4 KiB, refused twice in a row."""

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


class DiskPressure(Filling):
    """Small writes work, large ones fail. Proven by free space and by two writes."""

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
