"""What a source of signals is, and the cheap readers that sources are made of.

A source is opened once and read many times; one read costs a few system calls. What is not
there leaves its key out and says why: an absence is never a zero. Knows no particular source.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat as modes
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

Values = dict[str, float | int | str | bool | None]

# A time stamp moves with the kernel's tick (up to 10 ms). Something as fresh as this may
# change again without a new time stamp, so what was read of it is not kept.
_FRESH_NS = 50_000_000


class Source(Protocol):
    """One source of signals.

    `read` puts what it can measure into `values`, without blocking; an `OSError` that leaves
    it counts as the absence of the whole source. `absences` maps the part that is missing
    (the source's name, or `name.part`) to the reason, as of the last read. `period_s`: how often
    it needs to be read; samples in between repeat its last values. 0: at every sample.
    `unchanged` is asked instead at a sample at which nothing is due; `read` follows when it says
    no. `looks_at`: signals of sources with a period that `values` holds beforehand, if they are
    there.
    """

    name: str
    period_s: float
    looks_at: tuple[str, ...]

    def unchanged(self) -> bool:
        """Tell whether a read would tell what the last one told, if that costs less than a read."""

    def read(self, values: Values) -> None:
        """Add what can be measured now."""

    def absences(self) -> dict[str, str]:
        """Tell what is missing, and why."""

    def close(self) -> None:
        """Release what is held open."""


class SourceBase:
    """The part that all sources share: a name, a pace, and the absences of the last read."""

    looks_at: tuple[str, ...] = ()

    def __init__(self, name: str, period_s: float = 0.0) -> None:
        self.name = name
        self.period_s = period_s
        self._absent: dict[str, str] = {}

    def unchanged(self) -> bool:
        """Only a read can tell."""
        return False

    def absences(self) -> dict[str, str]:
        """Missing parts and reasons, as of the last read."""
        return dict(self._absent)

    def close(self) -> None:
        """Release what is held open."""


def reason(error: OSError) -> str:
    """An `OSError` as a short reason: 'no such file or directory: NAME'."""
    text = (error.strerror or type(error).__name__).lower()
    return f"{text}: {error.filename}" if error.filename is not None else text


def stat(path: str) -> os.stat_result:
    """`os.stat`, for what is asked at every sample: going through `Path` doubles its cost."""
    return os.stat(path)  # noqa: PTH116


def open_file(path: str) -> int:
    """A descriptor for reading; what has taken a file's place (a pipe) must not make us wait."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def read_file(path: str, bytes_max: int) -> bytes:
    """A whole regular file. Raises `OSError`, also for what is no file or is larger."""
    descriptor = open_file(path)
    try:
        status = os.fstat(descriptor)
        if not modes.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", path)
        if status.st_size > bytes_max:
            raise OSError(errno.EFBIG, "File too large", path)
        raw = b""
        while chunk := os.read(descriptor, max(1, status.st_size - len(raw))):
            raw += chunk
            if len(raw) > bytes_max:  # it grows while it is read
                raise OSError(errno.EFBIG, "File too large", path)
        return raw
    finally:
        os.close(descriptor)


def unchanged_key(status: os.stat_result, read_at_ns: int) -> tuple[int, ...] | None:
    """Identifies a file's version; None when it may still change unseen (too fresh)."""
    if read_at_ns - status.st_mtime_ns < _FRESH_NS:
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def joined(names: Iterable[str]) -> str:
    """The names of a folder as one text, each between slashes.

    One search in one text: a tenth of the cost of asking a thousand names one by one.
    """
    return f"/{'/'.join(names)}/"


class Folder:
    """Names in one folder that match a glob pattern; listed again only after a change.

    Like a shell's, the pattern does not match names that begin with a dot.
    """

    def __init__(self, workspace: Path, pattern: str) -> None:
        parent, _, self._glob = pattern.rpartition("/")
        self.path = str(workspace / parent)
        plain = self._glob.startswith("*") and not set(self._glob[1:]) & set("*?[")
        self._suffix = self._glob[1:] if plain else None
        self._key: tuple[int, ...] | None = None
        self._listed: list[str] = []
        self._text: str | None = None
        self._names: list[str] | None = None

    def refresh(self) -> bool:
        """List again if needed; True when it was. Raises `OSError` when the folder is gone."""
        read_at_ns = time.time_ns()
        key = unchanged_key(stat(self.path), read_at_ns)
        if key is not None and key == self._key:
            return False
        self._listed = os.listdir(self.path)  # noqa: PTH208 (a Path per name costs too much)
        self._names = self._text = None
        self._key = key
        return True

    def text_of(self, key: tuple[int, ...] | None) -> str | None:
        """All names (see `joined`), if the folder was last listed as the version `key`."""
        return self._joined() if key is not None and key == self._key else None

    def _joined(self) -> str:
        if self._text is None:
            self._text = joined(self._listed)
        return self._text

    def names(self) -> list[str]:
        """The matching names of the last `refresh`."""
        if self._names is None:
            self._names = [n for n in fnmatch.filter(self._listed, self._glob) if n[0] != "."]
        return self._names

    def count(self) -> int:
        """How many names matched at the last `refresh`."""
        if not self._suffix or self._names is not None:
            return len(self.names())
        text = self._joined()
        if "/." in text:
            return len(self.names())
        return text.count(f"{self._suffix}/")


def without_companions(names: list[str]) -> int:
    """Counts files, not their companions (`X.reason.json` belongs to `X`)."""
    present = set(names)
    companions = 0
    for name in names:
        stem = name
        while "." in stem:
            stem = stem.rpartition(".")[0]
            if stem in present:
                companions += 1
                break
    return len(names) - companions


class Tail:
    """Reads what was appended to one open file since the last time, whole lines only.

    A torn last line waits for its end; a file that became shorter starts again. At most
    `limit` bytes per call: a backlog is read over several calls.
    """

    def __init__(self, path: str, limit: int = 1 << 20) -> None:
        self._fd = open_file(path)
        status = os.fstat(self._fd)
        self.identity = (status.st_dev, status.st_ino)
        self.restarts = 0
        self._offset = 0
        self._torn = b""
        self._limit = limit

    def new_lines(self, size: int | None = None) -> bytes:
        """The new whole lines (may be empty); `size` is the file's, where it is known."""
        if size is None:
            size = os.fstat(self._fd).st_size
        if size < self._offset:
            self._offset, self._torn = 0, b""
            self.restarts += 1
        if size == self._offset:
            return b""
        chunk = os.pread(self._fd, min(size - self._offset, self._limit), self._offset)
        self._offset += len(chunk)
        whole, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            self._torn += rest
            # A line longer than the limit can never be whole: let it go instead of growing.
            if len(self._torn) > self._limit:
                self._torn = b""
            return b""
        lines = self._torn + whole + newline
        self._torn = rest
        return lines

    @property
    def seen_bytes(self) -> int:
        """Bytes read so far, the torn end included."""
        return self._offset

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class PathTail:
    """A `Tail` that follows a path: opened when the file appears, again when it is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._tail: Tail | None = None

    def new_lines(self) -> tuple[bytes, bool]:
        """New whole lines, and whether the file began anew. Raises `OSError` when it is gone."""
        status = stat(self._path)
        size: int | None = status.st_size
        anew = False
        if self._tail is None or self._tail.identity != (status.st_dev, status.st_ino):
            self.close()
            self._tail = Tail(self._path)
            anew, size = True, None  # it may have been replaced once more in between
        restarts = self._tail.restarts
        lines = self._tail.new_lines(size)
        return lines, anew or self._tail.restarts != restarts

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._tail is not None:
            self._tail.close()
            self._tail = None


def select(entry: Any, field: str) -> Any:
    """The value at `field` (dotted for nested objects) of a decoded JSON object, or None."""
    if isinstance(entry, dict) and field in entry:
        return entry[field]
    for name in field.split("."):
        if not isinstance(entry, dict):
            return None
        entry = entry.get(name)
    return entry
