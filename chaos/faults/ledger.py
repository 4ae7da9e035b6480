"""The ledger: the undo record of every fault, on disk before the fault acts.

One JSON object per line, each fsynced. An entry is open from before `inject` until the recovery
is proven (or its undo succeeded), so that after a crash at any moment the open entries are just
what may still be broken::

    {"entry":"open","fault_id":"f001","name":"llm_timeout","scope":"stack","undo":{...}}
    {"entry":"closed","fault_id":"f001","why":"recovery proven"}
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Literal

import msgspec


class Open(msgspec.Struct, tag_field="entry", tag="open", frozen=True):
    """A fault that may be in force. `scope`: where it lives (`chaos.faults.base.Fault`)."""

    fault_id: str
    name: str
    scope: Literal["stack", "host"]
    undo: dict[str, Any]


class Closed(msgspec.Struct, tag_field="entry", tag="closed", frozen=True):
    """A fault that is not in force any more, and how that is known."""

    fault_id: str
    why: str


_decoder: msgspec.json.Decoder[Open | Closed] = msgspec.json.Decoder(Open | Closed)


class Ledger:
    """Appends to the ledger of one run. Opening it a second time goes on where it ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def open(self, entry: Open) -> None:
        """Write the undo record and force it to disk; only then may the fault act."""
        self._append(entry)

    def close(self, fault_id: str, why: str) -> None:
        """Mark the entry as undone."""
        self._append(Closed(fault_id, why))

    def open_entries(self) -> list[Open]:
        """Entries without a close, oldest first. A torn last line was never acted upon."""
        entries: dict[str, Open] = {}
        if not self.path.exists():
            return []
        for line in self.path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            record = _decoder.decode(line)
            if isinstance(record, Open):
                entries[record.fault_id] = record
            else:
                entries.pop(record.fault_id, None)
        return list(entries.values())

    def _append(self, entry: Open | Closed) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        with self._lock:
            is_new = not self.path.exists()
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                os.write(fd, line)
                os.fsync(fd)
            finally:
                os.close(fd)
            if is_new:  # the file's name must survive a crash as well as its content
                folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
