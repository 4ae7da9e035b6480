"""Temporary files in the workspace: what is written beside a file before it takes its place.

One that stays behind after each request is a leak like any other. Folders are listed again only
when they have changed, and not at all when another source has listed that version of them: the
archive grows with each request. Knows no particular folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chaos.witness.base import Folder, SourceBase, Values, joined, stat, unchanged_key

_PERIOD_S = 1.0
_FOLDERS_MAX = 500
_ENDINGS = (".part", ".tmp", ".temp", ".partial", ".swp", "~")
# A folder has a link from each folder in it, its own, and its name (where a file system does not
# count so, it says 1).
_LINKS_OF_A_LEAF = 2


@dataclass
class _Listing:
    key: tuple[int, ...] | None
    temporary: int
    folders: list[str]


class TempFiles(SourceBase):
    """`workspace.temp_files`: files with an ending of a temporary one, in all folders.

    `others` are those that are listed anyway; put this source after theirs.
    """

    def __init__(self, workspace: Path, others: Iterable[Folder] = ()) -> None:
        super().__init__("workspace.temp_files", _PERIOD_S)
        self._root = str(workspace)
        self._others = {folder.path: folder for folder in others}
        self._listings: dict[str, _Listing] = {}

    def read(self, values: Values) -> None:
        """Adds the key. A folder that cannot be listed makes it absent: the sum would be wrong."""
        values["workspace.temp_files"] = self._walk()

    def _walk(self) -> int:
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
        return sum(listing.temporary for listing in found.values())

    def _listing(self, folder: str) -> _Listing:
        read_at_ns = time.time_ns()
        status = stat(folder)
        key = unchanged_key(status, read_at_ns)
        known = self._listings.get(folder)
        if known is not None and key is not None and key == known.key:
            return known
        if status.st_nlink == _LINKS_OF_A_LEAF:
            return _Listing(key, _temporary_in(self._text(folder, key)), [])
        temporary, folders = 0, []
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_temporary(entry.name):
                    temporary += 1
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
        return _Listing(key, temporary, folders)

    def _text(self, folder: str, key: tuple[int, ...] | None) -> str:
        text = self._others[folder].text_of(key) if folder in self._others else None
        if text is None:
            text = joined(os.listdir(folder))  # noqa: PTH208 (entries cost five times as much)
        return text


def _temporary_in(text: str) -> int:
    return sum(text.count(f"{ending}/") for ending in _ENDINGS)


def _is_temporary(name: str) -> bool:
    return name.endswith(_ENDINGS)
