"""The record of what was seen: JSON lines, appended; what stood in it before is kept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, TextIO

_FLUSH_S = 0.2


class Record:
    """Writes lines; a crash loses at most those of the last moment (`flush_if_due`)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._flushed_s = 0.0

    @classmethod
    def at(cls, path: Path) -> Record:
        """Into that file."""
        return cls(path.open("a", encoding="utf-8", errors="surrogateescape"))

    def write(self, call: str, **facts: Any) -> None:
        """One line: `time_s` (wall clock), `call`, and the facts that are there."""
        known = {key: value for key, value in facts.items() if value is not None}
        line = {"time_s": round(time.time(), 6), "call": call, **known}
        self._stream.write(json.dumps(line, ensure_ascii=True) + "\n")

    def flush_if_due(self) -> None:
        """Write out what is kept back, unless that was done just now."""
        now_s = time.monotonic()
        if now_s - self._flushed_s >= _FLUSH_S:
            self._stream.flush()
            self._flushed_s = now_s

    def close(self) -> None:
        """Write out everything."""
        self._stream.flush()
