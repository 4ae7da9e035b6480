"""The ends of files that grow, and JSON that anybody may have written. Knows no format."""

import json
import os
from pathlib import Path
from typing import IO, Any


def tail_of(stream: IO[bytes], bytes_max: int) -> bytes:
    """The last `bytes_max` bytes of an open file."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - bytes_max))
    return stream.read(bytes_max)


def file_tail(path: Path, bytes_max: int) -> bytes:
    """The last `bytes_max` bytes of a file; empty when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return tail_of(stream, bytes_max)
    except OSError:
        return b""


def file_version(path: Path) -> tuple[int, int] | None:
    """(inode, mtime in ns), which changes with each write or replacement; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def file_from(path: Path, offset: int, bytes_max: int) -> bytes:
    """Up to `bytes_max` bytes of a file from `offset` on; empty when it cannot be read."""
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(bytes_max)
    except OSError:
        return b""


def json_object(content: bytes | None) -> dict[str, Any]:
    """The JSON object in `content`; empty when there is none."""
    try:
        value = json.loads(content or b"")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
