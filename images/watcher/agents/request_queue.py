"""The request queue: folders below `watcher_requests/`; a request moves by atomic renames.

    NAME.json -> claimed/NAME.json -> archive/NAME.json
              -> quarantine/NAME.json + quarantine/NAME.json.reason.json

Requests are served in the order in which they were first seen. Knows nothing of how a request is
processed.
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
WRITER_PATIENCE_S = 300.0  # how long an unchanged file that is open for writing is waited for
RECORDED_LIMIT = 10_000
SCAN_LIMIT = 10_000  # names per scan; later scans see the others


@dataclass(frozen=True, slots=True)
class Poison:
    """A pending file that will never be a valid request."""

    name: str
    reason: str


@dataclass(slots=True)
class _Seen:
    """A pending file: its place in the queue, and since when it has been unchanged (monotonic)."""

    order: tuple[int, int, str]
    version: tuple[int, int]
    stable_since_s: float


class RequestQueue:
    """The queue of one workspace. Methods raise OSError if the machine is exhausted."""

    def __init__(self, root: Path) -> None:
        self.pending = root / FOLDER
        self.claimed = self.pending / "claimed"
        self.archive = self.pending / "archive"
        self.quarantine = self.pending / "quarantine"
        self._seen: dict[str, _Seen] = {}
        self._scans = 0
        self._recorded: set[str] = set()  # reason files known to be recorded: not read again

    def create_folders(self) -> None:
        """Creates the queue's folders where they are missing."""
        for folder in (self.claimed, self.archive, self.quarantine):
            folder.mkdir(parents=True, exist_ok=True)

    def holds(self, name: str) -> bool:
        """True if any folder of the queue has a file of this name, the archive included."""
        folders = (self.pending, self.claimed, self.archive, self.quarantine)
        return any(os.path.lexists(folder / name) for folder in folders)

    def submit(self, name: str, body: dict[str, Any]) -> bool:
        """Adds a request, unless the queue holds its name. True if it was added."""
        if self.holds(name):
            return False
        files.write_json(self.pending / name, body)
        return True

    def scan(self) -> None:
        """Updates the pending files, their order, and when each of them last changed.

        Files are ordered by the scan that first saw them, then by modification time. So a file
        with a modification time in the future does not fall behind later arrivals.
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
                    continue  # moved since it was listed
                yield entry.name, (stat.st_mtime_ns, stat.st_size)

    def pending_names(self) -> list[str]:
        """Pending names in order of arrival, as of the last scan."""
        return sorted(self._seen, key=lambda name: self._seen[name].order)

    def next(self, settle_s: float) -> Request | Poison | None:
        """The first pending file that is a valid request or will never be one; None without one.

        A file that is not valid may still be being written. It is skipped until it has been
        unchanged for `settle_s` and no process has it open for writing, or until it has been
        unchanged for `WRITER_PATIENCE_S`.
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
            duplicate = self._duplicate(name)
            return Poison(name, f"duplicate: {duplicate}") if duplicate else request
        return None

    def _has_settled(self, name: str, settle_s: float) -> bool:
        stable_s = time.monotonic() - self._seen[name].stable_since_s
        if stable_s < settle_s:
            return False
        return stable_s >= WRITER_PATIENCE_S or not has_writer(self.pending / name)

    def _duplicate(self, name: str) -> str:
        """Why the name is a duplicate; "" if it is not."""
        if os.path.lexists(self.archive / name):
            return "a request of this name was processed before"
        if os.path.lexists(self.claimed / name):
            return "a request of this name is being processed"
        return ""

    def claim(self, name: str) -> bool:
        """Moves a pending request to the claimed ones. False if the file is gone. Idempotent."""
        try:
            files.move_durably(self.pending / name, self.claimed / name)
        except FileNotFoundError:
            return False
        return True

    def release(self, name: str) -> None:
        """Moves a claimed request back to the pending ones. Its modification time stays."""
        if os.path.lexists(self.pending / name):
            self.put_in_quarantine(self.pending, name, "duplicate: submitted twice")
        files.move_durably(self.claimed / name, self.pending / name)

    def finish(self, name: str) -> None:
        """Moves a claimed request to the archive. Idempotent."""
        if os.path.lexists(self.claimed / name) or os.path.lexists(self.archive / name):
            files.move_durably(self.claimed / name, self.archive / name)

    def put_in_quarantine(self, folder: Path, name: str, reason: str) -> str | None:
        """Moves `name` from `folder` to quarantine, with its reason.

        Returns the file's name there, or None if the file is gone. The reason is written first, so
        that every file in quarantine has one.
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
        """Path of the reason file of a quarantined file."""
        return self.quarantine / (name + REASON_SUFFIX)

    def unrecorded_quarantine(self) -> list[dict[str, Any]]:
        """The notes of the quarantined files whose decision line may be missing, oldest first."""
        notes = []
        for path in self.quarantine.glob("*" + REASON_SUFFIX):
            if path.name in self._recorded:
                continue
            note = files.read_object(path)
            if not note or note.get("recorded") is not False:
                self._note_recorded(path.name)
                continue
            if os.path.lexists(self.quarantine / str(note.get("request_file"))):
                notes.append(note)
            else:
                path.unlink(missing_ok=True)  # a crash came before the file itself was moved
        return sorted(notes, key=lambda note: str(note.get("quarantined_at")))

    def _note_recorded(self, name: str) -> None:
        if len(self._recorded) >= RECORDED_LIMIT:
            self._recorded.clear()  # each of them is read once more
        self._recorded.add(name)

    def note_quarantine(self, note: dict[str, Any]) -> None:
        """Replaces the note of a quarantined file."""
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
