"""Resource limits of running processes. Knows no kind of fault.

Only the soft limit is changed, and never above the hard one, so that an ordinary user can restore
it. -1 is no limit. Source: prlimit(2), /proc/PID/limits in proc(5).
"""

import contextlib
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chaos.base.proc import Identity


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
