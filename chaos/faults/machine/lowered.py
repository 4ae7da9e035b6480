"""What the kinds of this package share, and those that lower a soft limit of the Watcher.

The limit is set for the Watcher and its child processes; later ones inherit it. A kind says how low
the limit is, and measures its effect.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity
from chaos.faults.base import Evidence, Fault, probe
from chaos.faults.machine import limits
from chaos.record.recovery_paths import WORK_RESUMES
from chaos.stack.base import Stack

PROBE_PAUSE_S = 0.1


def watcher_of(stack: Stack) -> Identity | None:
    """The Watcher's process, while it runs."""
    return Identity.of(stack.service("watcher").pid())


def not_running(stack: Stack) -> str | None:
    """Why there is no Watcher to act upon just now, or None."""
    if watcher_of(stack) is not None:
        return None
    return "the Watcher does not run just now; a workload with a daemon has one all the time"


def probe_watcher(
    stack: Stack,
    look: Callable[[Identity, dict[str, Any]], bool],
    deadline: Deadline,
    measured: dict[str, Any] | None = None,
    *,
    look_s: float = 0.0,
) -> Evidence:
    """`probe` by looks at the Watcher's process. Without one, nothing is proven."""

    def look_at_watcher(measured: dict[str, Any]) -> bool:
        watcher = watcher_of(stack)
        if watcher is None:
            measured["watcher"] = "has ended"
            return False
        return look(watcher, measured)

    measured = {"attempts": 0, **(measured or {})}
    return probe(look_at_watcher, deadline, PROBE_PAUSE_S, measured, look_s=look_s)


class LoweredLimit(Fault):
    """`resource` is a `resource.RLIMIT_*`, `row` its line in /proc/PID/limits."""

    group = "machine"
    reconnection_path = WORK_RESUMES
    resource: ClassVar[int]
    row: ClassVar[str]

    def available(self, stack: Stack) -> str | None:
        watcher = watcher_of(stack)
        if watcher is None:
            return not_running(stack)
        try:
            limits.soft_and_hard(watcher.pid, self.resource)
        except PermissionError:
            return "the Watcher belongs to another user; run as that user, or as root"
        return None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        self.before = limits.records(stack.service("watcher").pids(), self.resource)
        return {"resource": self.resource, "processes": self.before}

    @abstractmethod
    def low(self, stack: Stack, watcher: Identity) -> int:
        """The soft limit to set."""

    def inject(self, stack: Stack) -> None:
        watcher = watcher_of(stack)
        if watcher is None:
            return  # it has ended: nothing can be proven
        low = self.low(stack, watcher)
        limits.set_soft(watcher, self.resource, low)
        self._set_others(stack, {watcher.pid}, low)

    def recover(self, stack: Stack) -> None:
        if self.before:
            limits.put_back(self.resource, self.before)
            known = {record["pid"] for record in self.before}
            self._set_others(stack, known, self.before[0]["soft"])

    def _set_others(self, stack: Stack, but: set[int], soft: int) -> None:
        """Set the limit of the Watcher's processes, those that are new included."""
        for pid in stack.service("watcher").pids():
            process = Identity.of(pid)
            if process is not None and pid not in but:
                limits.set_soft(process, self.resource, soft)

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        limits.put_back(int(record["resource"]), record["processes"])

    def in_force(self, watcher: Identity, measured: dict[str, Any]) -> bool:
        """True if the Watcher's limit is lower than before. Adds both limits to `measured`."""
        now = limits.soft_from_proc(watcher.pid, self.row) if watcher.lives() else None
        before = self.before[0]["soft"] if self.before else None
        measured |= {"soft_limit": now, "soft_limit_before": before}
        return now is not None and before is not None and limits.is_lower(now, before)
