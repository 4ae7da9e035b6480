"""The ends of files that grow, and JSON that anybody may have written. Knows no format."""

import json
import os
from pathlib import Path
from typing import IO, Any


def matching(folder: Path, *patterns: str) -> list[Path]:
    """The paths below `folder` that match any of the globs; an empty glob matches nothing."""
    return [path for pattern in patterns if pattern for path in folder.glob(pattern)]


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


def list_at(document: Any, place: str) -> list[Any]:
    """The list at a dotted place of a JSON document ("": the document itself).

    Raises `LookupError` or `TypeError` where there is none.
    """
    for name in filter(None, place.split(".")):
        document = document[name]
    if not isinstance(document, list):
        raise TypeError(f"no list at {place!r}")
    return document


def json_object(content: bytes | None) -> dict[str, Any]:
    """The JSON object in `content`; empty when there is none."""
    try:
        value = json.loads(content or b"")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def select(entry: Any, field: str) -> Any:
    """The value at `field` (dotted for nested objects) of a decoded JSON object, or None."""
    if isinstance(entry, dict) and field in entry:
        return entry[field]
    for name in field.split("."):
        if not isinstance(entry, dict):
            return None
        entry = entry.get(name)
    return entry
