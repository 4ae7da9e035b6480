"""The stack's own volume: whether it is one, what is free on it, and the outcome of a write.

Never the host's disk: see `not_own`. Knows no kind of fault.
"""

import contextlib
import errno
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaos.base.errors import EnvironmentProblem
from chaos.stack.base import Stack

MB = 1 << 20  # as in `size_mb` of a target: what mount calls m
PAGE_BYTES = 4096
NOT_OWN = (
    "the workspace is not a volume of its own, so the host's disk would be hit; "
    "a run in the sandbox (without --sandbox none) has one"
)
_CHUNK_BYTES = 64 * 1024
_SIZE_SLACK = 1.05


@dataclass(frozen=True)
class Wrote:
    """The `outcome` of a write with fsync of `asked_bytes`: ok, or the name of the error."""

    outcome: str
    asked_bytes: int
    took_ms: float

    @property
    def ok(self) -> bool:
        """True if every byte was written and synced."""
        return self.outcome == "ok"

    def measured(self) -> dict[str, Any]:
        """As written into the history."""
        return asdict(self)


def not_own(stack: Stack) -> str | None:
    """Why the workspace is no volume that may be filled or made read-only; None if it is one."""
    workspace = stack.workspace
    try:
        here, above = workspace.stat().st_dev, workspace.parent.stat().st_dev
        volume = os.statvfs(workspace)
    except OSError as error:
        return f"the workspace cannot be read: {error.strerror}"
    if here == above or here == Path("/").stat().st_dev:
        return NOT_OWN
    total_mb = volume.f_blocks * volume.f_frsize / MB
    declared_mb = stack.target.workspace.size_mb
    if total_mb > declared_mb * _SIZE_SLACK:
        return (
            f"the workspace's volume has {total_mb:.0f} MB, the target declares {declared_mb}: "
            "it was not made for this stack; correct workspace.size_mb"
        )
    return None


def require_own(stack: Stack) -> None:
    """Check again just before the injection: raise `EnvironmentProblem` if `not_own`."""
    reason = not_own(stack)
    if reason is not None:
        raise EnvironmentProblem(reason, place=str(stack.workspace))


def free_bytes(folder: Path) -> int:
    """Free space for ordinary users."""
    volume = os.statvfs(folder)
    return volume.f_bavail * volume.f_frsize


def total_bytes(folder: Path) -> int:
    """The size of the volume."""
    volume = os.statvfs(folder)
    return volume.f_blocks * volume.f_frsize


def free_mb(folder: Path) -> float:
    """`free_bytes` in MB."""
    return round(free_bytes(folder) / MB, 3)


def write_and_sync(path: Path, size_bytes: int = PAGE_BYTES) -> Wrote:
    """Write and sync a new file, and remove it."""
    start_s = time.monotonic()
    outcome = "ok"
    try:
        _write(path, size_bytes)
    except OSError as error:
        outcome = errno.errorcode.get(error.errno or 0, str(error.errno))
    finally:
        with contextlib.suppress(OSError):  # missing, or the volume is read-only by now
            path.unlink()
    return Wrote(outcome, size_bytes, round((time.monotonic() - start_s) * 1000, 3))


def _write(path: Path, size_bytes: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        left = size_bytes
        while left > 0:  # a volume that fills up takes a part first
            left -= os.write(descriptor, bytes(min(left, _CHUNK_BYTES)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_for_writing(path: Path) -> str:
    """Open an existing file for writing, without writing: ok, or the name of the error."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return "ok"
