"""`watcher_decisions.jsonl`: one line per decision, appended and never rewritten.

A line is written completely and synced, or not at all. A torn last line (power cut, another writer)
is moved to `watcher_decisions.torn`. Knows nothing of how decisions are made.
"""

from __future__ import annotations

import errno
import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from loguru import logger

LOG_NAME = "watcher_decisions.jsonl"
TORN_NAME = "watcher_decisions.torn"
TAIL_BYTES = 1024 * 1024  # how much of the log's end a restart reads
REMEMBERED = 5_000  # decisions kept in memory
APPEND_ATTEMPTS = 5


class DecisionLog:
    """Appends decisions, and remembers the last `REMEMBERED` ones. Methods raise OSError."""

    def __init__(self, root: Path) -> None:
        self.path = root / LOG_NAME
        self.torn_path = root / TORN_NAME
        self.last_number = 0
        self._files: OrderedDict[str, str] = OrderedDict()  # decision id -> request file
        # (source, sequence number) -> request file
        self._sequences: OrderedDict[tuple[str, int], str] = OrderedDict()

    def load(self) -> None:
        """Repairs a torn last line, and remembers the decisions in the last lines."""
        self.path.touch(exist_ok=True)
        self.repair()
        with self.path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL_BYTES))
            for line in stream.read(TAIL_BYTES).splitlines():
                self._remember(_parse(line))
        if size and not self.last_number:
            self._load_all()

    def _load_all(self) -> None:
        # The tail holds no decision (foreign content), but the numbering must continue.
        with self.path.open("rb") as stream:
            for line in stream:
                self._remember(_parse(line))

    def next_number(self) -> int:
        """The number of the next decision, from 1."""
        return self.last_number + 1

    def has(self, record: dict[str, Any]) -> bool:
        """True if this decision is among the remembered ones (same id and request file)."""
        return self._files.get(str(record["decision_id"])) == str(record["request_file"])

    def processed_as(self, source: str, sequence: int | None) -> str:
        """The request file that was dispatched with this source and number; "" if none."""
        return "" if sequence is None else self._sequences.get((source, sequence), "")

    def append(self, record: dict[str, Any]) -> None:
        """Appends one decision in a single synced write. Idempotent."""
        if self.has(record):
            return
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        for _ in range(APPEND_ATTEMPTS):
            self.repair()
            if self._write(line):
                self._remember(record)
                return
        raise OSError(errno.EIO, "somebody else goes on writing into the log", str(self.path))

    def _write(self, line: bytes) -> bool:
        """Appends `line`. False, with nothing appended, if another writer has left half a line at
        the end since the repair.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(handle).st_size
            try:
                if os.write(handle, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                begin = os.lseek(handle, 0, os.SEEK_CUR) - len(line)
                if begin and os.pread(handle, 1, begin - 1) != b"\n":
                    os.ftruncate(handle, begin)
                    return False
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)
        return True

    def repair(self) -> None:
        """Completes a last line that lacks only its newline, or moves a torn one away."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            # A torn line longer than `TAIL_BYTES` is removed in several rounds.
            while size := os.fstat(handle).st_size:
                if os.pread(handle, 1, size - 1) == b"\n":
                    return
                self._repair_tail(handle, size)
        finally:
            os.close(handle)

    def _repair_tail(self, handle: int, size: int) -> None:
        window = os.pread(handle, TAIL_BYTES, max(0, size - TAIL_BYTES))
        tail = window[window.rfind(b"\n") + 1 :]
        if _parse(tail):
            os.write(handle, b"\n")  # only the newline is missing
        else:
            self._set_aside(tail)
            os.ftruncate(handle, size - len(tail))
        os.fsync(handle)
        logger.warning("{}: the last line was torn ({} bytes)", self.path.name, len(tail))

    def _set_aside(self, tail: bytes) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        handle = os.open(self.torn_path, flags, 0o644)
        try:
            size = os.fstat(handle).st_size
            if os.write(handle, tail + b"\n") != len(tail) + 1:
                os.ftruncate(handle, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        finally:
            os.close(handle)

    def _remember(self, record: dict[str, Any]) -> None:
        decision_id = record.get("decision_id")
        if not isinstance(decision_id, str):
            return
        number = decision_id.removeprefix("d")
        if number.isdecimal():
            self.last_number = max(self.last_number, int(number))
        request_file = str(record.get("request_file"))
        self._files[decision_id] = request_file
        sequence = record.get("sequence_number")
        if isinstance(sequence, int) and record.get("dispatch"):
            self._sequences[str(record.get("source")), sequence] = request_file
        for remembered in (self._files, self._sequences):
            while len(remembered) > REMEMBERED:
                remembered.popitem(last=False)


def _parse(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
