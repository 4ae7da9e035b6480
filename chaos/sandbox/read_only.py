"""A read-only cover over a folder: a bind mount of it, made read-only, moved over it in one step.

The file system below cannot be remounted while any program has a file of it open for writing (a
lock that is held is enough): the kernel answers EBUSY. The cover is in force for every name that
leads through the folder. What it does not reach: descriptors that are open already, and relative
names of programs whose working folder was entered before. Only for a mount namespace of our own.
"""

from __future__ import annotations

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
    """One mount: its number in this namespace, and whether it was mounted read-only."""

    number: int
    read_only: bool


def mounts_on(folder: Path) -> list[Mounted]:
    """What is mounted on `folder`, the topmost last."""
    wanted = os.fsencode(folder.resolve())
    found = []
    for line in _MOUNTS.read_bytes().splitlines():
        words = line.split()
        if _unescaped(words[4]) == wanted:
            found.append(Mounted(int(words[0]), b"ro" in words[5].split(b",")))
    return found


def cover(folder: Path) -> None:
    """Put the cover over `folder`, itself a mount. Raises `EnvironmentProblem`."""
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
        mount("", aside, "", flags)  # nobody has found this way in yet, so nothing is open
        mount(str(aside), folder, "", _MS_MOVE)
        mounted = False
    finally:
        if mounted:
            unmount(aside)
        aside.rmdir()


def uncover(folder: Path, keep: int) -> None:
    """Take off what lies above the mount number `keep`; idempotent. Raises `OSError`.

    A cover is made writable before: a program that entered its folder meanwhile stays in it.
    """
    for _ in range(_LAYERS_MAX):
        layers = mounts_on(folder)
        if not layers or layers[-1].number == keep:
            return
        mount("", folder, "", _MS_BIND | _MS_REMOUNT | _MS_NOSUID | _MS_NODEV)
        unmount(folder)


def _unescaped(name: bytes) -> bytes:
    """mountinfo writes blanks and the like as octal escapes."""
    for octal, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n")):
        name = name.replace(octal, plain)
    return name.replace(b"\\134", b"\\")
