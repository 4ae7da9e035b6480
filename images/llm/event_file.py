"""The supervisor's event log, buffered in memory while the disk accepts no writes.

Knows nothing of what the events mean.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections import deque
from pathlib import Path
from typing import Any

_EVENTS_KEPT = 10_000


class EventFile:
    """A file of JSON lines, in order and each complete. On a full disk they are written later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: deque[bytes] = deque(maxlen=_EVENTS_KEPT)
        self._refused = ""

    def record(self, event: str, pid: int | None, generation: int, **more: Any) -> None:
        """Append what happened now, and print it."""
        entry = {
            "time_s": round(time.time(), 6),
            "event": event,
            "pid": pid,
            "generation": generation,
            **more,
        }
        print(f"supervisor: {json.dumps(entry)}", flush=True)
        self.append(entry)

    def append(self, entry: dict[str, Any]) -> None:
        """Write `entry` after the buffered lines. Never raises OSError."""
        self._kept.append(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self.flush()

    def flush(self) -> None:
        """Write the buffered lines, until the disk refuses one."""
        while self._kept:
            try:
                self._write(self._kept[0])
            except OSError as error:
                if str(error) != self._refused:
                    print(f"supervisor: events are kept for later: {error}", flush=True)
                self._refused = str(error)
                return
            self._kept.popleft()
            self._refused = ""

    def _write(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            if stream.write(line) != len(line):  # an almost full disk accepts a part of the line
                stream.truncate(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
