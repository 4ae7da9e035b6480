"""Resource limits of running processes, as the kernel keeps them. Knows no kind of fault.

Only the soft limit is ever moved, and never above the hard one, so that an ordinary user can put
it back. Source: prlimit(2), /proc/PID/limits in proc(5).
"""

import contextlib
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chaos.base.proc import Identity


def soft_and_hard(pid: int, which: int) -> tuple[int, int] | None:
    """The limits `which` (`resource.RLIMIT_*`) of `pid`, -1 for none; None when it is gone.

    Raises `PermissionError` for a process of somebody else.
    """
    try:
        return resource.prlimit(pid, which)
    except ProcessLookupError:
        return None


def set_soft(process: Identity, which: int, soft: int) -> bool:
    """Set the soft limit of this very process; False when it is gone."""
    limits = soft_and_hard(process.pid, which) if process.lives() else None
    if limits is None:
        return False
    hard = limits[1]
    beyond = hard != resource.RLIM_INFINITY and (soft == resource.RLIM_INFINITY or soft > hard)
    try:
        resource.prlimit(process.pid, which, (hard if beyond else soft, hard))
    except ProcessLookupError:
        return False
    return True


def told_by_proc(pid: int, row: str) -> int | None:
    """The soft limit in the line `row` of /proc/PID/limits, -1 for none; None when not told."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines():
            if line.startswith(row):
                word = line[len(row) :].split()[0]
                return resource.RLIM_INFINITY if word == "unlimited" else int(word)
    return None


def records(pids: Iterable[int], which: int) -> list[dict[str, int]]:
    """pid, start_ticks and soft limit of each process that lives; for the ledger."""
    found = []
    for pid in pids:
        process = Identity.of(pid)
        limits = soft_and_hard(pid, which) if process is not None else None
        if process is not None and limits is not None:
            found.append({**process.record(), "soft": limits[0]})
    return found


def put_back(which: int, recorded: Iterable[dict[str, Any]]) -> None:
    """Give each recorded process that still lives its soft limit back. May be called twice."""
    for one in recorded:
        set_soft(Identity.recorded(one), which, int(one["soft"]))


def is_lower(limit: int, other: int) -> bool:
    """True if `limit` allows less than `other`; -1 is no limit."""
    if limit == resource.RLIM_INFINITY:
        return False
    return other == resource.RLIM_INFINITY or limit < other
