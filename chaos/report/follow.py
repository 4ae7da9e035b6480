"""Reads a history while another process writes it: each complete line once, in order.

For a view of a run in another process. Must not know about views.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from chaos.record.history import UNREADABLE, Record, decoded

_POLL_PERIOD_S = 0.1
_STOP_LIMIT_S = 5.0
_CHUNK_BYTES = 1 << 18
_LINE_BYTES_MAX = 4 << 20  # of a line without an end, which is then given up


class Tail:
    """The records that were added to a history since the last look.

    `opened` opens the file; a `FileNotFoundError` says that there is none yet.
    """

    def __init__(self, opened: Callable[[], BinaryIO]) -> None:
        self._opened = opened
        self._stream: BinaryIO | None = None
        self._rest = b""

    def records(self, bytes_max: int = sys.maxsize) -> Iterator[Record]:
        """Yield each new record; reads about `bytes_max` at most."""
        if self._stream is None:
            try:
                self._stream = self._opened()
            except FileNotFoundError:
                return
        while bytes_max > 0 and (chunk := self._stream.read(_CHUNK_BYTES)):
            bytes_max -= len(chunk)
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            if len(self._rest) > _LINE_BYTES_MAX:
                self._rest = b""
            for line in lines:
                try:
                    record = decoded(line)
                except UNREADABLE:
                    continue  # the judgement reports it with its line number
                yield record

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()


class Follower:
    """Calls `listener` in a thread with each record of `path`, which may not exist yet."""

    def __init__(self, path: Path, listener: Callable[[Record], None]) -> None:
        self._tail = Tail(lambda: path.open("rb"))
        self._listener = listener
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)

    def start(self) -> None:
        """Start to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read to the current end of the file, then end the thread."""
        self._end.set()
        self._thread.join(_STOP_LIMIT_S)

    def _follow(self) -> None:
        try:
            ended = False
            while not ended:
                ended = self._end.wait(_POLL_PERIOD_S)
                for record in self._tail.records():
                    self._listener(record)
        finally:
            self._tail.close()
