"""What each decision says that its dispatch has done, as columns. Knows no check.

A second pass over the decision log, for the one check that asks, in blocks; rows are those of the
`DecisionTable`. Paths and digests are kept as hashes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from chaos.checks.decision import text_hash, text_of
from chaos.checks.decision_table import DecisionTable, decoded_object
from chaos.checks.hash_sets import Hashes, Indices, Mask
from chaos.checks.line_blocks import LineBlock
from chaos.record.target import DecisionLog

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Effects:
    """Of the decisions from `first` on. `child`: whether a child process is named; `exit_ok`:
    whether it ended with 0 (both also where the target names no such field). Of each artefact
    below the folder asked for: its decision (`of`), its `path` and its `digest`.
    """

    first: int
    child: Mask
    exit_ok: Mask
    of: Indices
    path: Hashes
    digest: Hashes


def effect_blocks(decisions: DecisionTable, log: DecisionLog, folder: str) -> Iterator[Effects]:
    """The effects of all decisions, a block after the other."""
    select = _Selector(log.child_pid, log.child_exit, log.artefacts)
    rows, first = _Rows(log, folder), 0
    for block, numbers in decisions.blocks():
        rows.extend(first + len(rows.child), *select.block(block, numbers))
        if len(rows.child) >= _BLOCK:
            yield rows.effects(first)
            rows, first = _Rows(log, folder), first + len(rows.child)
    if len(rows.child):
        yield rows.effects(first)


class _Rows:
    """Effects that are being gathered."""

    def __init__(self, log: DecisionLog, folder: str) -> None:
        self._log = log
        self._folder = folder
        self.child, self._exit_ok = array("b"), array("b")
        self._of, self._paths, self._digests = array("q"), array("q"), array("q")

    def extend(self, first: int, pids: list[Any], codes: list[Any], artefacts: list[Any]) -> None:
        """Take what the decisions from `first` on say."""
        unknown = not self._log.child_pid
        self.child.extend([unknown or type(pid) is int for pid in pids])
        unknown = not self._log.child_exit
        self._exit_ok.extend([unknown or code == 0 for code in codes])
        folder = self._folder
        for index, written in enumerate(artefacts, start=first):
            if type(written) is dict:
                for path, digest in written.items():
                    if path.startswith(folder):
                        self._of.append(index)
                        self._paths.append(text_hash(path))
                        self._digests.append(text_hash(text_of(digest)))

    def effects(self, first: int) -> Effects:
        """All of them; the first is the decision `first`."""
        return Effects(
            first,
            np.frombuffer(self.child, dtype=np.bool_),
            np.frombuffer(self._exit_ok, dtype=np.bool_),
            np.frombuffer(self._of, dtype=np.int64),
            np.frombuffer(self._paths, dtype=np.int64),
            np.frombuffer(self._digests, dtype=np.int64),
        )


def selected(entry: Any, path: str) -> Any:
    """The value at a dotted `path` of a decoded line; None where there is none."""
    for name in path.split("."):
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry


class _Selector:
    """The values at dotted `paths` ("": None), for many lines at once. Only what they name is made
    into objects.
    """

    def __init__(self, *paths: str) -> None:
        decoder = msgspec.json.Decoder(_struct([p.split(".") for p in paths if p]))
        self._decode, self._decode_lines = decoder.decode, decoder.decode_lines
        self._paths = paths

    def block(self, block: LineBlock, numbers: npt.NDArray[np.uint32]) -> list[list[Any]]:
        """For each path its values in the lines `numbers` of `block`."""
        whole = len(numbers) == len(block)
        entries = block.entries(self._decode_lines) if whole else None
        if entries is not None:
            return [_values(entries, path) for path in self._paths]
        wanted = set(numbers.tolist())
        lines = [self._line(line) for number, line in block.lines() if number in wanted]
        return [list(values) for values in zip(*lines, strict=True)] or [[] for _ in self._paths]

    def _line(self, line: bytes) -> list[Any]:
        try:
            entry = self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            whole = decoded_object(line)
            return [selected(whole, path) if path else None for path in self._paths]
        return [_values([entry], path)[0] for path in self._paths]


def _values(entries: list[Any], path: str) -> list[Any]:
    """The value at a dotted `path` of each struct."""
    if not path:
        return [None] * len(entries)
    for name in path.split("."):
        inner = f"_{name}"
        entries = [getattr(entry, inner, None) for entry in entries]
    return entries


def _struct(paths: list[list[str]]) -> Any:
    """A struct with the fields that `paths` name; whatever is at the end of one stays as it is."""
    inner: dict[str, list[list[str]]] = {}
    for path in paths:
        inner.setdefault(path[0], []).append(path[1:])
    return msgspec.defstruct(
        "_Entry",
        [
            (
                f"_{name}",
                Any if [] in rests else _struct(rests) | None,
                msgspec.field(name=name, default=None),
            )
            for name, rests in inner.items()
        ],
        gc=False,
    )
