"""Reads a history while another process writes it: each complete line once, in order.

For a view of a run in another process. Must not know about views.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from chaos.record.history import UNREADABLE, Record, decoded

_POLL_PERIOD_S = 0.1
_STOP_LIMIT_S = 5.0
_CHUNK_BYTES = 1 << 18


class Follower:
    """Calls `listener` in a thread with each record of `path`, which may not exist yet."""

    def __init__(self, path: Path, listener: Callable[[Record], None]) -> None:
        self._path = path
        self._listener = listener
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._rest = b""

    def start(self) -> None:
        """Start to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read to the current end of the file, then end the thread."""
        self._end.set()
        self._thread.join(_STOP_LIMIT_S)

    def _follow(self) -> None:
        stream: BinaryIO | None = None
        try:
            ended = False
            while not ended:
                ended = self._end.wait(_POLL_PERIOD_S)
                if stream is None and self._path.exists():
                    stream = self._path.open("rb")
                if stream is not None:
                    self._read(stream)
        finally:
            if stream is not None:
                stream.close()

    def _read(self, stream: BinaryIO) -> None:
        while chunk := stream.read(_CHUNK_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                try:
                    record = decoded(line)
                except UNREADABLE:
                    continue  # the judgement reports it with its line number
                self._listener(record)
