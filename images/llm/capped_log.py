"""A log that cannot fill a disk: two files of a limited size."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO


class CappedLog:
    """Appends to `path`; at `max_bytes` the file becomes `path.1` (one generation is kept)."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("ab")
        self._size = self._stream.tell()

    def write(self, chunk: bytes) -> None:
        """Append; a full disk loses log lines, not the server."""
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
        """Copy `source` until its end; the body of a thread."""
        with source:
            while chunk := os.read(source.fileno(), 65536):
                self.write(chunk)
