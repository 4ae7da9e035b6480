"""Temporary files in the workspace: what is written beside a file before it takes its place.

One that stays behind after each request is a leak like any other. Folders are listed again only
when they have changed. Knows no particular folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chaos.observe.base import SourceBase, Values, stat, unchanged_key

_PERIOD_S = 1.0
_FOLDERS_MAX = 500
_ENDINGS = (".part", ".tmp", ".temp", ".partial", ".swp", "~")


@dataclass
class _Listing:
    key: tuple[int, ...] | None
    temporary: int
    folders: list[str]


class TempFiles(SourceBase):
    """`workspace.temp_files`: files with an ending of a temporary one, in all folders."""

    def __init__(self, workspace: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("workspace.temp_files")
        self._root = str(workspace)
        self._clock = clock
        self._next_s = 0.0
        self._count = 0
        self._listings: dict[str, _Listing] = {}

    def read(self, values: Values) -> None:
        """Adds the key; counted once a second and repeated in between."""
        now_s = self._clock()
        if now_s >= self._next_s:
            self._next_s = now_s + _PERIOD_S
            self._walk()
        values["workspace.temp_files"] = self._count

    def _walk(self) -> None:
        found: dict[str, _Listing] = {}
        waiting = [self._root]
        while waiting and len(found) < _FOLDERS_MAX:
            folder = waiting.pop()
            try:
                found[folder] = listing = self._listing(folder)
            except (FileNotFoundError, NotADirectoryError):
                if folder == self._root:
                    raise
                continue  # removed since its parent was listed
            waiting += listing.folders
        self._listings = found
        self._count = sum(listing.temporary for listing in found.values())

    def _listing(self, folder: str) -> _Listing:
        read_at_ns = time.time_ns()
        key = unchanged_key(stat(folder), read_at_ns)
        known = self._listings.get(folder)
        if known is not None and key is not None and key == known.key:
            return known
        temporary, folders = 0, []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(_ENDINGS):
                    temporary += 1
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
        return _Listing(key, temporary, folders)
