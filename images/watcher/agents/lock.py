"""The instance lock: at most one Watcher works in a workspace.

Only the kernel's lock (flock) on `watcher.lock` counts. The kernel releases it when its holder
dies, so a stale file with a dead or reused PID never keeps a new Watcher out. The file's content is
only information about the holder. Knows nothing of what a Watcher does.
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
    """The lock on one workspace. Taken once, and held while the process works."""

    def __init__(self, root: Path) -> None:
        self.path = root / LOCK_NAME
        self._handle: int | None = None

    def acquire(self, purpose: str) -> None:
        """Takes the lock. Raises AlreadyRunning, which names the holder, and OSError.

        `purpose` is written into the lock file.
        """
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
        """Releases the lock. Keeps the file: removing it would race with the next holder."""
        if self._handle is not None:
            with contextlib.suppress(OSError):  # on a read-only disk the description stays
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


def _open(path: Path) -> int:
    """Opens the lock file, on a read-only disk without write access: flock needs none."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _describe(handle: int, purpose: str) -> None:
    holder = {"pid": os.getpid(), "start_ticks": start_ticks(os.getpid()), "purpose": purpose}
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(holder).encode(), 0)
    except OSError:  # disk full or read-only: the lock holds without its description
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)


def read_holder(path: Path) -> dict[str, Any]:
    """The description of the holder in the lock file; {} if it cannot be read."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def live_holder(root: Path) -> int | None:
    """PID of the Watcher that works in this workspace now; None if there is none."""
    holder = read_holder(root / LOCK_NAME)
    pid = holder.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool):
        return None
    started = start_ticks(pid)
    return pid if started is not None and holder.get("start_ticks") == started else None


def start_ticks(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None if there is no such process.

    Together with the PID it identifies a process, even if the PID is reused.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])
