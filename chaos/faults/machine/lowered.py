"""What the kinds share that lower a soft limit of the Watcher: memory, descriptors.

The limit is put on the Watcher and on what it has started; what it starts later inherits it.
A kind says how low, and measures what that does.
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
    """`probe` by looks at the Watcher's process; while there is none, nothing is proven."""

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
        """The limits in force before, by process."""
        self.before = limits.records(stack.service("watcher").pids(), self.resource)
        return {"resource": self.resource, "processes": self.before}

    @abstractmethod
    def low(self, stack: Stack, watcher: Identity) -> int:
        """The soft limit to be put into force."""

    def inject(self, stack: Stack) -> None:
        watcher = watcher_of(stack)
        if watcher is None:
            return  # it ended since: there is nothing to be proven
        low = self.low(stack, watcher)
        limits.set_soft(watcher, self.resource, low)
        for pid in stack.service("watcher").pids():  # also what it has started meanwhile
            process = Identity.of(pid)
            if process is not None and process != watcher:
                limits.set_soft(process, self.resource, low)

    def recover(self, stack: Stack) -> None:
        if not self.before:
            return
        limits.put_back(self.resource, self.before)
        known = {one["pid"] for one in self.before}
        for pid in stack.service("watcher").pids():
            process = Identity.of(pid)
            if process is not None and pid not in known:
                limits.set_soft(process, self.resource, self.before[0]["soft"])

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        """Undo by the record alone, without the stack."""
        limits.put_back(int(record["resource"]), record["processes"])

    def in_force(self, watcher: Identity, measured: dict[str, Any]) -> bool:
        """True if the Watcher's limit is lower than it was; notes both."""
        now = limits.told_by_proc(watcher.pid, self.row) if watcher.lives() else None
        measured["soft_limit"] = now
        measured["soft_limit_before"] = self.before[0]["soft"] if self.before else None
        return (
            now is not None and bool(self.before) and limits.is_lower(now, self.before[0]["soft"])
        )
