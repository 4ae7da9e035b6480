"""The supervisor's record of LLM servers, streamed: it may tell of a million restarts.

Only what becomes of a server is told (start, stop, gone, crashed). Knows no check.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from chaos.checks.line_blocks import LineBlock, line_blocks

_LINE_BYTES_MAX = 1 << 20
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


_DECODER = msgspec.json.Decoder(_Usual)


class LLMEvents:
    """Iterates over `LLMEvent` in the order of the record; reads the file again each time."""

    def __init__(self, path: Path, epoch_s: float) -> None:
        self._path = path
        self._epoch_s = epoch_s
        self._crashes: list[LLMEvent] | None = None

    def __iter__(self) -> Iterator[LLMEvent]:
        epoch_s = self._epoch_s
        crashes: list[LLMEvent] = []
        with self._path.open("rb") as stream:
            for block in line_blocks(stream, _LINE_BYTES_MAX):
                for number, told in enumerate(_told(block), start=block.number):
                    if told is None or told.event not in _KINDS:
                        continue  # half a line, or "ready": starts and stops must add up without
                    t_s = round(told.time_s - epoch_s, 6)
                    event = LLMEvent(number, t_s, told.event, told.pid)
                    if event.event == "crashed" and len(crashes) < _CRASHES_KEPT:
                        crashes.append(event)
                    yield event
        self._crashes = crashes

    def crashes(self) -> list[LLMEvent]:
        """The first servers that died by themselves; known without reading again after a pass."""
        if self._crashes is None:
            for _ in self:
                pass
        return self._crashes or []


def _told(block: LineBlock) -> list[_Usual | None]:
    """What each line of a block tells."""
    entries = block.entries(_DECODER.decode_lines)
    return [_of_line(line) for _, line in block.lines()] if entries is None else entries


def _of_line(line: bytes) -> _Usual | None:
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _tolerant(line)


def _tolerant(line: bytes) -> _Usual | None:
    """A line of another form: a number as text, a PID that is none."""
    try:
        entry: Any = msgspec.json.decode(line)
        pid = entry.get("pid")
        whole = isinstance(pid, int) and not isinstance(pid, bool)
        return _Usual(float(entry["time_s"]), str(entry["event"]), pid if whole else None)
    except (msgspec.MsgspecError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None
