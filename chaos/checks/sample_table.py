"""All samples of a run as columns: one number per sample and signal, NaN where it was absent.

Small counts take one byte each, so that a million samples fit into 50 MB, and a check looks at one
signal without touching the others. Knows which signals checks ask for, and no check.
"""

from __future__ import annotations

import re
from array import array
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from chaos.checks.line_blocks import LineBlock

Column = npt.NDArray[np.float64]

# Of any number of GPUs and MIG instances: what is in use, and what each owner holds.
_GPU = re.compile(r"(gpu(\d+)(?:mig(\d+))?)\.([a-z_]+)_bytes")
_GPU_HINT = b'"gpu'
KEYS = (
    "watcher.pid",
    "watcher.rss_anon_bytes",
    "watcher.swap_bytes",
    "watcher.fds",
    "watcher.threads",
    "watcher.children",
    "watcher.children_faults",
    "watcher.zombies",
    "watcher.sockets_established",
    "watcher.sockets_close_wait",
    "watcher.sockets_other",
    "workspace.temp_files",
    "llm.pid",
    "llm.requests_processing",
    "llm.requests_deferred",
    "queue.pending",
    "queue.claimed",
    "decisions.lines",
    "decisions.completed",
    "log.bytes",
    "disk.workspace_used_bytes",
)
_CHUNK = 4096
_NAN = float("nan")
_ABSENT = 255  # in a column of bytes
PREFIX = b'{"kind":"sample",'


def _field(key: str) -> str:
    return re.sub(r"\W", "_", key)


def _record(keys: tuple[str, ...]) -> type[msgspec.Struct]:
    """A record of which only `keys` are made into objects: few numbers of up to a kilobyte."""
    values = msgspec.defstruct(
        "_Values",
        [(_field(key), float, msgspec.field(name=key, default=_NAN)) for key in keys],
        gc=False,
    )
    return msgspec.defstruct("_Sample", [("t_s", float), ("values", values)], gc=False)


class _WithGPUs(msgspec.Struct, gc=False):
    values: dict[str, Any]


class _Column:
    """One signal: a byte for each value as long as all are small counts, then single precision
    (pages of memory, counts and numbers of processes are exact in it).
    """

    def __init__(self) -> None:
        self._numbers: array[Any] = array("B")

    def extend(self, fresh: npt.NDArray[np.float32]) -> None:
        if self._numbers.typecode == "B":
            small = np.where(np.isnan(fresh), _ABSENT, fresh)
            fits = (small == np.floor(small)) & (small >= 0) & (small < _ABSENT)
            if bool((fits | np.isnan(fresh)).all()):
                self._numbers.frombytes(small.astype(np.uint8).tobytes())
                return
            wide = self.values()
            self._numbers = array("f")
            self._numbers.frombytes(wide.tobytes())
        self._numbers.frombytes(fresh.tobytes())

    def values(self) -> npt.NDArray[np.float32]:
        if self._numbers.typecode == "f":
            return np.frombuffer(self._numbers, dtype=np.float32)
        small = np.frombuffer(self._numbers, dtype=np.uint8)
        wide = small.astype(np.float32)
        wide[small == _ABSENT] = np.nan
        return wide


