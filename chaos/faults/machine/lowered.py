"""What the kinds of this package share, and those that lower a soft limit of the Watcher.

The limit is set for the Watcher and its child processes; later ones inherit it. A kind says how low
the limit is, and measures its effect. Only the soft limit is changed, and never above the hard one,
so that an ordinary user can restore it. -1 is no limit.
Source: prlimit(2), /proc/PID/limits in proc(5).
"""

import contextlib
import resource
from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from chaos.base.deadline import Deadline
from chaos.base.proc import Identity
from chaos.faults.base import Evidence, Fault, probe
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
            soft_and_hard(watcher.pid, self.resource)
        except PermissionError:
            return "the Watcher belongs to another user; run as that user, or as root"
        return None

    def undo_record(self, stack: Stack) -> dict[str, Any]:
        self.before = records(stack.service("watcher").pids(), self.resource)
        return {"resource": self.resource, "processes": self.before}

    @abstractmethod
    def low(self, stack: Stack, watcher: Identity) -> int:
        """The soft limit to set."""

    def inject(self, stack: Stack) -> None:
        watcher = watcher_of(stack)
        if watcher is None:
            return  # it has ended: nothing can be proven
        low = self.low(stack, watcher)
        set_soft(watcher, self.resource, low)
        self._set_others(stack, {watcher.pid}, low)

    def recover(self, stack: Stack) -> None:
        if self.before:
            put_back(self.resource, self.before)
            known = {record["pid"] for record in self.before}
            self._set_others(stack, known, self.before[0]["soft"])

    def _set_others(self, stack: Stack, but: set[int], soft: int) -> None:
        """Set the limit of the Watcher's processes, those that are new included."""
        for pid in stack.service("watcher").pids():
            process = Identity.of(pid)
            if process is not None and pid not in but:
                set_soft(process, self.resource, soft)

    @staticmethod
    def undo(record: dict[str, Any]) -> None:
        put_back(int(record["resource"]), record["processes"])

    def in_force(self, watcher: Identity, measured: dict[str, Any]) -> bool:
        """True if the Watcher's limit is lower than before. Adds both limits to `measured`."""
        now = soft_from_proc(watcher.pid, self.row) if watcher.lives() else None
        before = self.before[0]["soft"] if self.before else None
        measured |= {"soft_limit": now, "soft_limit_before": before}
        return now is not None and before is not None and is_lower(now, before)


def soft_and_hard(pid: int, which: int) -> tuple[int, int] | None:
    """The limits `which` (`resource.RLIMIT_*`) of `pid`; None if it has ended.

    Raises `PermissionError` for a process of another user.
    """
    try:
        return resource.prlimit(pid, which)
    except ProcessLookupError:
        return None


def set_soft(process: Identity, which: int, soft: int) -> bool:
    """Set the soft limit, but not above the hard one; False if the process has ended."""
    limits = soft_and_hard(process.pid, which) if process.lives() else None
    if limits is None:
        return False
    hard = limits[1]
    try:
        resource.prlimit(process.pid, which, (hard if is_lower(hard, soft) else soft, hard))
    except ProcessLookupError:
        return False
    return True


def soft_from_proc(pid: int, row: str) -> int | None:
    """The soft limit in the line `row` of /proc/PID/limits; None if it cannot be read."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines():
            if line.startswith(row):
                word = line[len(row) :].split()[0]
                return resource.RLIM_INFINITY if word == "unlimited" else int(word)
    return None


def records(pids: Iterable[int], which: int) -> list[dict[str, int]]:
    """pid, start_ticks and soft limit of each process that runs, for the ledger."""
    records = []
    for pid in pids:
        process = Identity.of(pid)
        limits = soft_and_hard(pid, which) if process is not None else None
        if process is not None and limits is not None:
            records.append({**process.record(), "soft": limits[0]})
    return records


def put_back(which: int, recorded: Iterable[dict[str, Any]]) -> None:
    """Restore the soft limit of each recorded process that still runs. Idempotent."""
    for record in recorded:
        set_soft(Identity.recorded(record), which, int(record["soft"]))


def is_lower(limit: int, other: int) -> bool:
    """True if `limit` allows less than `other`."""
    none = resource.RLIM_INFINITY
    return limit != none and (other == none or limit < other)
