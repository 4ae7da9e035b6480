"""One line of the decision log, read through the target's selectors and mapped onto run time.

Tolerant by design: what is missing or not as expected is empty or None, never an exception.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from chaos.base.foreign import written_out
from chaos.record.target import CallSelector, DecisionLog


class Call(msgspec.Struct, frozen=True, gc=False):
    """One LLM call of a decision; times in run seconds, None when not given or unreadable."""

    start_s: float | None
    end_s: float | None
    ok: bool


class Decision(msgspec.Struct, frozen=True):
    """One line of the decision log, mapped onto run time."""

    line: int
    id: str
    request: str
    sequence: str
    source: str
    status: str
    completed: bool
    dispatch: str
    fallback: bool
    start_s: float | None
    end_s: float | None
    calls: tuple[Call, ...]


class DecisionReader:
    """Decoded lines -> decisions. `epoch_s`: the wall clock at run time 0."""

    def __init__(self, log: DecisionLog, epoch_s: float) -> None:
        self._log = log
        self._epoch_s = epoch_s

    def read(self, line: int, entry: dict[str, Any]) -> Decision:
        """The decision that stands in `line`."""
        of = self._log
        status = text_of(entry.get(of.status))
        calls = entry.get(of.calls) if of.calls and of.call else None
        return Decision(
            line=line,
            id=text_of(entry.get(of.id)),
            request=text_of(entry.get(of.request)),
            sequence=text_of(entry.get(of.sequence)),
            source=text_of(entry.get(of.source)),
            status=status,
            completed=status in of.completed,
            dispatch=text_of(entry.get(of.dispatch)),
            fallback=bool(entry.get(of.fallback)),
            start_s=self.run_time_s(entry.get(of.started)),
            end_s=self.run_time_s(entry.get(of.timestamp)),
            calls=tuple(
                self._call(of.call, call)
                for call in (calls if isinstance(calls, list) else [])
                if of.call is not None and isinstance(call, dict)
            ),
        )

    def _call(self, of: CallSelector, call: dict[str, Any]) -> Call:
        return Call(
            start_s=self.run_time_s(call.get(of.started)),
            end_s=self.run_time_s(call.get(of.ended)),
            ok=text_of(call.get(of.outcome)) == of.ok,
        )

    def run_time_s(self, stamp: Any) -> float | None:
        """An ISO time stamp or Unix seconds as run time; a stamp without a zone is UTC."""
        if isinstance(stamp, (int, float)):
            return round(float(stamp) - self._epoch_s, 6)
        moment = parsed_time(stamp)
        return None if moment is None else round(moment.timestamp() - self._epoch_s, 6)


def parsed_time(stamp: Any) -> datetime | None:
    """An ISO time stamp, in UTC where it names no zone; None when it is not one."""
    if not isinstance(stamp, str):
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def text_of(value: Any) -> str:
    """A value of a log as text, "" for none."""
    return "" if value is None else str(value)


def text_hash(text: str) -> int:
    """64 bits that stand for `text` in a column, 0 for "" alone.

    Python's own hash: two of a million texts are taken for one with a chance of 3 in 10^8. A file
    name that is no UTF-8 counts as what the history writes for it.
    """
    if not text.isascii():
        text = written_out(text)
    return (hash(text) or 1) if text else 0
