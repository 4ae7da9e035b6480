"""The request queue as a folder: files put into it, and looked at where they lie now.

Looking leaves no trace: a file is read without touching its access time, which therefore tells
whether anybody else has read it. Knows the target's patterns, and nothing of faults.
"""

import contextlib
import fnmatch
import heapq
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from chaos.base.errors import os_errors_told
from chaos.record.target import Queue

Place = Literal["pending", "claimed", "archived", "quarantined"]
PLACES: tuple[Place, ...] = ("pending", "claimed", "archived", "quarantined")
# The access time that files are given; the kernel moves it at the first read, also where reads are
# noted only once per change (`relatime`): it is older than any other time of the file.
_UNREAD_NS = 1_000_000_000
_READ_BYTES_MAX = 4 << 20


class QueueFolder:
    """Putting raises `EnvironmentProblem`; looking never raises."""

    def __init__(self, workspace: Path, queue: Queue) -> None:
        self.submit = workspace / queue.submit_dir
        self._pattern = queue.pending.rpartition("/")[2]
        self._folders: dict[Place, Path] = {
            place: workspace / str(getattr(queue, place)).rpartition("/")[0] for place in PLACES
        }

    def takes(self, name: str) -> bool:
        """True if the Watcher looks at a file of this name at all."""
        return not name.startswith(".") and fnmatch.fnmatchcase(name, self._pattern)

    # -- putting ------------------------------------------------------------------------------

    def put(self, name: str, content: bytes, *, mtime_ns: int | None = None) -> None:
        """A whole file in one step, marked as unread; `mtime_ns` None: now."""

        def make(part: Path) -> None:
            part.write_bytes(content)
            now_ns = part.stat().st_mtime_ns
            os.utime(part, ns=(_UNREAD_NS, now_ns if mtime_ns is None else mtime_ns))

        self._make(name, make)

    def begin(self, name: str, content: bytes) -> int:
        """The beginning of a file under its own name, as a careless producer writes; its open
        descriptor. Close it.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with self._errors_told(name):
            handle = os.open(self.submit / name, flags, 0o644)
            try:
                os.write(handle, content)
                os.utime(handle, ns=(_UNREAD_NS, os.fstat(handle).st_mtime_ns))
            except OSError:
                os.close(handle)
                raise
        return handle

    def put_directory(self, name: str, content: bytes) -> None:
        """A folder with one file in it, where a file is due."""

        def make(part: Path) -> None:
            part.mkdir()
            (part / "content.txt").write_bytes(content)

        self._make(name, make)

    def put_dangling_link(self, name: str, _content: bytes) -> None:
        """A symbolic link to nothing."""
        self._make(name, lambda part: part.symlink_to(self.submit / f".{name}.nowhere"))

    def put_fifo(self, name: str, _content: bytes) -> None:
        """A named pipe that nobody writes to: opening it for reading waits for ever."""
        self._make(name, os.mkfifo)

    def put_forbidden(self, name: str, content: bytes) -> None:
        """A file that its mode lets nobody read."""

        def make(part: Path) -> None:
            part.write_bytes(content)
            part.chmod(0)

        self._make(name, make)

    def _make(self, name: str, make: Callable[[Path], object]) -> None:
        """Make it under a hidden name, then rename it: it appears in one step."""
        part = self.submit / f".{name}.part"
        with self._errors_told(name):
            make(part)
            part.rename(self.submit / name)

    @contextlib.contextmanager
    def _errors_told(self, name: str) -> Iterator[None]:
        hint = "look at the free space and the modes of the queue's folder"
        with os_errors_told("cannot put it into the queue", self.submit / name, next_step=hint):
            self.submit.mkdir(parents=True, exist_ok=True)
            yield

    # -- looking ------------------------------------------------------------------------------

    def pending(self) -> list[str]:
        """Names that wait, sorted as a listing shows them."""
        return sorted(name for name in _names(self._folders["pending"]) if self.takes(name))

    def claimed(self) -> list[str]:
        """Names of requests that are in work."""
        return sorted(name for name in _names(self._folders["claimed"]) if self.takes(name))

    def all_names(self) -> set[str]:
        """Everything in the folder of those that wait, also what the Watcher leaves alone."""
        return set(_names(self._folders["pending"]))

    def newest_archived(self) -> str | None:
        """The request that was archived last, if any."""
        with_time = (
            (_mtime_ns(self._folders["archived"] / name), name)
            for name in _names(self._folders["archived"])
            if self.takes(name)
        )
        newest = heapq.nlargest(1, with_time)
        return newest[0][1] if newest else None

    def places(self, name: str) -> list[Place]:
        """Where files of this name are, in the order in which a request goes through them.

        A Watcher may lengthen a name when it puts a file away (a number behind, a status in
        front of it): in archive and quarantine it is enough that the stem is in the name.
        """
        found = [place for place in PLACES if os.path.lexists(self._folders[place] / name)]
        if found:
            return found
        return [place for place in PLACES[2:] if self._renamed(place, name) is not None]

    def path(self, name: str, place: Place) -> Path:
        exact = self._folders[place] / name
        if os.path.lexists(exact):
            return exact
        return self._renamed(place, name) or exact

    def _renamed(self, place: Place, name: str) -> Path | None:
        stem = name.removesuffix(".json")
        for other in _names(self._folders[place]):
            if stem in other and not other.endswith(".reason.json"):
                return self._folders[place] / other
        return None


def content_of(path: Path) -> bytes | None:
    """The bytes of a regular file, read unnoticed; None when it has gone or is none."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOATIME
    try:
        handle = os.open(path, flags)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        return stream.read(_READ_BYTES_MAX)


def was_read(path: Path) -> bool:
    """True if somebody has read a file since it was marked as unread."""
    try:
        return path.lstat().st_atime_ns != _UNREAD_NS
    except OSError:
        return False


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries)
    except OSError:
        return


def _mtime_ns(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0
