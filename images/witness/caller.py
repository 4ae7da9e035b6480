"""The process that made a call, as /proc shows it while the call waits for its answer.

Sources: proc(5). Paths are resolved as the caller sees them: from its working directory or from the
descriptor that it names.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import PurePosixPath

_PATH_BYTES = 4096
CWD = -100  # AT_FDCWD: relative paths begin at the working directory
_TICKS = os.sysconf("SC_CLK_TCK")


def text_at(tid: int, address: int, limit: int = _PATH_BYTES) -> str:
    """The text that begins there in its memory; what is no UTF-8 is written as surrogates."""
    return os.fsdecode(_bytes_at(tid, address, limit).partition(b"\0")[0])


def _bytes_at(tid: int, address: int, count: int) -> bytes:
    """Up to `count` bytes of its memory; fewer where the mapping ends."""
    memory = os.open(f"/proc/{tid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, count, address)
    finally:
        os.close(memory)


def path_at(tid: int, address: int, folder: int) -> str:
    """The absolute path that begins there; `folder`: the descriptor that a relative one is of."""
    name = text_at(tid, address)
    if name.startswith("/"):
        return os.path.normpath(name)
    number = folder & 0xFFFFFFFF
    signed = number - (1 << 32) if number >> 31 else number
    base = "cwd" if signed == CWD else f"fd/{signed}"
    return os.path.normpath(os.path.join(os.readlink(f"/proc/{tid}/{base}"), name))


def descriptor_path(tid: int, descriptor: int) -> str:
    """What the descriptor is of: a path, or the kernel's word for what has none."""
    return os.readlink(f"/proc/{tid}/fd/{descriptor}")


def arguments_of(pid: int) -> list[str]:
    """Its command line."""
    with open(f"/proc/{pid}/cmdline", "rb") as stream:
        return [os.fsdecode(word) for word in stream.read().split(b"\0")[:-1]]


def arguments_at(tid: int, address: int, most: int = 256) -> list[str]:
    """The list of texts (argv) that begins there, before a program is exchanged for another."""
    pointers = _bytes_at(tid, address, 8 * (most + 1))
    found: list[str] = []
    for (pointer,) in struct.iter_unpack("@Q", pointers[: len(pointers) // 8 * 8]):
        if pointer == 0 or len(found) >= most:
            break
        found.append(text_at(tid, pointer))
    return found


def process_of(tid: int) -> int:
    """The process that the thread is of."""
    with open(f"/proc/{tid}/status", "rb") as stream:
        for line in stream:
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
    return tid


def process_behind(tid: int, descriptor: int) -> int:
    """The process that a pidfd of the thread stands for. Raises `ValueError` if it is gone."""
    with open(f"/proc/{tid}/fdinfo/{descriptor}", "rb") as stream:
        for line in stream:
            if line.startswith(b"Pid:") and int(line.split()[1]) > 0:
                return int(line.split()[1])
    raise ValueError("the process behind the descriptor is gone")


def filtered(pid: int) -> bool | None:
    """Whether the process runs under a filter, as all watched ones do; None if there is none."""
    try:
        with open(f"/proc/{pid}/status", "rb") as stream:
            return any(line.split() == [b"Seccomp:", b"2"] for line in stream)
    except OSError:
        return None


def birth(pid: int) -> tuple[int, int]:
    """(parent, start in clock ticks after boot)."""
    fields = _stat(pid)
    return int(fields[1]), int(fields[19])


def cpu_s(pid: int) -> float:
    """Processor time that it has used, with all its threads, in seconds."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from `state` on."""
    with open(f"/proc/{pid}/stat", "rb") as stream:
        return stream.read().rpartition(b")")[2].decode().split()


def address_at(tid: int, address: int, size: int) -> str:
    """A socket address: HOST:PORT, a path, or "" for other families."""
    raw = _bytes_at(tid, address, min(size, 128))
    family = struct.unpack_from("@H", raw)[0] if len(raw) >= 2 else -1
    if family == socket.AF_INET and len(raw) >= 8:
        return f"{socket.inet_ntop(family, raw[4:8])}:{struct.unpack_from('!H', raw, 2)[0]}"
    if family == socket.AF_INET6 and len(raw) >= 24:
        return f"[{socket.inet_ntop(family, raw[8:24])}]:{struct.unpack_from('!H', raw, 2)[0]}"
    if family == socket.AF_UNIX:
        return str(PurePosixPath(os.fsdecode(raw[2:].partition(b"\0")[0]) or "unnamed"))
    return ""
