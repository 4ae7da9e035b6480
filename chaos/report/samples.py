"""Samples read fast: only the numbers that are drawn, a block at a time.

A run of days has a million samples; decoding all of each would take longer than everything else
of a page. Knows nothing of drawing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
# (times, a column a key with NaN where it was absent, the LLM's health as told)
TakeBlock = Callable[[Numbers, dict[str, Numbers], Sequence[str | None]], None]

PREFIX = b'{"kind":"sample"'
_BLOCK = 8192
_NAN = float("nan")


class SampleReader:
    """Lines of the history -> blocks of columns. `finish` gives out what is left."""

    def __init__(self, keys: Sequence[str], take: TakeBlock) -> None:
        fields: list[Any] = [
            (re.sub(r"\W", "_", key), float, msgspec.field(name=key, default=_NAN)) for key in keys
        ]
        values = msgspec.defstruct("_Values", fields, gc=False)
        health: Any = ("health", str | None, msgspec.field(name="llm.health", default=None))
        state = msgspec.defstruct("_State", [health], gc=False)
        record: list[Any] = [("t_s", float), ("values", values)]
        told: list[Any] = [("values", state)]
        self._decode = msgspec.json.Decoder(msgspec.defstruct("_Record", record, gc=False)).decode
        self._health = msgspec.json.Decoder(msgspec.defstruct("_Told", told, gc=False)).decode
        self._keys = list(keys)
        self._take = take
        self._t_s: list[float] = []
        self._rows: list[tuple[float, ...]] = []
        self._healths: list[str | None] = []

    def add_line(self, line: bytes) -> None:
        """Take one line; raises `MsgspecError` when it is not a sample of numbers."""
        record: Any = self._decode(line)
        told: Any = self._health(line) if b'"llm.health"' in line else None
        self._t_s.append(record.t_s)
        self._rows.append(msgspec.structs.astuple(record.values))
        self._healths.append(told.values.health if told else None)
        if len(self._t_s) >= _BLOCK:
            self.finish()

    def finish(self) -> None:
        """Give out what was taken since the last block."""
        if self._t_s:
            columns = np.array(self._rows, dtype=np.float64).T
            named = dict(zip(self._keys, columns, strict=True))
            self._take(np.array(self._t_s), named, self._healths)
        self._t_s, self._rows, self._healths = [], [], []


def total(columns: dict[str, Numbers], keys: Sequence[str]) -> Numbers:
    """The sum of `keys` at each moment; NaN where none of them is there."""
    rows = np.stack([columns[key] for key in keys])
    absent = np.isnan(rows).all(axis=0)
    return np.where(absent, np.nan, np.nansum(rows, axis=0))
