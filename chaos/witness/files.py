"""Signals of the Watcher's files: queue, decisions, candidates, disk, logs.

The target profile says where each file is. Knows no process and no endpoint.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from chaos.base.files import matching, select
from chaos.record.record_sql import DecisionLog
from chaos.record.work import PlaceName, Work
from chaos.witness.base import (
    Folder,
    PathTail,
    SourceBase,
    Tail,
    Values,
    reason,
    stat,
    without_companions,
)

_PERIOD_S = 0.5

TRACEBACK = "Traceback (most recent call last)"


class Folders(SourceBase):
    """Number of files per folder pattern, one key each. Counts again only after a change."""

    def __init__(
        self,
        name: str,
        patterns: dict[str, str],
        workspace: Path,
        counters: Mapping[str, Callable[[Folder], int]] | None = None,
        period_s: float = _PERIOD_S,
    ) -> None:
        super().__init__(name, period_s)
        self.folders = {key: Folder(workspace, pattern) for key, pattern in patterns.items()}
        self._counters = counters or {}
        self._counts: dict[str, int] = {}

    @classmethod
    def of_queue(cls, workspace: Path, queue: Work) -> Folders:
        """Count `queue.pending`, `.claimed`, `.archived` and `.quarantined`, those there are."""
        return cls(
            "queue",
            {f"queue.{place}": pattern for place, pattern in queue.places().items()},
            workspace,
            {
                "queue.quarantined": lambda folder: without_companions(folder.names()),
                "queue.pending": lambda folder: _requests(queue, "pending", folder),
                "queue.claimed": lambda folder: _requests(queue, "claimed", folder),
            },
        )

    def read(self, values: Values) -> None:
        self._absent.clear()
        for key, folder in self.folders.items():
            try:
                if folder.refresh():
                    self._counts[key] = self._counters.get(key, Folder.count)(folder)
            except OSError as error:
                # The count stays: the folder may return unchanged, and is then not listed again.
                self._absent[key] = reason(error)
            else:
                values[key] = self._counts[key]


def _requests(queue: Work, place: PlaceName, folder: Folder) -> int:
    if not queue.renames(place):
        return folder.count()
    return len(queue.requests(place, folder.names()))


def waiting_requests(workspace: Path, queue: Work) -> list[str]:
    """The names of the requests that are pending or claimed; each once."""
    places: tuple[PlaceName, ...] = ("pending", "claimed")
    found = [
        request
        for place in places
        for request in queue.requests(
            place, (path.name for path in matching(workspace, queue.places().get(place, "")))
        )
    ]
    return list(dict.fromkeys(found))


class HaltFlags(SourceBase):
    """`halt.flags`: how many of the daemon's halt flags are set, whoever has set them."""

    def __init__(self, workspace: Path, flags: Sequence[str]) -> None:
        super().__init__("halt.flags", _PERIOD_S)
        self._paths = [str(workspace / flag) for flag in flags]

    def read(self, values: Values) -> None:
        values["halt.flags"] = sum(os.path.lexists(path) for path in self._paths)


class Decisions(SourceBase):
    """Lines of the decision log: `decisions.lines`, `.completed`, `.fallbacks`.

    A torn last line counts once it is complete. A line that is not a JSON object counts in
    `decisions.lines` and in `decisions.unreadable`; the latter is added only when it is not 0.
    """

    def __init__(self, workspace: Path, log: DecisionLog, done: Sequence[str]) -> None:
        """`done`: the values of the status that mean done."""
        super().__init__("decisions", _PERIOD_S)
        self._log = log
        self._tail = PathTail(workspace / log.path)
        self._completed = frozenset(done)
        self._decode = msgspec.json.Decoder().decode
        self._reset()

    def _reset(self) -> None:
        self._lines = self._done = self._fallbacks = self._unreadable = 0

    def read(self, values: Values) -> None:
        self._absent.clear()
        try:
            lines, is_new = self._tail.new_lines()
        except FileNotFoundError as error:
            self._absent["decisions"] = reason(error)
            return
        if is_new:
            self._reset()
        for line in lines.splitlines() if lines else ():
            self._count(line)
        values["decisions.lines"] = self._lines
        if self._log.status:
            values["decisions.completed"] = self._done
        if self._log.fallback:
            values["decisions.fallbacks"] = self._fallbacks
        if self._unreadable:
            values["decisions.unreadable"] = self._unreadable

    def _count(self, line: bytes) -> None:
        self._lines += 1
        try:
            entry = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            self._unreadable += 1
            return
        if select(entry, self._log.status) in self._completed:
            self._done += 1
        if select(entry, self._log.fallback) is True:
            self._fallbacks += 1

    def close(self) -> None:
        self._tail.close()


