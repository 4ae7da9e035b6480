"""The request queue: folders below `watcher_requests/`, moved through by atomic renames.

    NAME.json -> claimed/NAME.json -> archive/NAME.json
              -> quarantine/NAME.json + quarantine/NAME.json.reason.json

First seen, first served. Knows nothing of what a request makes the Watcher do.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents import files
from agents.request import NAME_LIMIT, Request, Unusable, read_request, usable_name
from agents.writers import has_writer

FOLDER = "watcher_requests"
REASON_SUFFIX = ".reason.json"
WRITER_PATIENCE_S = 300.0  # for a file that is held open for writing and does not change
RECORDED_LIMIT = 10_000
SCAN_LIMIT = 10_000  # names looked at per scan; the rest comes when these are done


@dataclass(frozen=True, slots=True)
class Poison:
    """A pending file that will never be a request."""

    name: str
    reason: str


@dataclass(slots=True)
class _Seen:
    """A pending file: its place in the line, and since when it has not changed."""

    order: tuple[int, int, str]
    version: tuple[int, int]
    stable_since_s: float


class RequestQueue:
    """All moves of request files. Methods raise OSError when the machine is exhausted."""

    def __init__(self, root: Path) -> None:
        self.pending = root / FOLDER
        self.claimed = self.pending / "claimed"
        self.archive = self.pending / "archive"
        self.quarantine = self.pending / "quarantine"
        self._seen: dict[str, _Seen] = {}
        self._scans = 0
        self._recorded: set[str] = set()  # reasons known to be recorded: not read again

    def create_folders(self) -> None:
        """Creates the queue's folders where they are missing."""
        for folder in (self.claimed, self.archive, self.quarantine):
            folder.mkdir(parents=True, exist_ok=True)

    def holds(self, name: str) -> bool:
        """Whether a request of this name is anywhere in the queue, done ones included."""
        folders = (self.pending, self.claimed, self.archive, self.quarantine)
        return any(os.path.lexists(folder / name) for folder in folders)

    def submit(self, name: str, body: dict[str, Any]) -> bool:
        """Adds a request unless its name is known already; says whether it did."""
        if self.holds(name):
            return False
        files.write_json(self.pending / name, body)
        return True

    def scan(self) -> None:
        """Notes which files are pending, in order of arrival, and which have changed.

        The order is the scan that saw a file first, then its modification time: a time in
        the future cannot push a file back behind ones that arrive later.
        """
        self._scans += 1
        now_s = time.monotonic()
        present: dict[str, _Seen] = {}
        for name, version in self._listing():
            seen = self._seen.get(name)
            if seen is None:
                order = (self._scans, version[0], name)
                seen = _Seen(order, version, now_s)
            elif seen.version != version:
                seen.version, seen.stable_since_s = version, now_s
            present[name] = seen
        self._seen = present

    def _listing(self) -> Iterator[tuple[str, tuple[int, int]]]:
        with os.scandir(self.pending) as entries:
            count = 0
            for entry in entries:
                if not entry.name.endswith(".json") or entry.name.startswith("."):
                    continue
                count += 1
                if count > SCAN_LIMIT:
                    return
                try:
                    stat = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # moved away since the listing
                yield entry.name, (stat.st_mtime_ns, stat.st_size)

    def pending_names(self) -> list[str]:
        """Pending names in order of arrival, as of the last scan."""
        return sorted(self._seen, key=lambda name: self._seen[name].order)

    def next(self, settle_s: float) -> Request | Poison | None:
        """The first pending file that is a request, or that has proven to be none.

        A file that cannot be read as a request yet may still be in the making: it is left
        alone, and does not hold up the others, until it has not changed for `settle_s`. While
        its producer has it open it may take minutes between two writes.
        """
        for name in self.pending_names():
            try:
                request = read_request(self.pending / name)
            except FileNotFoundError:
                continue
            except Unusable as error:
                if error.settled or self._has_settled(name, settle_s):
                    return Poison(name, str(error))
                continue
            known = self._known_as(name)
            return Poison(name, f"duplicate: {known}") if known else request
        return None

    def _has_settled(self, name: str, settle_s: float) -> bool:
        stable_s = time.monotonic() - self._seen[name].stable_since_s
        if stable_s < settle_s:
            return False
        return stable_s >= WRITER_PATIENCE_S or not has_writer(self.pending / name)

    def _known_as(self, name: str) -> str:
        if os.path.lexists(self.archive / name):
            return "a request of this name was processed before"
        if os.path.lexists(self.claimed / name):
            return "a request of this name is being processed"
        return ""

    def claim(self, name: str) -> bool:
        """Takes a request out of the line; False when it has gone meanwhile."""
        try:
            files.move_durably(self.pending / name, self.claimed / name)
        except FileNotFoundError:
            return False
        return True

    def release(self, name: str) -> None:
        """Puts a claimed request back into the line (its modification time is kept)."""
        if os.path.lexists(self.pending / name):
            self.put_in_quarantine(self.pending, name, "duplicate: submitted twice")
        files.move_durably(self.claimed / name, self.pending / name)

    def finish(self, name: str) -> None:
        """Moves a claimed request to the archive; done already is fine."""
        if os.path.lexists(self.claimed / name):
            files.move_durably(self.claimed / name, self.archive / name)

    def put_in_quarantine(self, folder: Path, name: str, reason: str) -> str | None:
        """Sets a file aside with its reason; its name there, or None when it has gone.

        The reason is written first: whatever lies in quarantine has one.
        """
        target = self._quarantine_name(name)
        if not os.path.lexists(folder / name):
            return None
        note = {
            "request_file": target,
            "original_name": name,
            "reason": reason,
            "quarantined_at": files.utc_now(),
            "recorded": False,
        }
        self._recorded.discard(self.reason_path(target).name)
        files.write_json(self.reason_path(target), note)
        try:
            files.move_durably(folder / name, self.quarantine / target)
        except FileNotFoundError:
            self.reason_path(target).unlink(missing_ok=True)
            return None
        self._seen.pop(name, None)
        return target

    def reason_path(self, name: str) -> Path:
        """Where the reason of a quarantined file stands."""
        return self.quarantine / (name + REASON_SUFFIX)

    def unrecorded_quarantine(self) -> list[dict[str, Any]]:
        """Notes of quarantined files whose decision line may be missing."""
        found = []
        for path in self.quarantine.glob("*" + REASON_SUFFIX):
            if path.name in self._recorded:
                continue
            note = files.read_object(path)
            if not note or note.get("recorded") is not False:
                self._note_recorded(path.name)
                continue
            if os.path.lexists(self.quarantine / str(note.get("request_file"))):
                found.append(note)
            else:
                path.unlink(missing_ok=True)  # cut off before the file itself was moved
        return sorted(found, key=lambda note: str(note.get("quarantined_at")))

    def _note_recorded(self, name: str) -> None:
        if len(self._recorded) >= RECORDED_LIMIT:
            self._recorded.clear()  # they are read again, once
        self._recorded.add(name)

    def note_quarantine(self, note: dict[str, Any]) -> None:
        """Writes a quarantined file's note back."""
        files.write_json(self.reason_path(str(note["request_file"])), note)

    def _quarantine_name(self, name: str) -> str:
        stem = name.removesuffix(".json")
        if not usable_name(name):
            digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
            readable = "".join(c if c.isascii() and c.isalnum() else "_" for c in stem)
            name = f"{readable[: NAME_LIMIT - 40]}~{digest}.json"
            stem = name.removesuffix(".json")
        number = 1
        while os.path.lexists(self.quarantine / name):
            number += 1
            name = f"{stem[: NAME_LIMIT - 20]}~{number}.json"
        return name
