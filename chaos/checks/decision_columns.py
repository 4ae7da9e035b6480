"""What decisions are kept as: one number a field, texts as hashes, 90 bytes a decision.

Filled with what the usual line holds, many at once, or with one decision read in the general way.
Knows the selectors of the target, and neither files nor checks.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from chaos.checks.decision import Decision, text_hash, text_of
from chaos.checks.decision_line import UsualLine
from chaos.record.target import DecisionLog

CODES_MAX = 65_535
_NAN = float("nan")


class Codes:
    """Few texts that come often, as small numbers. Beyond 65 534 of them all are one."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def code(self, text: str) -> int:
        """The number of `text`."""
        known = self.of.get(text)
        if known is None:
            known = min(len(self.of), CODES_MAX)
            if known < CODES_MAX:
                self.of[text] = known
        return known

    def codes(self, values: list[Any]) -> list[int]:
        """The numbers of `values` as texts."""
        of = self.of
        return [
            of[value] if type(value) is str and value in of else self.code(text_of(value))
            for value in values
        ]

    def among(self, texts: list[str]) -> list[int]:
        """The numbers of those of `texts` that came."""
        return [self.of[text] for text in texts if text in self.of]


class DecisionColumns:
    """Times are Unix seconds, NaN for none; calls of all decisions stand one after the other."""

    def __init__(self, log: DecisionLog, usual: UsualLine) -> None:
        self._log = log
        self._usual = usual
        self.lines = array("I")
        self.starts, self.ends = array("d"), array("d")
        self.requests, self.ids, self.sequences = array("q"), array("q"), array("q")
        self.status, self.dispatch, self.source = array("H"), array("H"), array("H")
        self.fallbacks = array("b")
        self.call_counts = array("H")
        self.call_starts, self.call_ends = array("d"), array("d")
        self.call_ok = array("b")
        self.statuses, self.dispatches, self.sources = Codes(), Codes(), Codes()

    def extend(self, numbers: Sequence[int], entries: list[Any]) -> None:
        """Take `entries` of the usual form, with the numbers of their lines."""
        names = self._usual.names
        sources = _column(entries, names["source"])
        sequences = _column(entries, names["sequence"])
        self.lines.extend(numbers)
        self.requests.extend(_hashed(_column(entries, names["request"])))
        self.ids.extend(_hashed(_column(entries, names["id"])))
        self.sequences.extend(map(_pair, sources, sequences))
        self.status.extend(self.statuses.codes(_column(entries, names["status"])))
        self.dispatch.extend(self.dispatches.codes(_column(entries, names["dispatch"])))
        self.source.extend(self.sources.codes(sources))
        self.fallbacks.extend(map(bool, _column(entries, names["fallback"])))
        self.starts.extend(_unix_s(_column(entries, names["started"])))
        self.ends.extend(_unix_s(_column(entries, names["timestamp"])))
        of = self._log.call
        if of is None or "calls" not in names:
            self.call_counts.extend([0] * len(entries))
            return
        calls = [some or () for some in _column(entries, names["calls"])]
        self.call_counts.extend(map(len, calls))
        every = [call for some in calls for call in some]
        inner, ok = self._usual.call_names, of.ok
        self.call_starts.extend(_unix_s(_column(every, inner["started"])))
        self.call_ends.extend(_unix_s(_column(every, inner["ended"])))
        self.call_ok.extend([value == ok for value in _column(every, inner["outcome"])])

    def append(self, one: Decision, epoch_s: float) -> None:
        """Take `one` decision; `epoch_s`: the wall clock at its run time 0."""
        self.lines.append(one.line)
        self.requests.append(text_hash(one.request))
        self.ids.append(text_hash(one.id))
        self.sequences.append(_pair(one.source, one.sequence))
        self.status.append(self.statuses.code(one.status))
        self.dispatch.append(self.dispatches.code(one.dispatch))
        self.source.append(self.sources.code(one.source))
        self.fallbacks.append(one.fallback)
        self.starts.append(_NAN if one.start_s is None else one.start_s + epoch_s)
        self.ends.append(_NAN if one.end_s is None else one.end_s + epoch_s)
        self.call_counts.append(len(one.calls))
        for call in one.calls:
            self.call_starts.append(_NAN if call.start_s is None else call.start_s + epoch_s)
            self.call_ends.append(_NAN if call.end_s is None else call.end_s + epoch_s)
            self.call_ok.append(call.ok)


def _column(entries: list[Any], name: str) -> list[Any]:
    return list(map(attrgetter(name), entries))


def _hashed(values: list[Any]) -> list[int]:
    return [
        hash(value) or 1 if type(value) is str and value else text_hash(text_of(value))
        for value in values
    ]


def _pair(source: Any, sequence: Any) -> int:
    """Stands for a sequence number of a source; 0 where there is no number."""
    number = text_of(sequence)
    return (hash((text_of(source), number)) or 1) if number else 0


def _unix_s(moments: list[datetime | None]) -> list[float]:
    return [_NAN if moment is None else moment.timestamp() for moment in moments]
