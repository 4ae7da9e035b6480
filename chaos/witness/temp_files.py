"""Count the temporary files in the workspace: those written beside a file before they replace it.

A temporary file that is left behind by each request is a leak. A folder is listed again only after
a change, and not if another source has listed that version: the archive grows with each request,
so listing it is expensive. Knows no particular folder.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chaos.witness.base import Folder, SourceBase, Values, joined, stat, unchanged_key

_PERIOD_S = 1.0
_FOLDERS_MAX = 500
_ENDINGS = (".part", ".tmp", ".temp", ".partial", ".swp", "~")
# Links of a folder without subfolders: its name, and its own ".". Each subfolder adds one. A file
# system that does not count this way reports 1.
_LINKS_OF_A_LEAF = 2


@dataclass
class _Listing:
    key: tuple[int, ...] | None
    temporary: int
    folders: list[str]


class TempFiles(SourceBase):
    """`workspace.temp_files`: number of files with a temporary file's ending, in all folders.

    `others` are folders that another source lists. Put this source after that one.
    """

    def __init__(self, workspace: Path, others: Iterable[Folder] = ()) -> None:
        super().__init__("workspace.temp_files", _PERIOD_S)
        self._root = str(workspace)
        self._others = {folder.path: folder for folder in others}
        self._listings: dict[str, _Listing] = {}

    def read(self, values: Values) -> None:
        """Add the key.

        Raises `OSError` if a folder cannot be listed, because the sum would be wrong.
        """
        values["workspace.temp_files"] = self._walk()

    def _walk(self) -> int:
        listings: dict[str, _Listing] = {}
        waiting = [self._root]
        while waiting and len(listings) < _FOLDERS_MAX:
            folder = waiting.pop()
            try:
                listings[folder] = listing = self._listing(folder)
            except (FileNotFoundError, NotADirectoryError):
                if folder == self._root:
                    raise
                continue  # removed since its parent was listed
            waiting += listing.folders
        self._listings = listings
        return sum(listing.temporary for listing in listings.values())

    def _listing(self, folder: str) -> _Listing:
        read_at_ns = time.time_ns()
        status = stat(folder)
        key = unchanged_key(status, read_at_ns)
        previous = self._listings.get(folder)
        if previous is not None and key is not None and key == previous.key:
            return previous
        if status.st_nlink == _LINKS_OF_A_LEAF:
            return _Listing(key, _temporary_in(self._text(folder, key)), [])
        temporary, folders = 0, []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(_ENDINGS):
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
