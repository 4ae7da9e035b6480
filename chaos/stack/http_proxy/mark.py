"""The place in a body where a rule acts: after a number of bytes, or of events of a stream.

Gets the body in chunks, and keeps only a few bytes of it.
"""

from typing import Protocol

from chaos.stack.http_proxy.rules import Params

_DATA = b"data:"
# Within a `data:` line, even within `data: [DONE]`.
_INTO_EVENT_BYTES = 10


class Mark(Protocol):
    """Finds one place in a body."""

    def before(self, chunk: bytes) -> int | None:
        """The number of bytes of `chunk` before the mark; None: the mark is not in it.

        There is always a byte after the mark: a body that ends at the mark is left alone.
        """


class ByteMark:
    """After `count` bytes."""

    def __init__(self, count: int) -> None:
        self._left = count

    def before(self, chunk: bytes) -> int | None:
        if len(chunk) > self._left:
            return self._left
        self._left -= len(chunk)
        return None


class EventMark:
    """After `count` events of a `text/event-stream`: blocks with a `data:` line, blank line last.

    llama.cpp's server sends one event per token (WHATWG HTML, "Server-sent events", for the form).
    """

    def __init__(self, count: int) -> None:
        self._left = count
        self._line = b""  # the first bytes of the current line
        self._has_data = False

    def before(self, chunk: bytes) -> int | None:
        offset = 0
        while self._left and (end := chunk.find(b"\n", offset)) >= 0:
            self._line = (self._line + chunk[offset : min(end, offset + len(_DATA))])[: len(_DATA)]
            self._line_ended()
            offset = end + 1
        if not self._left:
            return offset if offset < len(chunk) else None
        self._line = (self._line + chunk[offset : offset + len(_DATA)])[: len(_DATA)]
        return None

    def _line_ended(self) -> None:
        if self._line in (b"", b"\r"):
            self._left -= self._has_data
            self._has_data = False
        elif self._line == _DATA:
            self._has_data = True
        self._line = b""


class InsideMark:
    """Within the event after `count` events: a part of its `data:` line is before the mark."""

    def __init__(self, count: int) -> None:
        self._events = EventMark(count)
        self._inside: ByteMark | None = None

    def before(self, chunk: bytes) -> int | None:
        start = 0
        if self._inside is None:
            found = self._events.before(chunk)
            if found is None:
                return None
            start, self._inside = found, ByteMark(_INTO_EVENT_BYTES)
        more = self._inside.before(chunk[start:])
        return None if more is None else start + more


def mark_of(params: Params) -> Mark:
    """The mark that a rule's parameters ask for."""
    if params.after_tokens is None:
        return ByteMark(params.after_bytes)
    return (InsideMark if params.mid_event else EventMark)(params.after_tokens)
