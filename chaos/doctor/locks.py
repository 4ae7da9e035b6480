"""Lock files: who holds them, and which are provably stale.

Looking must not disturb: taking a lock to see whether it is free would keep a Watcher that starts
at that moment out, so the kernel's own list (/proc/locks) is read instead.
"""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaos.doctor.item import Item, Patient, age_text, removal_text
from chaos.monitor.instance import OwnFile, instance_of, read_object, start_ticks
from chaos.record.target import Instance
from chaos.witness.base import select

OLD_S = 3600.0  # the plan's sixty minutes
_SIGN_OF_LIFE_S = 60.0
_FILES_MAX = 200_000
_SKIPPED = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__"})

Holder = Literal["released", "held", "dead", "old", "fresh"]


@dataclass(frozen=True)
class Lock:
    """One lock file. `dead` and not fresh is all that proves that nobody needs it."""

    path: str  # below the workspace
    holder: Holder
    seen: str
    age_s: float

    @property
    def stale(self) -> bool:
        """A number that means nothing here may be a container's: a fresh file is left alone."""
        return self.holder == "dead" and self.age_s > _SIGN_OF_LIFE_S


def find_locks(patient: Patient, now_s: float | None = None) -> list[Lock]:
    """All lock files of the workspace."""
    instance = instance_of(patient.target) or Instance(pid_file="")
    kernel = _kernel_locks()
    now_s = time.time() if now_s is None else now_s
    found = []
    for relative in _matching(patient.workspace, instance.locks):
        path = patient.workspace / relative
        try:
            status = path.lstat()
        except OSError:
            continue  # released while we looked
        age_s = now_s - status.st_mtime
        holder, seen = _holder(path, relative, instance, status, age_s, kernel)
        found.append(Lock(relative, holder, seen, age_s))
    return found


def _matching(workspace: Path, patterns: list[str]) -> Iterator[str]:
    """Paths below the workspace that match; `**/` also means none. Follows no link."""
    plain = [pattern.removeprefix("**/") for pattern in patterns if pattern.startswith("**/")]
    exact = [pattern for pattern in patterns if not pattern.startswith("**/")]
    looked = 0
    for folder, subfolders, names in os.walk(workspace, followlinks=False):
        subfolders[:] = sorted(name for name in subfolders if name not in _SKIPPED)
        for name in sorted(names):
            looked += 1
            if looked > _FILES_MAX:
                return
            relative = str((Path(folder) / name).relative_to(workspace))
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in plain) or any(
                fnmatch.fnmatchcase(relative, pattern) for pattern in exact
            ):
                yield relative


def _kernel_locks() -> set[int]:
    """Inodes of the files on which some process holds a lock.

    Devices are left aside: layered file systems tell another one than `stat`, and taking a free
    lock for a held one errs on the safe side.
    """
    found = set()
    try:
        text = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return set()
    for line in text.splitlines():
        for word in line.split():
            parts = word.split(":")
            if len(parts) == 3 and parts[2].isdecimal():
                found.add(int(parts[2]))
    return found


def _holder(
    path: Path,
    relative: str,
    instance: Instance,
    status: os.stat_result,
    age_s: float,
    kernel: set[int],
) -> tuple[Holder, str]:
    age = age_text(age_s)
    pid, ticks = _named(path, instance)
    if status.st_ino in kernel:
        return "held", f"held{f' by process {pid}' if pid else ''}, {age}"
    dead = "" if pid is None else _dead(pid, ticks)
    if pid is not None and not dead:
        return "held", f"names process {pid}, which lives, {age}"
    if relative in instance.kept_locks:
        # Its kernel lock went with its holder. Removing the file would let two in.
        return "released", dead or "released"
    if dead:
        return "dead", f"{dead}, {age}"
    if age_s > OLD_S:
        return "old", f"names nobody, nobody holds it, {age}"
    return "fresh", f"names nobody, {age}"


def _dead(pid: int, ticks: int | None) -> str:
    """Why the process that a lock names does not live; empty: it does."""
    running = start_ticks(pid)
    if running is None:
        return f"names process {pid}, which is dead"
    if ticks is not None and ticks != running:
        return f"names process {pid}, whose number now belongs to another one"
    return ""


def _named(path: Path, instance: Instance) -> tuple[int | None, int | None]:
    """Process number (and start) inside a lock file: JSON with the profile's field, or a number."""
    try:
        content = read_object(path)
    except (OSError, ValueError):
        return _plain_number(path), None
    pid, ticks = select(content, instance.pid), None
    if instance.start_ticks:
        ticks = select(content, instance.start_ticks)
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
        return None, None
    return pid, ticks if isinstance(ticks, int) else None


def _plain_number(path: Path) -> int | None:
    try:
        with path.open("rb") as stream:
            word = stream.read(64).strip()
    except OSError:
        return None
    return int(word) if word.isdigit() and 0 < int(word) < 2**22 + 1 else None


def signs_of_life(patient: Patient) -> str:
    """Why the Watcher may be alive although no process here says so; empty: nothing does.

    A Watcher in a container has process numbers that mean nothing here, but its files move.
    """
    pid = OwnFile(instance_of(patient.target), patient.workspace)()
    if pid is not None:
        return f"the Watcher runs (process {pid})"
    names = {patient.target.watcher.ready_file, patient.target.decisions.path} - {""}
    for name in sorted(names):
        try:
            age_s = time.time() - patient.path(name).stat().st_mtime
        except OSError:
            continue
        if age_s < _SIGN_OF_LIFE_S:
            return f"{name} was written {age_s:.0f} s ago"
    return ""


def look_at_locks(patient: Patient) -> list[Item]:
    """One item for each lock that is not in order; one for all when they are."""
    locks = find_locks(patient)
    alive = signs_of_life(patient)
    items = [_stale(patient, lock, alive) for lock in locks if lock.holder in ("dead", "old")]
    if items:
        return items
    seen = "; ".join(f"{lock.path}: {lock.seen}" for lock in locks) or "none"
    return [Item("locks", "locks", "ok", seen)]


def _stale(patient: Patient, lock: Lock, alive: str) -> Item:
    seen = f"{lock.path}: {lock.seen}"
    remove = removal_text(patient.workspace / lock.path)
    if lock.stale and not alive:
        return Item("locks", "locks", "problem", seen, f"{remove} (or --fix)", fixable=True)
    doubt = f" ({alive}: not provably stale)" if alive else " (not provably stale)"
    return Item(
        "locks", "locks", "warn", seen + doubt, f"if you know that nobody needs it: {remove}"
    )


def remove_stale(patient: Patient) -> list[str]:
    """Remove the locks whose holder is provably dead; what was removed. Raises `OSError`."""
    removed: list[str] = []
    if signs_of_life(patient):
        return removed
    for lock in find_locks(patient):
        if not lock.stale:
            continue
        path = patient.workspace / lock.path
        before = path.lstat()
        again = [one for one in find_locks(patient) if one.path == lock.path]
        if [one.stale for one in again] == [True] and path.lstat().st_ino == before.st_ino:
            path.unlink()
            removed.append(f"removed {lock.path}: it {lock.seen}")
    return removed
