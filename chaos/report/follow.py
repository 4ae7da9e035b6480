"""Reads a history while somebody else writes it: each whole line once, in order.

For a view of a run that is lived by another process. Knows nothing of views.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from chaos.record.history import UNREADABLE, Record, decoded

_LOOK_S = 0.1
_STOP_LIMIT_S = 5.0
_PIECE_BYTES = 1 << 18


class Follower:
    """Calls `listener` with each record of `path`, which need not exist yet, from one thread."""

    def __init__(self, path: Path, listener: Callable[[Record], None]) -> None:
        self._path = path
        self._listener = listener
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._rest = b""

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read what is there by now, then end."""
        self._end.set()
        self._thread.join(_STOP_LIMIT_S)

    def _follow(self) -> None:
        stream: BinaryIO | None = None
        try:
            ended = False
            while not ended:
                ended = self._end.wait(_LOOK_S)
                if stream is None and self._path.exists():
                    stream = self._path.open("rb")
                if stream is not None:
                    self._take(stream)
        finally:
            if stream is not None:
                stream.close()

    def _take(self, stream: BinaryIO) -> None:
        while piece := stream.read(_PIECE_BYTES):
            *lines, self._rest = (self._rest + piece).split(b"\n")
            for line in lines:
                try:
                    record = decoded(line)
                except UNREADABLE:
                    continue  # judged later, and said there with its line; a view only skips it
                self._listener(record)
