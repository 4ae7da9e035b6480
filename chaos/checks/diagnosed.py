"""What the Watcher's diagnostics say that they emitted, and of which draw they are, as columns.
Knows no check.
"""

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
NO_DRAW = -1
_DRAWS_MAX = 1 << 62


class Diagnosed:
    """The diagnostics files below `root`; iterates over (path, requests that it names), sorted."""

    def __init__(
        self,
        root: Path,
        pattern: str,
        *,
        requests: str,
        timestamp: str,
        draw: str = "",
        run_time_s: Callable[[Any], float | None],
        jumps: Sequence[ClockJump] = (),
    ) -> None:
        self._jumps = jumps
        self._root = root
        self._requests, self._timestamp, self._draw = requests, timestamp, draw
        self._run_time_s = run_time_s
        self._paths = sorted(folder + name for folder, name in scanned(root, pattern))

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        for path, _, names, _ in self._read():
            yield path, names

    def _read(self) -> Iterator[tuple[str, float | None, list[str], int]]:
        for path in self._paths:
            try:
                entry = msgspec.json.decode(content_of(f"{self._root}/{path}"))
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                entry = None  # a diagnosis all the same, that names nothing
            entry = entry if isinstance(entry, dict) else {}
            names = entry.get(self._requests)
            names = [text_of(name) for name in names] if isinstance(names, list) else []
            draw = _draw_of(entry.get(self._draw)) if self._draw else NO_DRAW
            yield path, self._run_time_s(entry.get(self._timestamp)), names, draw

    @cached_property
    def _columns(self) -> tuple[Hashes, Times, npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        hashes, moments, counts, draws = array("q"), array("d"), array("I"), array("q")
        for _, stamp, names, draw in self._read():
            hashes.extend(map(text_hash, names))
            moments.append(_NAN if stamp is None else stamp)
            counts.append(len(names))
            draws.append(draw)
        times = put_back(np.frombuffer(moments, np.float64), self._jumps)
        return (
            np.frombuffer(hashes, np.int64),
            times,
            np.frombuffer(counts, np.uint32),
            np.frombuffer(draws, np.int64),
        )

    @property
    def draw(self) -> npt.NDArray[np.int64]:
        """The place of its draw in the history for each file, `NO_DRAW` where it does not say."""
        return self._columns[3]

    def paths_of(self, draw: int) -> list[str]:
        """The files that are of this draw."""
        return [self._paths[int(index)] for index in np.flatnonzero(self.draw == draw)]

    @property
    def request(self) -> Hashes:
        """`text_hash` of each request named, in the order of the files."""
        return self._columns[0]

    @property
    def t_s(self) -> Times:
        """When each of them was emitted (run seconds), NaN where its file does not say."""
        return np.repeat(self._columns[1], self._columns[2])


def _draw_of(value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if whole and 0 <= value < _DRAWS_MAX else NO_DRAW