class Disk(SourceBase):
    """Space of the Watcher's volume: `disk.workspace_used_bytes`, `disk.workspace_free_bytes`."""

    def __init__(self, workspace: Path) -> None:
        super().__init__("disk", _PERIOD_S)
        self._path = str(workspace)

    def read(self, values: Values) -> None:
        volume = os.statvfs(self._path)
        values["disk.workspace_used_bytes"] = (volume.f_blocks - volume.f_bfree) * volume.f_frsize
        values["disk.workspace_free_bytes"] = volume.f_bavail * volume.f_frsize


class Logs(SourceBase):
    """The Watcher's logs, each line scanned once: `log.bytes`, `.errors`, `.tracebacks`.

    All three only grow, also through rotation: a file that is renamed away is read to its end
    before it is closed. `patterns` are globs; `log.errors` counts the lines that contain any of
    `errors` (plain text).
    """

    def __init__(self, workspace: Path, patterns: Sequence[str], errors: Sequence[str]) -> None:
        super().__init__("logs", _PERIOD_S)
        self._folders = [Folder(workspace, pattern) for pattern in patterns]
        self._needles = tuple({pattern.encode() for pattern in errors} | {TRACEBACK.encode()})
        self._error_needles = tuple(pattern.encode() for pattern in errors)
        self._tails: dict[tuple[int, int], Tail] = {}
        self._unread = False  # a file could not be opened: try again at the next read
        self._past_bytes = self._errors = self._tracebacks = 0

    def read(self, values: Values) -> None:
        self._absent.clear()
        for tail in self._tails.values():
            self._scan(tail)
        changed = [self._changed(folder) for folder in self._folders]
        if any(changed) or self._unread:
            self._follow()
        if not self._tails and not self._past_bytes:
            self._absent["logs"] = "no log file yet"
            return
        values["log.bytes"] = self._past_bytes + sum(t.seen_bytes for t in self._tails.values())
        values["log.errors"] = self._errors
        values["log.tracebacks"] = self._tracebacks

    @staticmethod
    def _changed(folder: Folder) -> bool:
        try:
            return folder.refresh()
        except FileNotFoundError:
            return False

    def _follow(self) -> None:
        """Open the log files that are new; read and close those that no longer match."""
        matching: dict[tuple[int, int], str] = {}
        self._unread = False
        for folder in self._folders:
            for name in folder.names():
                path = f"{folder.path}/{name}"
                try:
                    status = stat(path)
                except FileNotFoundError:
                    continue  # rotated away since the listing
                if not modes.S_ISREG(status.st_mode):
                    self._absent[f"logs.{name}"] = "not a regular file"
                    self._unread = True
                    continue
                matching[status.st_dev, status.st_ino] = path
        for identity in [known for known in self._tails if known not in matching]:
            tail = self._tails.pop(identity)
            self._scan(tail)
            self._past_bytes += tail.seen_bytes
            tail.close()
        for identity, path in matching.items():
            if identity not in self._tails:
                try:
                    tail = Tail(path)
                except FileNotFoundError:
                    continue
                except OSError as error:  # only this file is absent; the others are still read
                    self._absent[f"logs.{path.rpartition('/')[2]}"] = reason(error)
                    self._unread = True
                    continue
                self._tails[tail.identity] = tail
                self._scan(tail)

    def _scan(self, tail: Tail) -> None:
        before, restarts = tail.seen_bytes, tail.restarts
        lines = tail.new_lines()
        if tail.restarts != restarts:
            self._past_bytes += before  # truncated in place: the bytes read before still count
        if not any(needle in lines for needle in self._needles):
            return
        traceback = TRACEBACK.encode()
        for line in lines.splitlines():
            self._tracebacks += traceback in line
            self._errors += any(needle in line for needle in self._error_needles)

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()
