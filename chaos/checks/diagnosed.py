"""What the Watcher's diagnostics say that they emitted, as columns. Knows no check."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from chaos.checks.clock import ClockJump, put_back
from chaos.checks.decision import text_hash, text_of
from chaos.checks.hash_sets import Hashes, Times
from chaos.checks.small_files import content_of, scanned

_NAN = float("nan")


class Diagnosed:
    """The diagnostics files below `root`; iterates over (path, requests that it names), sorted."""

    def __init__(
        self,
        root: Path,
        pattern: str,
        *,
        requests: str,
        timestamp: str,
        run_time_s: Callable[[Any], float | None],
        jumps: Sequence[ClockJump] = (),
    ) -> None:
        self._jumps = jumps
        self._root = root
        self._requests, self._timestamp = requests, timestamp
        self._run_time_s = run_time_s
        self._paths = sorted(folder + name for folder, name in scanned(root, pattern))

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        for path, _, names in self._read():
            yield path, names

    def _read(self) -> Iterator[tuple[str, float | None, list[str]]]:
        for path in self._paths:
            try:
                entry = msgspec.json.decode(content_of(f"{self._root}/{path}"))
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                entry = None  # a diagnosis all the same, that names nothing
            entry = entry if isinstance(entry, dict) else {}
            names = entry.get(self._requests)
            names = [text_of(name) for name in names] if isinstance(names, list) else []
            yield path, self._run_time_s(entry.get(self._timestamp)), names

    @cached_property
    def _columns(self) -> tuple[Hashes, Times, npt.NDArray[np.uint32]]:
        hashes, moments, counts = array("q"), array("d"), array("I")
        for _, stamp, names in self._read():
            hashes.extend(map(text_hash, names))
            moments.append(_NAN if stamp is None else stamp)
            counts.append(len(names))
        times = put_back(np.frombuffer(moments, np.float64), self._jumps)
        return np.frombuffer(hashes, np.int64), times, np.frombuffer(counts, np.uint32)

    @property
    def request(self) -> Hashes:
        """`text_hash` of each request named, in the order of the files."""
        return self._columns[0]

    @property
    def t_s(self) -> Times:
        """When each of them was emitted (run seconds), NaN where its file does not say."""
        return np.repeat(self._columns[1], self._columns[2])
