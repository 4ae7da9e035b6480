"""The system calls that are watched, and what each says: the numbers of the architecture, and which
arguments are a path, a descriptor, a process or a signal.

Reads and plain opens are not watched: their number would disturb. What this cannot see is listed in
README.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from seccomp import Watched, machine

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Call:
    """One watched call. Numbers are places of arguments; -1 is none.

    `folder` and `to_folder` are the descriptors that relative paths start from.
    """

    name: str
    numbers: dict[str, int]
    path: int = -1
    folder: int = -1
    to: int = -1
    to_folder: int = -1
    descriptor: int = -1
    process: int = -1
    thread: int = -1
    signal: int = -1
    value: int = -1
    flags: int = -1
    address: int = -1


def _call(name: str, x86_64: int, aarch64: int = -1, **places: int) -> Call:
    numbers = {"x86_64": x86_64, "aarch64": aarch64}
    return Call(name, {arch: number for arch, number in numbers.items() if number >= 0}, **places)


# Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux.
CALLS = (
    _call("open", 2, path=0, flags=1),
    _call("open", 257, 56, folder=0, path=1, flags=2),  # openat
    _call("open", 437, 437, folder=0, path=1),  # openat2: its flags are in memory
    _call("open", 85, path=0),  # creat
    _call("rename", 82, path=0, to=1),
    _call("rename", 264, 38, folder=0, path=1, to_folder=2, to=3),  # renameat
    _call("rename", 316, 276, folder=0, path=1, to_folder=2, to=3),  # renameat2
    _call("link", 86, path=0, to=1),
    _call("link", 265, 37, folder=0, path=1, to_folder=2, to=3),  # linkat
    _call("unlink", 87, path=0),
    _call("unlink", 263, 35, folder=0, path=1),  # unlinkat
    _call("unlink", 84, path=0),  # rmdir
    _call("truncate", 76, 45, path=0, value=1),
    _call("truncate", 77, 46, descriptor=0, value=1),  # ftruncate
    _call("fsync", 74, 82, descriptor=0),
    _call("fsync", 75, 83, descriptor=0),  # fdatasync
    _call("exec", 59, 221, path=0),
    _call("exec", 322, 281, folder=0, path=1),  # execveat
    _call("exit", 231, 94, value=0),  # exit_group
    _call("kill", 62, 129, process=0, signal=1),
    _call("kill", 200, 130, process=0, signal=1, thread=0),  # tkill
    _call("kill", 234, 131, process=0, signal=2, thread=1),  # tgkill
    _call("kill", 424, 424, process=0, signal=1),  # pidfd_send_signal: its process is a descriptor
    _call("connect", 42, 203, descriptor=0, address=1, value=2),
)


def by_number() -> dict[int, Call]:
    """Those of this architecture."""
    arch = machine()
    return {call.numbers[arch]: call for call in CALLS if arch in call.numbers}


def watched() -> list[Watched]:
    """For the filter. Opens are watched only where they may write."""
    return [
        Watched(number, call.flags, _WRITES) if call.flags >= 0 else Watched(number)
        for number, call in by_number().items()
    ]
