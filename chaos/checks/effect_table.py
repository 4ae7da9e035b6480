"""What each decision says that its dispatch has done, as columns. Knows no check.

A second pass over the decision log, for the one check that asks, in blocks; rows are those of the
`DecisionTable`. Paths and digests are kept as hashes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from chaos.checks.decision import text_hash, text_of
from chaos.checks.decision_table import DecisionTable, Hashes, Indices, Mask, decoded_object
from chaos.target import DecisionLog

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
    select = _selector(log.child_pid, log.child_exit, log.artefacts)
    rows = enumerate(decisions.raw())
    first = 0
    while block := _block(islice(rows, _BLOCK), first, select, log, folder):
        yield block
        first += len(block.child)


def _block(
    rows: Iterator[tuple[int, tuple[int, bytes]]],
    first: int,
    select: Callable[[bytes], tuple[Any, ...]],
    log: DecisionLog,
    folder: str,
) -> Effects | None:
    child, exit_ok = array("b"), array("b")
    of, paths, digests = array("q"), array("q"), array("q")
    for index, (_, line) in rows:
        pid, code, artefacts = select(line)
        child.append(not log.child_pid or (isinstance(pid, int) and not isinstance(pid, bool)))
        exit_ok.append(not log.child_exit or code == 0)
        if isinstance(artefacts, dict):
            for path, digest in artefacts.items():
                if path.startswith(folder):
                    of.append(index)
                    paths.append(text_hash(path))
                    digests.append(text_hash(text_of(digest)))
    if not len(child):
        return None
    return Effects(
        first,
        np.frombuffer(child, dtype=np.bool_),
        np.frombuffer(exit_ok, dtype=np.bool_),
        np.frombuffer(of, dtype=np.int64),
        np.frombuffer(paths, dtype=np.int64),
        np.frombuffer(digests, dtype=np.int64),
    )


def selected(entry: Any, path: str) -> Any:
    """The value at a dotted `path` of a decoded line; None where there is none."""
    for name in path.split("."):
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry


def _selector(*paths: str) -> Callable[[bytes], tuple[Any, ...]]:
    """Line -> the values at `paths`. Only what they name is made into objects."""
    decode = msgspec.json.Decoder(_struct([p.split(".") for p in paths if p])).decode
    walks = [[f"_{name}" for name in path.split(".")] if path else [] for path in paths]

    def select(line: bytes) -> tuple[Any, ...]:
        try:
            whole = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            entry = decoded_object(line)
            return tuple(selected(entry, path) if path else None for path in paths)
        found = []
        for walk in walks:
            value = whole
            for name in walk:
                value = getattr(value, name, None)
            found.append(value if walk else None)
        return tuple(found)

    return select


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
