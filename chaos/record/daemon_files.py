"""Single files of the daemon, in the workspace or as collected. Needs no database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from chaos.base.files import list_at
from chaos.record.record_sql import Source


def json_of(path: Path) -> tuple[Any, str]:
    """(content, "") or (None, what is wrong with the file)."""
    try:
        return msgspec.json.decode(path.read_bytes()), ""
    except FileNotFoundError:
        return None, "is missing"
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return None, f"is not JSON: {error}"


def entries_of(folder: Path, source: Source) -> list[Any]:
    """The entries of a JSON document, or the whole lines of a log of JSON objects.

    Raises `OSError` or `ValueError` for a file that cannot be read, `LookupError` or `TypeError`
    where it has no list.
    """
    content = (folder / source.path).read_bytes()
    if source.document:
        return entries_in(msgspec.json.decode(content), source)
    return [entry for line in content.splitlines() if (entry := _object(line)) is not None]


def raw_entries(folder: Path, source: Source) -> list[msgspec.Raw]:
    """The entries of a JSON document as they are written. Raises as `entries_of`."""
    document = msgspec.Raw((folder / source.path).read_bytes().decode().encode())
    for name in filter(None, source.place.split(".")):
        document = msgspec.json.decode(document, type=dict[str, msgspec.Raw])[name]
    if source.place or bytes(document).lstrip().startswith(b"["):
        return msgspec.json.decode(document, type=list[msgspec.Raw])
    msgspec.json.decode(document)  # it may be torn
    return [document]


def entries_in(document: Any, source: Source) -> list[Any]:
    """The items of its list, or itself. Raises `LookupError` or `TypeError` without the list."""
    one = not source.place and not isinstance(document, list)
    return [document] if one else list_at(document, source.place)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def problem_of(folder: Path, source: Source) -> str:
    """What is wrong with the file of a record, so that it has no rows; "" where nothing is."""
    if not source.document:
        return "" if any(folder.glob(source.path)) else "is missing"
    content, problem = json_of(folder / source.path)
    if problem:
        return problem
    try:
        entries_in(content, source)
    except (LookupError, TypeError):
        return f"has no list {source.place!r}"
    return ""
