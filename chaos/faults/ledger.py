"""The ledger: the undo record of every fault, on disk before the fault acts.

One JSON object per line, each fsynced. An entry is open from before `inject` until recovery is
proven or `undo` has succeeded. So after a crash the open entries are what may still be broken::

    {"entry":"open","fault_id":"f001","name":"llm_timeout","scope":"stack","undo":{...}}
    {"entry":"closed","fault_id":"f001","why":"recovery proven"}
"""

import os
import threading
from pathlib import Path
from typing import Any, Literal

import msgspec

from chaos.base.errors import ChaosError


class Open(msgspec.Struct, tag_field="entry", tag="open", frozen=True):
    """A fault that may be in force. `scope`: see `chaos.faults.base.Fault`."""

    fault_id: str
    name: str
    scope: Literal["stack", "host"]
    undo: dict[str, Any]


class Closed(msgspec.Struct, tag_field="entry", tag="closed", frozen=True):
    """A fault that is not in force any more, and why that is known."""

    fault_id: str
    why: str


NEXT_STEP = "undo by hand what the line says, if anything, and remove it"

_decoder: msgspec.json.Decoder[Open | Closed] = msgspec.json.Decoder(Open | Closed)


class Ledger:
    """Appends to the ledger of one run, also to an existing one. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def open(self, entry: Open) -> None:
        """Write the undo record to disk. Only then may the fault act."""
        self._append(entry)

    def close(self, fault_id: str, why: str) -> None:
        """Mark the entry as undone."""
        self._append(Closed(fault_id, why))

    def open_entries(self) -> list[Open]:
        """Open entries, oldest first. Raises `ChaosError` if a line cannot be read."""
        entries, damage = self.read()
        if damage:
            raise ChaosError(
                f"the ledger cannot be read: {damage[0]}", place=str(self.path), next_step=NEXT_STEP
            )
        return entries

    def read(self) -> tuple[list[Open], list[str]]:
        """(open entries, oldest first; unreadable lines, each with its place and error).

        A torn last line is ignored: its fault never acted.
        """
        entries: dict[str, Open] = {}
        damage: list[str] = []
        try:
            *lines, _torn = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return [], []
        except OSError as error:
            return [], [f"{self.path}: {error.strerror}"]
        for number, line in enumerate(lines, start=1):
            try:
                record = _decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                damage.append(f"{self.path}:{number}: not a ledger record: {error}")
                continue
            if isinstance(record, Open):
                entries[record.fault_id] = record
            else:
                entries.pop(record.fault_id, None)
        return list(entries.values()), damage

    def _append(self, entry: Open | Closed) -> None:
        line = msgspec.json.encode(entry) + b"\n"
        with self._lock:
            is_new = not self.path.exists()
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                _drop_torn_line(fd)
                os.write(fd, line)
                os.fsync(fd)
            finally:
                os.close(fd)
            if is_new:  # the directory entry must survive a crash, too
                folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)


def _drop_torn_line(fd: int) -> None:
    """Remove an incomplete last line, which would damage the next one."""
    size = os.fstat(fd).st_size
    content = os.pread(fd, size, 0)
    if not content.endswith(b"\n"):
        os.ftruncate(fd, content.rfind(b"\n") + 1)
