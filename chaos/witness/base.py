"""The interface of a source of signals, and the cheap file readers that sources share.

A source is opened once and read many times. One read costs a few system calls. A signal that
cannot be measured is left out, with a reason: an absence is never a zero. Knows no particular
source.
"""

import errno
import fnmatch
import os
import stat as modes
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

Values = dict[str, float | int | str | bool | None]

# File time stamps move with the kernel's tick (up to 10 ms). A file modified less than this ago may
# change again without a new time stamp, so nothing that was read of it is cached.
_FRESH_NS = 50_000_000


class Source(Protocol):
    """One source of signals.

    `period_s`: seconds between two reads; samples in between repeat the last values. 0: read at
    every sample. `inputs`: keys of sources with a period that this source needs; where they were
    measured, `values` has them before `read` is called.
    """

    name: str
    period_s: float
    inputs: tuple[str, ...]

    def unchanged(self) -> bool:
        """True if `read` would return the previous values.

        Asked of a source without a period at a sample where no other source is due; False makes
        the caller read all of them. False is always safe.
        """

    def read(self, values: Values) -> None:
        """Add what can be measured now to `values`, without blocking.

        Raises `OSError`: then the whole source is absent, with that error as the reason.
        """

    def absences(self) -> dict[str, str]:
        """Map each missing part (the source's name, or `name.part`) to the reason (last read)."""

    def close(self) -> None:
        """Close the files and sockets that are open."""


class SourceBase:
    """The state that all sources share: a name, a period, and the absences of the last read."""

    inputs: tuple[str, ...] = ()

    def __init__(self, name: str, period_s: float = 0.0) -> None:
        self.name = name
        self.period_s = period_s
        self._absent: dict[str, str] = {}

    def unchanged(self) -> bool:
        return False  # a source that cannot tell without a read must be read

    def absences(self) -> dict[str, str]:
        return dict(self._absent)

    def close(self) -> None:
        """Do nothing: a source that opens files overrides this."""


def reason(error: OSError) -> str:
    """Turn an `OSError` into a short reason: 'no such file or directory: NAME'."""
    text = (error.strerror or type(error).__name__).lower()
    return f"{text}: {error.filename}" if error.filename is not None else text


def stat(path: str) -> os.stat_result:
    """`os.stat` for calls made at every sample: `Path.stat` costs twice as much."""
    return os.stat(path)  # noqa: PTH116


def open_file(path: str) -> int:
    """Open `path` for reading, and return the file descriptor.

    Does not block if a named pipe has taken the file's place.
    """
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def read_file(path: str, bytes_max: int) -> bytes:
    """Read a whole regular file.

    Raises `OSError` if it cannot be read, is not a regular file, or exceeds `bytes_max`.
    """
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
            if len(raw) > bytes_max:  # it grew while it was read
                raise OSError(errno.EFBIG, "File too large", path)
        return raw
    finally:
        os.close(descriptor)


def unchanged_key(status: os.stat_result, read_at_ns: int) -> tuple[int, ...] | None:
    """Identify one version of a file; None if it is so fresh that it may change unnoticed."""
    if read_at_ns - status.st_mtime_ns < _FRESH_NS:
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def joined(names: Iterable[str]) -> str:
    """Join the names of a folder into one text, each name between slashes.

    Searching this text costs a tenth of testing a thousand names one by one.
    """
    return f"/{'/'.join(names)}/"


class Folder:
    """The names in one folder that match a glob pattern. Lists the folder only after a change.

    As in a shell, the pattern does not match names that begin with a dot.
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
        """List the folder if it may have changed, and return True if it was listed.

        Raises `OSError` if the folder cannot be read.
        """
        read_at_ns = time.time_ns()
        key = unchanged_key(stat(self.path), read_at_ns)
        if key is not None and key == self._key:
            return False
        self._listed = os.listdir(self.path)  # noqa: PTH208 (a Path per name costs too much)
        self._names = self._text = None
        self._key = key
        return True

    def text_of(self, key: tuple[int, ...] | None) -> str | None:
        """All names as `joined` returns them, or None if `key` is not the listed version."""
        return self._joined() if key is not None and key == self._key else None

    def _joined(self) -> str:
        if self._text is None:
            self._text = joined(self._listed)
        return self._text

    def names(self) -> list[str]:
        """The names that matched at the last `refresh`, unordered."""
        if self._names is None:
            self._names = [n for n in fnmatch.filter(self._listed, self._glob) if n[0] != "."]
        return self._names

    def count(self) -> int:
        """The number of names that matched at the last `refresh`."""
        if not self._suffix or self._names is not None:
            return len(self.names())
        text = self._joined()
        if "/." in text:
            return len(self.names())
        return text.count(f"{self._suffix}/")


def without_companions(names: list[str]) -> int:
    """Count the files that are not companions of others (`X.reason.json` belongs to `X`)."""
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
    """Read the whole lines that were appended to one open file since the last call.

    A torn last line is returned once it is complete. A file that became shorter is read again from
    its start. One call reads at most `limit` bytes, so a backlog takes several calls.
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
        """The new whole lines (may be empty). `size`: the file's size in bytes, if known."""
        if size is None:
            size = os.fstat(self._fd).st_size
        if size < self._offset:
            self._offset, self._torn = 0, b""
            self.restarts += 1
        if size == self._offset:
            return b""
        chunk = os.pread(self._fd, min(size - self._offset, self._limit), self._offset)
        self._offset += len(chunk)
        complete, newline, incomplete = chunk.rpartition(b"\n")
        if not newline:
            self._torn += incomplete
            # A line longer than the limit is dropped, so that memory stays bounded.
            if len(self._torn) > self._limit:
                self._torn = b""
            return b""
        lines = self._torn + complete + newline
        self._torn = incomplete
        return lines

    @property
    def seen_bytes(self) -> int:
        """Bytes read so far, including a torn last line."""
        return self._offset

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class PathTail:
    """A `Tail` that follows a path: it opens the file when it appears or is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._tail: Tail | None = None

    def new_lines(self) -> tuple[bytes, bool]:
        """(new whole lines, True if they begin a new or emptied file).

        Raises `OSError` if there is no file.
        """
        status = stat(self._path)
        size: int | None = status.st_size
        is_new = False
        if self._tail is None or self._tail.identity != (status.st_dev, status.st_ino):
            self.close()
            self._tail = Tail(self._path)
            is_new, size = True, None  # it may have been replaced once more since the stat
        restarts = self._tail.restarts
        lines = self._tail.new_lines(size)
        return lines, is_new or self._tail.restarts != restarts

    def close(self) -> None:
        """Close the file, if it is open. Idempotent."""
        if self._tail is not None:
            self._tail.close()
            self._tail = None
