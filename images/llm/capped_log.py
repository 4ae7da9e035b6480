"""A log that cannot fill a disk: two files of limited size. Knows nothing of who writes it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO


class CappedLog:
    """Appends to `path`. At `max_bytes` the file becomes `path.1`, which replaces the last one."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("ab")
        self._size = self._stream.tell()

    def write(self, chunk: bytes) -> None:
        """Append. Never raises OSError: on a full disk log lines are lost."""
        with contextlib.suppress(OSError):
            if self._size + len(chunk) > self._max_bytes:
                self._stream.close()
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._stream = self._path.open("ab")
                self._size = 0
            self._stream.write(chunk)
            self._stream.flush()
            self._size += len(chunk)

    def drain(self, source: IO[bytes]) -> None:
        """Copy `source` to the log until its end. Runs in a thread."""
        with source:
            while chunk := os.read(source.fileno(), 65536):
                self.write(chunk)
