"""The decision log as columns of numbers: a million decisions in 90 MB, read in one pass.

Texts are kept as hashes; a decision that is to be shown is read from the file again. Checks ask
with masks over the columns. Knows the selectors of the target, and no check.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from chaos.checks.clock import ClockJump, put_back, put_back_one
from chaos.checks.decision import Decision, DecisionReader
from chaos.checks.decision_columns import CODES_MAX, DecisionColumns
from chaos.checks.decision_line import UsualLine
from chaos.checks.hash_sets import Hashes, Indices, Mask, Times
from chaos.checks.line_blocks import LineBlock, line_blocks
from chaos.record.target import DecisionLog

_DAMAGED_KEPT = 10
LINE_BYTES_MAX = 1 << 20


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
        self._columns = DecisionColumns(log, self._usual)
        self._block_lines, self._block_offsets = array("I"), array("Q")  # where each begins
        self.damaged: list[int] = []  # the first lines that are no decisions
        self.damaged_count = 0
        self.torn = False
        self._read()

    # -- filling ------------------------------------------------------------------------------

    def _blocks(self) -> Iterator[LineBlock]:
        try:
            stream = self._path.open("rb")
        except OSError:
            return
        with stream:
            yield from line_blocks(stream, LINE_BYTES_MAX)

    def _read(self) -> None:
        for block in self._blocks():
            self._block_lines.append(block.number)
            self._block_offsets.append(block.offset)
            text = _is_text(block.content)
            entries = block.entries(self._usual.decode_lines) if text else None
            if entries is None:
                self._read_lines(block)
            else:
                self._columns.extend(range(block.number, block.number + len(block)), entries)

    def _read_lines(self, block: LineBlock) -> None:
        """A block that is not as usual all through; what is usual in it goes together."""
        numbers: list[int] = []
        entries: list[Any] = []
        for number, line in block.lines():
            entry = self._usual_entry(line)
            if entry is not None:
                numbers.append(number)
                entries.append(entry)
                continue
            self._columns.extend(numbers, entries)
            numbers, entries = [], []
            self._add_unusual(number, line)
        self._columns.extend(numbers, entries)

    def _usual_entry(self, line: bytes) -> Any:
        try:
            return self._usual.decode(line) if _is_text(line) else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def _add_unusual(self, number: int, line: bytes) -> None:
        """A line that is not of the usual form, whether or not it is a decision all the same."""
        entry = decoded_object(line)
        if entry is not None:
            self._columns.append(self._reader.read(number, entry), self._epoch_s)
        elif not line.endswith(b"\n"):
            self.torn = bool(line.strip())
        elif line.strip():
            self.damaged_count += 1
            if len(self.damaged) < _DAMAGED_KEPT:
                self.damaged.append(number)

    # -- one by one ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._columns.lines)

    def __iter__(self) -> Iterator[Decision]:
        index = 0
        for block, numbers in self.blocks():
            wanted = set(numbers.tolist())
            for number, line in block.lines():
                if number in wanted:
                    one = self._reader.read(number, decoded_object(line) or {})
                    yield self._timed(index, one)
                    index += 1

    def blocks(self) -> Iterator[tuple[LineBlock, npt.NDArray[np.uint32]]]:
        """The file once more, block by block, and which of its lines are decisions."""
        lines = self.lines
        for block in self._blocks():
            ends = np.array((block.number, block.number + len(block)), dtype=np.uint32)
            first, last = np.searchsorted(lines, ends)
            yield block, lines[first:last]

    def __getitem__(self, index: int) -> Decision:
        """One decision, read from the file again."""
        return self._timed(index, self._reader.read(self._columns.lines[index], self.entry(index)))

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
        wanted = self._columns.lines[index]
        block = bisect_right(self._block_lines, wanted) - 1
        with self._path.open("rb") as stream:
            stream.seek(self._block_offsets[block])
            for number, line in enumerate(stream, start=self._block_lines[block]):
                if number == wanted:
                    return decoded_object(line) or {}
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
        return put_back(self._run_time(self._columns.starts), self._jumps, self.end_s)

    @cached_property
    def end_s(self) -> Times:
        """When each decision was written."""
        return put_back(self._run_time(self._columns.ends), self._jumps)

    @property
    def lines(self) -> npt.NDArray[np.uint32]:
        """The line of each decision."""
        return np.frombuffer(self._columns.lines, dtype=np.uint32)

    @property
    def request(self) -> Hashes:
        """`text_hash` of each request's file name."""
        return np.frombuffer(self._columns.requests, dtype=np.int64)

    @property
    def id(self) -> Hashes:
        """`text_hash` of each decision's id."""
        return np.frombuffer(self._columns.ids, dtype=np.int64)

    @property
    def sequence(self) -> Hashes:
        """Hash of each decision's source and sequence number, 0 where it has no number."""
        return np.frombuffer(self._columns.sequences, dtype=np.int64)

    @property
    def fallback(self) -> Mask:
        """Whether a decision says that the LLM did not make it."""
        return np.frombuffer(self._columns.fallbacks, dtype=np.bool_)

    @cached_property
    def completed(self) -> Mask:
        """Whether its status means done."""
        codes = np.frombuffer(self._columns.status, dtype=np.uint16)
        return np.isin(codes, self._columns.statuses.among(self._log.completed))

    @cached_property
    def dispatched(self) -> Mask:
        """Whether it dispatched anything."""
        codes = np.frombuffer(self._columns.dispatch, dtype=np.uint16)
        return np.not_equal(codes, self._columns.dispatches.of.get("", CODES_MAX))

    def dispatched_as(self, names: list[str]) -> Mask:
        """Whether its dispatch is one of `names`."""
        codes = np.frombuffer(self._columns.dispatch, dtype=np.uint16)
        return np.isin(codes, self._columns.dispatches.among(names))

    def from_source(self, name: str) -> Mask:
        """Whether `name` asked for it."""
        return np.isin(
            np.frombuffer(self._columns.source, dtype=np.uint16),
            self._columns.sources.among([name]),
        )

    # -- LLM calls ----------------------------------------------------------------------------

    @cached_property
    def call_start_s(self) -> Times:
        """When each LLM call of all decisions began, one after the other."""
        return self._call_time(self._columns.call_starts)

    @cached_property
    def call_end_s(self) -> Times:
        """When each LLM call ended."""
        return self._call_time(self._columns.call_ends)

    @property
    def call_ok(self) -> Mask:
        """Whether the LLM answered."""
        return np.frombuffer(self._columns.call_ok, dtype=np.bool_)

    @property
    def call_count(self) -> npt.NDArray[np.uint16]:
        """How many calls each decision has."""
        return np.frombuffer(self._columns.call_counts, dtype=np.uint16)

    @property
    def call_of(self) -> npt.NDArray[np.uint32]:
        """The decision of each call. Made anew each time: it is large, and seldom asked for."""
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


def decoded_object(line: bytes) -> dict[str, Any] | None:
    """A line as a JSON object, or None."""
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _is_text(content: bytes) -> bool:
    """Whether it is UTF-8 all through: the decoder does not look into what it skips."""
    try:
        return content.isascii() or bool(content.decode())
    except UnicodeDecodeError:
        return False