class SampleTable:
    """Columns over the samples of a history. Filled in the order of its lines, then read."""

    def __init__(self) -> None:
        self._t_s = array("d")
        self._lines = array("I")
        self._columns = {key: _Column() for key in KEYS}
        self._waiting: list[npt.NDArray[np.float32]] = []  # a row for each sample
        self._waiting_rows = 0
        self._waiting_gpus: dict[int, dict[str, float]] = {}  # by sample: few machines have any
        self._plain = msgspec.json.Decoder(_record(KEYS))
        self._with_gpus = msgspec.json.Decoder(_WithGPUs)

    def add_lines(self, block: LineBlock, first: int, last: int) -> list[float] | None:
        """Take the lines at `first` to before `last` of a block of the history; their `t_s`, or
        None where not all of them are samples: then none is taken.
        """
        records = block.entries(self._plain.decode_lines, first, last)
        if records is None:
            return None
        begin, end = int(block.bounds[first]), int(block.bounds[last])
        if block.content.find(_GPU_HINT, begin, end) >= 0:
            told = block.entries(self._with_gpus.decode_lines, first, last) or ()
            for number, one in enumerate(told, start=len(self)):
                self._note_gpus(number, one.values)
        t_s = [record.t_s for record in records]
        self._t_s.extend(t_s)
        self._lines.extend(range(block.number + first, block.number + last))
        self._take([record.values for record in records])
        return t_s

    def add_line(self, number: int, line: bytes) -> float:
        """Take one line of the history; its `t_s`. Raises `MsgspecError` for any other record."""
        record: Any = self._plain.decode(line)
        if _GPU_HINT in line:
            self._note_gpus(len(self), self._with_gpus.decode(line).values)
        self._t_s.append(record.t_s)
        self._lines.append(number)
        self._take([record.values])
        return float(record.t_s)

    def add(self, number: int, t_s: float, values: dict[str, Any]) -> None:
        """Take one sample that was decoded elsewhere; what is no number is absent."""
        told = [values.get(key) for key in KEYS]
        row = [float(value) if isinstance(value, (int, float)) else _NAN for value in told]
        self._note_gpus(len(self), values)
        self._t_s.append(t_s)
        self._lines.append(number)
        self._wait(np.array([row], dtype=np.float32))

    def _note_gpus(self, number: int, values: dict[str, Any]) -> None:
        found = _gpus(values)
        if found:
            self._waiting_gpus[number] = found

    def _take(self, values: list[Any]) -> None:
        numbers = chain.from_iterable(map(msgspec.structs.astuple, values))
        rows = np.fromiter(numbers, np.float32, len(values) * len(KEYS))
        self._wait(rows.reshape(len(values), len(KEYS)))

    def _wait(self, rows: npt.NDArray[np.float32]) -> None:
        self._waiting.append(rows)
        self._waiting_rows += len(rows)
        if self._waiting_rows >= _CHUNK:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        if not waiting:
            return
        rows = np.concatenate(waiting)
        for key, values in zip(KEYS, rows.T, strict=True):
            self._columns[key].extend(values)
        self._flush_gpus(len(self) - len(rows), len(rows))

    def _flush_gpus(self, done: int, fresh: int) -> None:
        """Signals of GPUs are not known beforehand: `done` samples had none of a new one."""
        told, self._waiting_gpus = self._waiting_gpus, {}
        known = [key for key in self._columns if _GPU.fullmatch(key)]
        for key in dict.fromkeys(chain(known, *told.values())):
            column = self._columns.get(key)
            if column is None:
                column = self._columns[key] = _Column()
                column.extend(np.full(done, _NAN, dtype=np.float32))
            values = np.full(fresh, _NAN, dtype=np.float32)
            for number, one in told.items():
                values[number - done] = one.get(key, _NAN)
            column.extend(values)

    def __len__(self) -> int:
        return len(self._t_s)

    @property
    def t_s(self) -> Column:
        """When each sample was taken (run seconds)."""
        return np.frombuffer(self._t_s, dtype=np.float64)

    @property
    def lines(self) -> npt.NDArray[np.uint32]:
        """The line of each sample in the history."""
        return np.frombuffer(self._lines, dtype=np.uint32)

    def column(self, key: str) -> npt.NDArray[np.float32]:
        """The values of signal `key`, NaN where it was absent."""
        self._flush()
        if key not in self._columns:
            return np.full(len(self), np.nan, dtype=np.float32)
        return self._columns[key].values()

    def gpu_keys(self) -> list[str]:
        """The signals of memory in use, one a GPU or MIG instance, that were ever there."""
        return [key for key in self._gpu_signals() if key.endswith(".used_bytes")]

    def gpu_held_keys(self) -> list[str]:
        """The signals of what an owner holds of a GPU or MIG instance that were ever there."""
        return [key for key in self._gpu_signals() if not key.endswith(".used_bytes")]

    def _gpu_signals(self) -> list[str]:
        self._flush()
        found = [match for key in self._columns if (match := _GPU.fullmatch(key))]
        found.sort(key=lambda m: (int(m[2]), -1 if m[3] is None else int(m[3]), m[4]))
        return [match[0] for match in found]


def _gpus(values: dict[str, Any]) -> dict[str, float]:
    return {
        key: float(value)
        for key, value in values.items()
        if key.startswith("gpu") and isinstance(value, (int, float)) and _GPU.fullmatch(key)
    }
