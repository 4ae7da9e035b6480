"""The request queue as folders: put files into it, and find where they are now.

Files are read without changing their access time (O_NOATIME), so that the access time shows
whether the Watcher has read them. Knows the target's patterns, and no fault.
"""

import contextlib
import fnmatch
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from chaos.base.errors import os_errors_told
from chaos.record.work import PLACES, PlaceName, Work

# The access time that files get. It is older than their other times, so that the kernel updates it
# at the first read, also with `relatime`.
_UNREAD_NS = 1_000_000_000
_READ_BYTES_MAX = 4 << 20


class QueueFolder:
    """Methods that put files raise `EnvironmentProblem`; the others never raise."""

    def __init__(self, workspace: Path, queue: Work) -> None:
        self.submit = workspace / queue.submit.folder
        self._work = queue
        globs = queue.places()
        self._globs = {p: globs[p].rpartition("/")[2] for p in PLACES if p in globs}
        self._folders: dict[PlaceName, Path] = {
            place: workspace / globs[place].rpartition("/")[0] for place in self._globs
        }

    def takes(self, name: str) -> bool:
        """True if a file of this name is a request for the Watcher."""
        return self._is_request("pending", name)

    def _is_request(self, place: PlaceName, name: str) -> bool:
        wanted = not name.startswith(".") and fnmatch.fnmatchcase(name, self._globs[place])
        return wanted and bool(self._work.request_of(name, place))

    # -- putting ------------------------------------------------------------------------------

    def put(self, name: str, content: bytes, *, mtime_ns: int | None = None) -> None:
        """Put a whole file in one step, marked as unread. `mtime_ns` None: now."""

        def make(part: Path) -> None:
            part.write_bytes(content)
            now_ns = part.stat().st_mtime_ns
            os.utime(part, ns=(_UNREAD_NS, now_ns if mtime_ns is None else mtime_ns))

        self._make(name, make)

    def begin(self, name: str, content: bytes) -> int:
        """Write the beginning of a file under its final name; return its descriptor to close."""
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
        """Put a folder with one file in it."""

        def make(part: Path) -> None:
            part.mkdir()
            (part / "content.txt").write_bytes(content)

        self._make(name, make)

    def put_dangling_link(self, name: str, _content: bytes) -> None:
        """Put a symbolic link to a missing file."""
        self._make(name, lambda part: part.symlink_to(self.submit / f".{name}.nowhere"))

    def put_fifo(self, name: str, _content: bytes) -> None:
        """Put a named pipe without a writer: opening it for reading blocks."""
        self._make(name, os.mkfifo)

    def put_forbidden(self, name: str, content: bytes) -> None:
        """Put a file with mode 0."""

        def make(part: Path) -> None:
            part.write_bytes(content)
            part.chmod(0)

        self._make(name, make)

    def _make(self, name: str, make: Callable[[Path], object]) -> None:
        """Create it under a hidden name, then rename it, so that it appears in one step."""
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
        """Sorted names of the requests that wait."""
        return self._requests("pending")

    def claimed(self) -> list[str]:
        """Sorted names of the requests that are being processed."""
        return self._requests("claimed")

    def all_names(self) -> set[str]:
        """All names in the folder of waiting requests, also those that are no requests."""
        return set(_names(self._folders["pending"]))

    def newest_archived(self) -> str | None:
        """The request that was archived last, if any."""
        archive = self._folders["archived"]
        newest = max(((_mtime_ns(archive / n), n) for n in self._requests("archived")), default="")
        return newest[1] if newest else None

    def _requests(self, place: PlaceName) -> list[str]:
        names = _names(self._folders[place]) if place in self._folders else ()
        return sorted(name for name in names if self._is_request(place, name))

    def places(self, name: str) -> list[PlaceName]:
        """Where files of this request are, in the order of a request's life.

        In archive and quarantine it is enough that the stem is in the name, because a Watcher may
        add a number or a status to it.
        """
        exact = [p for p, folder in self._folders.items() if os.path.lexists(folder / name)]
        return exact or [p for p in self._folders if self._renamed(p, name) is not None]

    def path(self, name: str, place: PlaceName) -> Path:
        """The file that `places` found there, else where it would be."""
        exact = self._folders[place] / name
        if os.path.lexists(exact):
            return exact
        return self._renamed(place, name) or exact

    def _renamed(self, place: PlaceName, name: str) -> Path | None:
        stem = self._work.stem(name)
        for other in _names(self._folders[place]):
            if place in ("pending", "claimed"):
                found = self._is_request(place, other) and (
                    self._work.request_of(other, place) == name
                )
            else:
                found = stem in other and not other.endswith(".reason.json")
            if found:
                return self._folders[place] / other
        return None


def content_of(path: Path) -> bytes | None:
    """The bytes of a regular file, its access time unchanged; None if there is none."""
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
    """True if a file was read since it was marked as unread."""
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
