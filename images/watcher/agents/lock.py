"""One Watcher per workspace.

The kernel's lock on `watcher.lock` is the truth: it goes away with its holder, however the
holder died, so a stale file with a dead (or recycled) PID never keeps a new Watcher out.
The content only tells people who holds it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Any

LOCK_NAME = "watcher.lock"


class AlreadyRunning(Exception):
    """Another Watcher works in this workspace."""


class InstanceLock:
    """Held for the life of the process."""

    def __init__(self, root: Path) -> None:
        self.path = root / LOCK_NAME
        self._handle: int | None = None

    def acquire(self, purpose: str) -> None:
        """Takes the lock or raises AlreadyRunning, naming the holder."""
        handle = _open(self.path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            holder = read_holder(self.path)
            raise AlreadyRunning(
                f"another Watcher (pid {holder.get('pid', 'unknown')}) works in this folder; "
                "stop it with --halt, or wait for it to end"
            ) from error
        self._handle = handle
        _describe(handle, purpose)

    def release(self) -> None:
        """Gives the lock back; the file stays (removing it would race with the next holder)."""
        if self._handle is not None:
            with contextlib.suppress(OSError):  # a read-only disk keeps the description
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


def _open(path: Path) -> int:
    """Opened for writing, or for reading where the disk is read-only: a lock needs no more."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _describe(handle: int, purpose: str) -> None:
    text = {"pid": os.getpid(), "start_ticks": start_ticks(os.getpid()), "purpose": purpose}
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(text).encode(), 0)
    except OSError:  # disk full, or read-only: the lock holds without its description
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)


def read_holder(path: Path) -> dict[str, Any]:
    """What the lock file says about its holder; empty when it says nothing readable."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def live_holder(root: Path) -> int | None:
    """PID of the Watcher that works here now; None when there is none."""
    holder = read_holder(root / LOCK_NAME)
    pid = holder.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool):
        return None
    running = start_ticks(pid)  # None: a dead one; that the file names no start proves nothing
    return pid if running is not None and holder.get("start_ticks") == running else None


def start_ticks(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None when there is no such process.

    Distinguishes a process from a later one with the same PID.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])
