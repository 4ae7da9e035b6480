"""The decision log as columns of numbers: a million decisions in 90 MB, read in one pass.

Texts are kept as hashes; a decision that is to be shown is read from the file again. Checks ask
with masks over the columns. Knows the selectors of the target, and no check.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from chaos.checks.clock import ClockJump, put_back, put_back_one
from chaos.checks.decision import Decision, DecisionReader, text_hash, text_of
from chaos.checks.decision_line import UsualLine
from chaos.target import DecisionLog

Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]

_CHUNK = 4096
_INDEX_EVERY = 512
_BLOCK = 1 << 16
_CODES_MAX = 65_535
_DAMAGED_KEPT = 10
_NAN = float("nan")
_UNIX_EPOCH = datetime.fromtimestamp(0, UTC)
LINE_BYTES_MAX = 1 << 20


class _Codes:
    """Few texts that come often, as small numbers. Beyond 65 534 of them all are one."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def code(self, text: str) -> int:
        known = self.of.get(text)
        if known is None:
            known = min(len(self.of), _CODES_MAX)
            if known < _CODES_MAX:
                self.of[text] = known
        return known

    def codes(self, values: list[Any]) -> list[int]:
        of = self.of
        return [
            of[value] if type(value) is str and value in of else self.code(text_of(value))
            for value in values
        ]

    def among(self, texts: list[str]) -> list[int]:
        return [self.of[text] for text in texts if text in self.of]


