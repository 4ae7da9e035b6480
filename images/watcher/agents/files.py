"""Writes files atomically: after a crash or on a full disk, the old or the new content stands.

Knows nothing of requests, decisions or the LLM.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Errors of an exhausted machine. The daemon waits until they are over; it does not end.
EXHAUSTED = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)
READ_LIMIT_BYTES = 64 * 1024 * 1024


def is_exhausted(error: OSError | MemoryError) -> bool:
    """True if the error means that a resource has run out (disk, descriptors, memory)."""
    return isinstance(error, MemoryError) or error.errno in EXHAUSTED


def describe(error: OSError | MemoryError) -> str:
    """The error as a short text, without the file's name."""
    if isinstance(error, MemoryError):
        return os.strerror(errno.ENOMEM)
    return error.strerror or str(error)


def utc_now() -> str:
    """The current time: ISO 8601, UTC, with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def sync_dir(folder: Path) -> None:
    """Makes renames in the folder durable (fsync)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Makes the file's content durable (fsync)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    """Writes every byte, or raises OSError. A full disk may accept a part without an error."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replaces the file atomically. Raises OSError; then the old file is unchanged.

    `durable`: also survives a power cut (fsync).
    """
    temporary = path.parent / f".{path.name[:200]}.{os.getpid()}.tmp"
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_all(handle, data)
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_dir(path.parent)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Replaces a JSON file atomically, and creates its folder. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(value, indent=2, allow_nan=False).encode() + b"\n"
    write_atomic(path, data, durable=durable)


def read_json(path: Path, limit_bytes: int = READ_LIMIT_BYTES) -> Any:
    """Reads a JSON file. Raises OSError, or ValueError when it is too large or not JSON."""
    with path.open("rb") as stream:
        # `read(n)` allocates n bytes at once, so ask only for the file's size.
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(min(size, limit_bytes) + 1)
    if len(data) > limit_bytes:
        raise ValueError(f"{path}: larger than {limit_bytes} bytes")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError(f"{path}: nested too deeply") from error


def read_object(path: Path) -> dict[str, Any] | None:
    """Reads a JSON object; None if the file is missing, unreadable or not an object."""
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def move_durably(source: Path, target: Path) -> None:
    """Renames, and makes the rename durable in both folders. Raises OSError.

    Idempotent: a file that an earlier try has moved, and could not sync, is synced.
    """
    try:
        source.rename(target)
    except FileNotFoundError:
        if not os.path.lexists(target):
            raise
    sync_dir(target.parent)
    if source.parent != target.parent:
        sync_dir(source.parent)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove_tree(folder: Path) -> None:
    """Removes a folder with its content, or a file. Idempotent. Raises OSError."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def sweep_temporaries(folder: Path) -> None:
    """Removes the temporary files that an interrupted `write_atomic` left in the folder."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()
