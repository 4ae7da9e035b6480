"""Cover a folder read-only: a read-only bind mount of it, moved over it in one step.

A remount of the file system itself fails with EBUSY while any program has a file open for writing,
a held lock file included. The cover applies to every path look-up through the folder. It does not
apply to descriptors that are open already, or to relative paths of programs that entered the folder
before. Only for a private mount namespace. Must not know which fault needs it.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chaos.base.errors import EnvironmentProblem
from chaos.sandbox.enter import inside, mount, unmount

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 0x1, 0x2, 0x4, 0x20
_MS_BIND, _MS_MOVE = 0x1000, 0x2000
_LAYERS_MAX = 16
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mounted:
    """One mount: its id in this mount namespace, and whether it is read-only."""

    number: int
    read_only: bool


def mounts_on(folder: Path) -> list[Mounted]:
    """The mounts on `folder`, the topmost last."""
    mount_point = os.fsencode(folder.resolve())
    mounts = []
    for line in _MOUNTS.read_bytes().splitlines():
        fields = line.split()
        if _unescaped(fields[4]) == mount_point:
            mounts.append(Mounted(int(fields[0]), b"ro" in fields[5].split(b",")))
    return mounts


def cover(folder: Path) -> None:
    """Cover `folder`, which must be a mount point. Raises `EnvironmentProblem`."""
    if not inside():
        raise EnvironmentProblem(
            "not in a mount namespace of our own", next_step="run it in the sandbox"
        )
    aside = Path(tempfile.mkdtemp(prefix="chaos-cover-"))
    mounted = False
    try:
        mount(str(folder), aside, "", _MS_BIND)
        mounted = True
        flags = _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
        mount("", aside, "", flags)  # works, because no program has a file open through `aside`
        mount(str(aside), folder, "", _MS_MOVE)
        mounted = False
    finally:
        if mounted:
            unmount(aside)
        aside.rmdir()


def uncover(folder: Path, keep: int) -> None:
    """Remove all mounts above the mount with the id `keep`. Idempotent. Raises `OSError`.

    Makes each cover writable first, because a program that entered the folder stays in the cover.
    """
    for _ in range(_LAYERS_MAX):
        layers = mounts_on(folder)
        if not layers or layers[-1].number == keep:
            return
        mount("", folder, "", _MS_BIND | _MS_REMOUNT | _MS_NOSUID | _MS_NODEV)
        unmount(folder)


def _unescaped(name: bytes) -> bytes:
    """Decode the octal escapes that mountinfo uses for white space and backslashes."""
    for octal, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n")):
        name = name.replace(octal, plain)
    return name.replace(b"\\134", b"\\")
