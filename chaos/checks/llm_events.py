"""The supervisor's record of LLM servers, streamed: it may tell of a million restarts.

Only what becomes of a server is told (start, stop, gone, crashed). Knows no check.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

_LINE_BYTES_MAX = 1 << 16
_KINDS = frozenset({"start", "stop", "gone", "crashed"})
_CRASHES_KEPT = 10


class LLMEvent(msgspec.Struct, frozen=True, gc=False):
    """One line of the supervisor's record; `t_s` in run seconds."""

    line: int
    t_s: float
    event: str
    pid: int | None


class _Usual(msgspec.Struct, gc=False):
    time_s: float
    event: str
    pid: int | None = None


class LLMEvents:
    """Iterates over `LLMEvent` in the order of the record; reads the file again each time."""

    def __init__(self, path: Path, epoch_s: float) -> None:
        self._path = path
        self._epoch_s = epoch_s
        self._crashes: list[LLMEvent] | None = None

    def __iter__(self) -> Iterator[LLMEvent]:
        decode = msgspec.json.Decoder(_Usual).decode
        epoch_s, number = self._epoch_s, 0
        crashes: list[LLMEvent] = []
        with self._path.open("rb") as stream:
            while line := stream.readline(_LINE_BYTES_MAX):
                number += 1
                event: _Usual | None
                try:
                    event = decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    event = _tolerant(line)
                if event is None or event.event not in _KINDS:
                    continue  # half a line, or "ready": starts and stops must add up without
                t_s = round(event.time_s - epoch_s, 6)
                told = LLMEvent(number, t_s, event.event, event.pid)
                if told.event == "crashed" and len(crashes) < _CRASHES_KEPT:
                    crashes.append(told)
                yield told
        self._crashes = crashes

    def crashes(self) -> list[LLMEvent]:
        """The first servers that died by themselves; known without reading again after a pass."""
        if self._crashes is None:
            for _ in self:
                pass
        return self._crashes or []


def _tolerant(line: bytes) -> _Usual | None:
    """A line of another form: a number as text, a PID that is none."""
    try:
        entry: Any = msgspec.json.decode(line)
        pid = entry.get("pid")
        whole = isinstance(pid, int) and not isinstance(pid, bool)
        return _Usual(float(entry["time_s"]), str(entry["event"]), pid if whole else None)
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None