class DecisionTable:
    """See the module. Indices count decisions from 0; `lines` are their lines in the file."""

    def __init__(
        self,
        path: Path,
        log: DecisionLog,
        epoch_s: float,
        jumps: Sequence[ClockJump] = (),
    ) -> None:
        """`jumps`: when, and how far, the Watcher's clock was off on purpose."""
        self._path = path
        self._jumps = jumps
        self._log = log
        self._epoch_s = epoch_s
        self._reader = DecisionReader(log, epoch_s)
        self._usual = UsualLine(log)
        self._lines = array("I")
        self._starts, self._ends = array("d"), array("d")
        self._requests, self._ids, self._sequences = array("q"), array("q"), array("q")
        self._status, self._dispatch, self._source = array("H"), array("H"), array("H")
        self._fallbacks = array("b")
        self._call_counts = array("H")
        self._call_starts, self._call_ends = array("d"), array("d")
        self._call_ok = array("b")
        self._statuses, self._dispatches, self._sources = _Codes(), _Codes(), _Codes()
        self._offsets = array("Q")  # of every `_INDEX_EVERY`th decision
        self.damaged: list[int] = []  # the first lines that are no decisions
        self.damaged_count = 0
        self.torn = False
        self._read()

    # -- filling ------------------------------------------------------------------------------

    def _read(self) -> None:
        chunk: list[Any] = []
        offset = 0
        decode = self._usual.decode
        for number, line in _numbered(self._path):
            at, offset = offset, offset + len(line)
            try:
                if not line.isascii():
                    line.decode()
                entry = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self._flush(chunk)
                if not self._add_unusual(number, line):
                    continue
            else:
                chunk.append(entry)
                self._lines.append(number)
            if len(self._lines) % _INDEX_EVERY == 1:
                self._offsets.append(at)
            if len(chunk) >= _CHUNK:
                self._flush(chunk)
        self._flush(chunk)

    def _flush(self, chunk: list[Any]) -> None:
        """Put decoded entries into the columns, and empty `chunk`."""
        names = self._usual.names
        sources = _column(chunk, names["source"])
        sequences = _column(chunk, names["sequence"])
        self._requests.extend(_hashed(_column(chunk, names["request"])))
        self._ids.extend(_hashed(_column(chunk, names["id"])))
        self._sequences.extend(map(_pair, sources, sequences))
        self._status.extend(self._statuses.codes(_column(chunk, names["status"])))
        self._dispatch.extend(self._dispatches.codes(_column(chunk, names["dispatch"])))
        self._source.extend(self._sources.codes(sources))
        self._fallbacks.extend(map(bool, _column(chunk, names["fallback"])))
        self._starts.extend(_unix_s(_column(chunk, names["started"])))
        self._ends.extend(_unix_s(_column(chunk, names["timestamp"])))
        of = self._log.call
        if of is None or "calls" not in names:
            self._call_counts.extend([0] * len(chunk))
        else:
            calls = [some or () for some in _column(chunk, names["calls"])]
            self._call_counts.extend(map(len, calls))
            every = [call for some in calls for call in some]
            inner, ok = self._usual.call_names, of.ok
            self._call_starts.extend(_unix_s(_column(every, inner["started"])))
            self._call_ends.extend(_unix_s(_column(every, inner["ended"])))
            self._call_ok.extend([value == ok for value in _column(every, inner["outcome"])])
        chunk.clear()

    def _add_unusual(self, number: int, line: bytes) -> bool:
        """A line that is not of the usual form; whether it is a decision all the same."""
        entry = decoded_object(line)
        if entry is None:
            if not line.endswith(b"\n"):
                self.torn = bool(line.strip())
            elif line.strip():
                self.damaged_count += 1
                if len(self.damaged) < _DAMAGED_KEPT:
                    self.damaged.append(number)
            return False
        one = self._reader.read(number, entry)
        epoch_s = self._epoch_s
        self._lines.append(number)
        self._requests.append(text_hash(one.request))
        self._ids.append(text_hash(one.id))
        self._sequences.append(_pair(one.source, one.sequence))
        self._status.append(self._statuses.code(one.status))
        self._dispatch.append(self._dispatches.code(one.dispatch))
        self._source.append(self._sources.code(one.source))
        self._fallbacks.append(one.fallback)
        self._starts.append(_NAN if one.start_s is None else one.start_s + epoch_s)
        self._ends.append(_NAN if one.end_s is None else one.end_s + epoch_s)
        self._call_counts.append(len(one.calls))
        for call in one.calls:
            self._call_starts.append(_NAN if call.start_s is None else call.start_s + epoch_s)
            self._call_ends.append(_NAN if call.end_s is None else call.end_s + epoch_s)
            self._call_ok.append(call.ok)
        return True

    # -- one by one ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Decision]:
        for index, (number, line) in enumerate(self.raw()):
            yield self._timed(index, self._reader.read(number, decoded_object(line) or {}))

    def raw(self) -> Iterator[tuple[int, bytes]]:
        """(line, what stands in it) of each decision; reads the whole file again."""
        lines = iter(self._lines)
        wanted = next(lines, None)
        for number, line in _numbered(self._path):
            if number == wanted:
                yield number, line
                wanted = next(lines, None)

    def __getitem__(self, index: int) -> Decision:
        """One decision, read from the file again."""
        return self._timed(index, self._reader.read(self._lines[index], self.entry(index)))

    def _timed(self, index: int, decision: Decision) -> Decision:
        """The decision with its times as they stand in the columns, where a clock jumped."""
        if not self._jumps:
            return decision
        start_s, end_s = float(self.start_s[index]), float(self.end_s[index])
        return msgspec.structs.replace(
            decision,
            start_s=None if decision.start_s is None else start_s,
            end_s=None if decision.end_s is None else end_s,
            calls=tuple(
                msgspec.structs.replace(
                    call,
                    start_s=call.start_s and put_back_one(call.start_s, end_s, self._jumps),
                    end_s=call.end_s and put_back_one(call.end_s, end_s, self._jumps),
                )
                for call in decision.calls
            ),
        )

    def entry(self, index: int) -> dict[str, Any]:
        """All that stands in the line of one decision, read from the file again."""
        wanted = self._lines[index]
        first = index // _INDEX_EVERY
        number = self._lines[first * _INDEX_EVERY]
        with self._path.open("rb") as stream:
            stream.seek(self._offsets[first])
            for line in stream:
                if number == wanted:
                    return decoded_object(line) or {}
                number += 1
        raise ValueError(f"{self._path} became shorter while it was judged")

    def some(self, indices: Indices, most: int = 10) -> list[Decision]:
        """The first `most` of the decisions at `indices`."""
        return [self[int(index)] for index in indices[:most]]

    def count(self, *, dispatched: bool, source: str | None = None) -> int:
        """How many decisions there are, of those that dispatched something, of a source."""
        chosen = self.dispatched if dispatched else np.ones(len(self), dtype=np.bool_)
        return int((chosen if source is None else chosen & self.from_source(source)).sum())

    # -- columns ------------------------------------------------------------------------------

    @cached_property
    def start_s(self) -> Times:
        """When each decision began (run seconds), NaN where it does not say."""
        return put_back(self._run_time(self._starts), self._jumps, self.end_s)

    @cached_property
    def end_s(self) -> Times:
        """When each decision was written."""
        return put_back(self._run_time(self._ends), self._jumps)

    @property
    def lines(self) -> npt.NDArray[np.uint32]:
        """The line of each decision."""
        return np.frombuffer(self._lines, dtype=np.uint32)

    @property
    def request(self) -> Hashes:
        """`text_hash` of each request's file name."""
        return np.frombuffer(self._requests, dtype=np.int64)

    @property
    def id(self) -> Hashes:
        """`text_hash` of each decision's id."""
        return np.frombuffer(self._ids, dtype=np.int64)

    @property
    def sequence(self) -> Hashes:
        """Hash of each decision's source and sequence number, 0 where it has no number."""
        return np.frombuffer(self._sequences, dtype=np.int64)

    @property
    def fallback(self) -> Mask:
        """Whether a decision says that the LLM did not make it."""
        return np.frombuffer(self._fallbacks, dtype=np.bool_)

    @cached_property
    def completed(self) -> Mask:
        """Whether its status means done."""
        codes = np.frombuffer(self._status, dtype=np.uint16)
        return np.isin(codes, self._statuses.among(self._log.completed))

    @cached_property
    def dispatched(self) -> Mask:
        """Whether it dispatched anything."""
        codes = np.frombuffer(self._dispatch, dtype=np.uint16)
        return np.not_equal(codes, self._dispatches.of.get("", _CODES_MAX))

    def dispatched_as(self, names: list[str]) -> Mask:
        """Whether its dispatch is one of `names`."""
        codes = np.frombuffer(self._dispatch, dtype=np.uint16)
        return np.isin(codes, self._dispatches.among(names))

    def from_source(self, name: str) -> Mask:
        """Whether `name` asked for it."""
        return np.isin(np.frombuffer(self._source, dtype=np.uint16), self._sources.among([name]))

    # -- LLM calls ----------------------------------------------------------------------------

    @cached_property
    def call_start_s(self) -> Times:
        """When each LLM call of all decisions began, one after the other."""
        return self._call_time(self._call_starts)

    @cached_property
    def call_end_s(self) -> Times:
        """When each LLM call ended."""
        return self._call_time(self._call_ends)

    @property
    def call_ok(self) -> Mask:
        """Whether the LLM answered."""
        return np.frombuffer(self._call_ok, dtype=np.bool_)

    @property
    def call_count(self) -> npt.NDArray[np.uint16]:
        """How many calls each decision has."""
        return np.frombuffer(self._call_counts, dtype=np.uint16)

    @cached_property
    def call_of(self) -> npt.NDArray[np.uint32]:
        """The decision of each call."""
        return np.repeat(np.arange(len(self), dtype=np.uint32), self.call_count)

    def any_call(self, which: Mask) -> Mask:
        """The decisions of which any call is in `which`."""
        found: Mask = np.zeros(len(self), dtype=np.bool_)
        found[self.call_of[which]] = True
        return found

    def _call_time(self, unix_s: array[float]) -> Times:
        times = self._run_time(unix_s)
        return put_back(times, self._jumps, self.end_s[self.call_of]) if self._jumps else times

    def _run_time(self, unix_s: array[float]) -> Times:
        # In place: nobody asks for the wall clock. Rounded as time stamps are, to the microsecond.
        times = np.frombuffer(unix_s, dtype=np.float64)
        times -= self._epoch_s
        return np.round(times, 6, out=times)


