"""The few fields of stored JSON files that a list shows, read cheaply, links not followed.

A file may come from anywhere: a text is cut, and a damaged file is a problem that is said.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from chaos.base.below import read_below
from chaos.record.history import UNREADABLE

FILE_BYTES_MAX = 16 << 20
_TEXT_MAX = 300  # characters that are kept of a text
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-", re.ASCII)
_T = TypeVar("_T")


def fields_of(root: Path, relative: str, kind: type[_T]) -> tuple[_T | None, str]:
    """(content, ""), (None, "") if there is no such file, or (None, what is wrong)."""
    name = relative.rpartition("/")[2]
    try:
        return msgspec.json.decode(read_below(root, relative, FILE_BYTES_MAX), type=kind), ""
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        # A link to a file is refused as one too many links.
        why = "it is a link" if (root / relative).is_symlink() else error.strerror
        return None, f"{name} cannot be read: {why}"
    except UNREADABLE as error:
        return None, f"{name} is damaged: {kept(str(error))}"


def began_s(root: Path, relative: str) -> float:
    """When it began (Unix time): its name says it; a name of another form, when it was changed."""
    if match := _STAMP.match(relative.rpartition("/")[2]):
        year, month, day, hour, minute, second = map(int, match.groups())
        try:
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
        except ValueError:
            pass
    try:
        return (root / relative).lstat().st_mtime
    except OSError:
        return 0.0


def kept(text: str) -> str:
    """The text, cut to what a list shows."""
    return text[:_TEXT_MAX]
