"""Examine lock files: who holds them, and which are provably stale.

Must not take a lock to see if it is free: that could keep out a Watcher that starts at that moment.
The kernel's list (/proc/locks) is read instead.
"""

import fnmatch
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from chaos.base.files import file_from
from chaos.doctor.item import Item, Subject, age_text, removal_text
from chaos.monitor.instance import OwnFile, instance_of, start_ticks
from chaos.record.pid_file import named_process
from chaos.record.target import Instance

OLD_S = 3600.0  # the plan's sixty minutes
_SIGN_OF_LIFE_S = 60.0
_FILES_MAX = 200_000
_LOCK_BYTES_MAX = 64 * 1024
_SKIPPED = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__"})

Holder = Literal["released", "held", "dead", "old", "fresh"]


@dataclass(frozen=True)
class Lock:
    """One lock file. `seen` says what `holder` is based on."""

    path: str  # relative to the workspace
    holder: Holder
    seen: str
    age_s: float

    @property
    def stale(self) -> bool:
        """True if its holder is provably dead.

        A PID that is unknown here may belong to a container, so a recently written file is not
        stale.
        """
        return self.holder == "dead" and self.age_s > _SIGN_OF_LIFE_S


def find_locks(subject: Subject, now_s: float | None = None) -> list[Lock]:
    """All lock files of the workspace. `now_s`: Unix time (default: now)."""
    instance = instance_of(subject.target) or Instance(pid_file="")
    locked_inodes = _locked_inodes()
    now_s = time.time() if now_s is None else now_s
    locks = []
    for relative in _matching(subject.workspace, instance.locks):
        path = subject.workspace / relative
        try:
            status = path.lstat()
        except OSError:
            continue  # removed since it was listed
        age_s = now_s - status.st_mtime
        holder, seen = _holder(path, relative, instance, status, age_s, locked_inodes)
        locks.append(Lock(relative, holder, seen, age_s))
    return locks


def _matching(workspace: Path, patterns: list[str]) -> Iterator[str]:
    """The relative paths that match. `**/` also matches no folder. Follows no symlink."""
    anywhere = [pattern.removeprefix("**/") for pattern in patterns if pattern.startswith("**/")]
    exact = [pattern for pattern in patterns if not pattern.startswith("**/")]
    walked = 0
    for folder, subfolders, names in os.walk(workspace, followlinks=False):
        subfolders[:] = sorted(name for name in subfolders if name not in _SKIPPED)
        for name in sorted(names):
            walked += 1
            if walked > _FILES_MAX:
                return
            relative = str((Path(folder) / name).relative_to(workspace))
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in anywhere) or any(
                fnmatch.fnmatchcase(relative, pattern) for pattern in exact
            ):
                yield relative


def _locked_inodes() -> set[int]:
    """Inodes of the files on which a process holds a lock, on any device.

    Devices are not compared, because a layered file system reports another one than `stat`. A free
    lock may therefore look held, which is the safe error.
    """
    try:
        text = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return set()
    devices = [word.split(":") for word in text.split()]  # major:minor:inode
    return {int(parts[2]) for parts in devices if len(parts) == 3 and parts[2].isdecimal()}


def _holder(
    path: Path,
    relative: str,
    instance: Instance,
    status: os.stat_result,
    age_s: float,
    locked_inodes: set[int],
) -> tuple[Holder, str]:
    """(the holder's state, what it is based on)."""
    age = age_text(age_s)
    pid, ticks = named_process(file_from(path, 0, _LOCK_BYTES_MAX), instance)
    if status.st_ino in locked_inodes:
        return "held", f"held{f' by process {pid}' if pid else ''}, {age}"
    dead = "" if pid is None else _dead(pid, ticks)
    if pid is not None and not dead:
        return "held", f"names process {pid}, which lives, {age}"
    if relative in instance.kept_locks:
        # The kernel released the lock with its holder. Removing the file could let two holders in.
        return "released", dead or "released"
    if dead:
        return "dead", f"{dead}, {age}"
    if age_s > OLD_S:
        return "old", f"names no process, none holds it, {age}"
    return "fresh", f"names no process, {age}"


def _dead(pid: int, ticks: int | None) -> str:
    """Why the process that a lock names is dead; "" if it lives."""
    actual_ticks = start_ticks(pid)
    if actual_ticks is None:
        return f"names process {pid}, which is dead"
    if ticks is not None and ticks != actual_ticks:
        return f"names process {pid}, whose number now belongs to another one"
    return ""


def signs_of_life(subject: Subject) -> str:
    """Why the Watcher may be running; "" if nothing indicates it.

    The PID of a Watcher in a container is unknown here, so recently written files count, too.
    """
    pid = OwnFile(instance_of(subject.target), subject.workspace)()
    if pid is not None:
        return f"the Watcher runs (process {pid})"
    names = {subject.target.watcher.ready_file, subject.target.decisions.path} - {""}
    for name in sorted(names):
        try:
            age_s = time.time() - subject.path(name).stat().st_mtime
        except OSError:
            continue
        if age_s < _SIGN_OF_LIFE_S:
            return f"{name} was written {age_s:.0f} s ago"
    return ""


def examine_locks(subject: Subject) -> list[Item]:
    """One item for each lock that is not in order, or one item if all are."""
    locks = find_locks(subject)
    alive = signs_of_life(subject)
    items = [_stale_item(subject, lock, alive) for lock in locks if lock.holder in ("dead", "old")]
    if items:
        return items
    seen = "; ".join(f"{lock.path}: {lock.seen}" for lock in locks) or "none"
    return [Item("locks", "locks", "ok", seen)]


def _stale_item(subject: Subject, lock: Lock, alive: str) -> Item:
    item = partial(Item, "locks", "locks")
    seen = f"{lock.path}: {lock.seen}"
    remove = removal_text(subject.workspace / lock.path)
    if lock.stale and not alive:
        return item("problem", seen, f"{remove} (or --fix)", fixable=True)
    doubt = f" ({alive}: not provably stale)" if alive else " (not provably stale)"
    return item("warn", seen + doubt, f"if you are sure that no process needs it: {remove}")


def remove_stale(subject: Subject) -> list[str]:
    """Remove the locks whose holder is provably dead. Returns one text for each removed lock.

    Each lock is examined again just before it is removed. Raises `OSError`.
    """
    removed: list[str] = []
    if signs_of_life(subject):
        return removed
    for lock in find_locks(subject):
        if not lock.stale:
            continue
        path = subject.workspace / lock.path
        before = path.lstat()
        stale_now = [now.stale for now in find_locks(subject) if now.path == lock.path]
        if stale_now == [True] and path.lstat().st_ino == before.st_ino:
            path.unlink()
            removed.append(f"removed {lock.path}: it {lock.seen}")
    return removed
