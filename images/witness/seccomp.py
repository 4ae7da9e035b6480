"""The kernel's interface for watching system calls: seccomp user notification (seccomp(2), "NOTES";
seccomp_unotify(2)). Standard library and ctypes only; knows no call by its meaning.

A filter is a program for the kernel's classic BPF machine over `struct seccomp_data` (number,
architecture, instruction pointer, six arguments).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_SYSCALL = {"x86_64": 317, "aarch64": 277}  # seccomp(2) itself
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000  # calls of the x32 interface, whose numbers are others

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
_NEW_LISTENER = 1 << 3
_WAIT_KILLABLE = 1 << 5  # Linux 5.19: a signal does not restart a call that is being looked at

_RET_ALLOW = 0x7FFF0000
_RET_NOTIFY = 0x7FC00000
_RET_ERRNO = 0x00050000

# _IOWR('!', n, size), _IOW('!', n, size)
_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_VALID = 0x40082102
_CONTINUE = 1

_LOAD, _JUMP_EQUAL, _JUMP_SET, _JUMP_GE, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16


class Unavailable(OSError):
    """This kernel, or what runs us, does not let calls be watched."""


@dataclass(frozen=True)
class Watched:
    """A system call to be watched: always, or only where an argument has one of some bits."""

    number: int
    argument: int = -1
    bits: int = 0


@dataclass(frozen=True)
class Notice:
    """One call that waits for its answer: `struct seccomp_notif`."""

    id: int
    tid: int
    number: int
    arguments: tuple[int, ...]


_NOTICE = struct.Struct("=QII" + "iIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_libc = ctypes.CDLL(None, use_errno=True)


def machine() -> str:
    """The architecture, by the name that uname(2) has for it. Raises `Unavailable`."""
    name = platform.machine()
    if name not in _SYSCALL:
        raise Unavailable(errno.ENOSYS, f"system calls of {name} are not known here")
    return name


def program(calls: Iterable[Watched]) -> bytes:
    """The filter, as the kernel wants it: notify for `calls`, allow everything else."""
    arch = _AUDIT_ARCH[machine()]
    code = [
        _instruction(_LOAD, k=_ARCH_AT),
        _instruction(_JUMP_EQUAL, k=arch, jt=1),
        _instruction(_RETURN, k=_RET_ERRNO | errno.ENOSYS),  # a foreign interface would hide calls
        _instruction(_LOAD, k=_NUMBER_AT),
        _instruction(_JUMP_GE, k=_X32_BIT, jf=1),
        _instruction(_RETURN, k=_RET_ERRNO | errno.ENOSYS),
    ]
    for call in calls:
        if call.argument < 0:
            code.append(_instruction(_JUMP_EQUAL, k=call.number, jf=1))
            code.append(_instruction(_RETURN, k=_RET_NOTIFY))
            continue
        code.append(_instruction(_JUMP_EQUAL, k=call.number, jf=4))
        code.append(_instruction(_LOAD, k=_ARGUMENTS_AT + 8 * call.argument))
        code.append(_instruction(_JUMP_SET, k=call.bits, jf=1))
        code.append(_instruction(_RETURN, k=_RET_NOTIFY))
        code.append(_instruction(_RETURN, k=_RET_ALLOW))
    code.append(_instruction(_RETURN, k=_RET_ALLOW))
    return b"".join(code)


def _instruction(code: int, *, k: int, jt: int = 0, jf: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jt, jf, k)


def install(filter_program: bytes) -> int:
    """Put this thread, and all that it starts, under the filter; returns the listener.

    From now on it can gain no rights by set-user-ID programs. Raises `Unavailable`.
    """
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise Unavailable(ctypes.get_errno(), "no_new_privs cannot be set")
    buffer = ctypes.create_string_buffer(filter_program, len(filter_program))
    head = struct.pack("@HxxxxxxQ", len(filter_program) // 8, ctypes.addressof(buffer))
    number = _SYSCALL[machine()]
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):
        listener: int = _libc.syscall(number, _SET_MODE_FILTER, flags, head)
        if listener >= 0:
            return listener
        if ctypes.get_errno() != errno.EINVAL:
            break
    code = ctypes.get_errno()
    raise Unavailable(code, f"the kernel does not load the filter: {os.strerror(code)}")


def receive(listener: int) -> Notice | None:
    """The next call; None when it was gone before it could be received."""
    buffer = bytearray(_NOTICE.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer, True)
    except (BlockingIOError, FileNotFoundError, InterruptedError):
        return None
    notice, tid, _, number, _, _, *arguments = _NOTICE.unpack(buffer)
    return Notice(notice, tid, number, tuple(arguments))


def waits(listener: int, notice: Notice) -> bool:
    """Whether that call still waits: what was read of its process is of it, and of no other."""
    try:
        fcntl.ioctl(listener, _VALID, struct.pack("=Q", notice.id))
    except OSError:
        return False
    return True


def let_go_on(listener: int, notice: Notice) -> None:
    """Let the kernel do the call."""
    _answer(listener, _ANSWER.pack(notice.id, 0, 0, _CONTINUE))


def fail(listener: int, notice: Notice, code: int) -> None:
    """Let the call fail with the error `code`, undone."""
    _answer(listener, _ANSWER.pack(notice.id, 0, -code, 0))


def _answer(listener: int, answer: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):  # the caller was killed meanwhile
        fcntl.ioctl(listener, _SEND, answer)
