"""The Watcher's log: stderr, and a file that rotates by size.

On a full disk log lines are lost and counted; the code that logs gets no exception. Knows nothing
of what is logged.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from loguru import Message

FORMAT = "{time:YYYY-MM-DDTHH:mm:ss.SSS} {level: <7} {message}"


class RotatingFile:
    """A log of limited size: `name.log`, and the older `name.1.log` (newest) to `name.N.log`.

    `rotation_bytes` limits each file, `retention` is N. The file is opened for each line, so no
    descriptor is held, and a file that was removed by hand is created again.
    """

    def __init__(self, path: Path, rotation_bytes: int, retention: int) -> None:
        self.path = path
        self.rotation_bytes = rotation_bytes
        self.retention = retention
        self.lost_lines = 0

    def sink(self, message: Message) -> None:
        """The loguru sink. Never raises OSError: a lost line is counted in `lost_lines`."""
        try:
            self.append(str(message).encode("utf-8", "backslashreplace"))
        except OSError:
            self.lost_lines += 1

    def append(self, data: bytes) -> None:
        """Appends whole lines, or nothing. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = self._open()
        try:
            size = os.fstat(handle).st_size
            if size and size + len(data) > self.rotation_bytes:
                os.close(handle)
                self._rotate()
                handle, size = self._open(), 0
            if os.write(handle, data) != len(data):
                os.ftruncate(handle, size)  # a full disk accepted only a part of the line
                self.lost_lines += 1
        finally:
            os.close(handle)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        return os.open(self.path, flags, 0o644)

    def _rotate(self) -> None:
        def numbered(number: int) -> Path:
            return self.path.with_suffix(f".{number}{self.path.suffix}")

        for number in range(self.retention - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                numbered(number).replace(numbered(number + 1))
        self.path.replace(numbered(1))


def _to_stderr(message: Message) -> None:
    # stderr may be a pipe with a closed reader, or a file on a full disk.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(str(message))
        sys.stderr.flush()


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logger.opt(exception=(kind, error, trace)).critical("unhandled exception")


def set_up_logging(path: Path, rotation_bytes: int, retention: int) -> None:
    """Sends everything to stderr and to the rotating file, uncaught exceptions included."""
    logger.remove()
    logger.add(_to_stderr, format=FORMAT, level="INFO", diagnose=False)
    rotating = RotatingFile(path, rotation_bytes, retention)
    logger.add(rotating.sink, format=FORMAT, level="INFO", diagnose=False)
    sys.excepthook = _log_uncaught
