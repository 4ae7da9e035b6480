"""The supervisor's record of events, kept in memory while the disk takes nothing."""

from __future__ import annotations

import errno
import json
import os
from collections import deque
from pathlib import Path
from typing import Any

_EVENTS_KEPT = 10_000


class EventFile:
    """JSON lines in order, each whole; what a full disk refuses is kept and written later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: deque[bytes] = deque(maxlen=_EVENTS_KEPT)
        self._refused = ""

    def append(self, entry: dict[str, Any]) -> None:
        """Write it behind what is still kept; never raises."""
        self._kept.append(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self.flush()

    def flush(self) -> None:
        """Write what is kept, as far as the disk takes it."""
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
            if stream.write(line) != len(line):  # a disk that fills up takes a part first
                stream.truncate(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