def among(values: Hashes, others: Hashes) -> Mask:
    """For each of `values` whether it is one of `others`, in the memory of one copy of `others`."""
    found: Mask = np.zeros(len(values), dtype=np.bool_)
    if len(others):
        ordered = np.sort(others)
        for first in range(0, len(values), _BLOCK):
            some = values[first : first + _BLOCK]
            place = np.minimum(np.searchsorted(ordered, some), len(ordered) - 1)
            found[first : first + _BLOCK] = ordered[place] == some
    return found


def twice(values: Hashes) -> Hashes:
    """What comes more than once in `values`, each of it once, in order of size."""
    ordered = np.sort(values)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def repeats(hashes: Hashes, used: Mask) -> list[tuple[int, int]]:
    """(index, index of the first) of everything in `used` whose hash came before, in order."""
    doubled = twice(hashes[used])
    doubled = doubled[doubled != 0]
    firsts: dict[int, int] = {}
    found = []
    for index in np.flatnonzero(used & among(hashes, doubled)).tolist():
        first = firsts.setdefault(int(hashes[index]), index)
        if first != index:
            found.append((index, first))
    return found


def _column(chunk: list[Any], name: str) -> list[Any]:
    return list(map(attrgetter(name), chunk))


def _hashed(values: list[Any]) -> list[int]:
    return [text_hash(value if type(value) is str else text_of(value)) for value in values]


def _pair(source: Any, sequence: Any) -> int:
    """Stands for a sequence number of a source; 0 where there is no number."""
    number = text_of(sequence)
    return (hash((text_of(source), number)) or 1) if number else 0


def _unix_s(moments: list[datetime | None]) -> list[float]:
    return [
        _NAN if moment is None else (moment - _UNIX_EPOCH).total_seconds() for moment in moments
    ]


def decoded_object(line: bytes) -> dict[str, Any] | None:
    """A line as a JSON object, or None."""
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, line with its newline); of an overlong line only the beginning."""
    try:
        stream = path.open("rb")
    except OSError:
        return
    with stream:
        number, inside = 0, False
        while chunk := stream.readline(LINE_BYTES_MAX):
            if not inside:
                number += 1
                yield number, chunk
            inside = not chunk.endswith(b"\n")
