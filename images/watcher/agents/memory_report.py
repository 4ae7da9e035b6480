"""What the Watcher's memory is made of, written to a file when a signal asks for it.

SIGUSR2 asks; the handler only sets a flag, and the next look at the wish to stop does the work.
Bounded in objects and time. Knows nothing of what the Watcher does.
"""

from __future__ import annotations

import gc
import heapq
import signal
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from types import FrameType
from typing import Any

from loguru import logger

from agents import files
from agents.stop import Stop

REPORT_NAME = "logs/memory_report.json"
OBJECTS_MAX = 200_000
SECONDS_MAX = 0.4
TOP = 15
_BATCH = 500  # objects between two looks at the clock
_LARGE = 1000
_CONTAINERS = (list, tuple, set, frozenset, deque, dict)


class MemoryReport:
    """Writes the report to `path` when SIGUSR2 has come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked = False

    def install(self, stop: Stop) -> None:
        """Takes SIGUSR2, and has `stop` look for it in every wait; main thread only."""
        stop.chore = self.write_if_asked
        signal.signal(signal.SIGUSR2, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def write_if_asked(self) -> None:
        """The report, once for each time that it was asked for; never raises for want of room."""
        if not self._asked:
            return
        self._asked = False
        try:
            files.write_json(self._path, report(), durable=False)
        except (OSError, MemoryError) as error:
            logger.warning("no memory report: {}", error)


def report(objects_max: int = OBJECTS_MAX, seconds_max: float = SECONDS_MAX) -> dict[str, Any]:
    """The types that hold most (shallow sizes, bytes), the largest objects, the largest lines.

    `complete` is false when a bound ended the look; lines are there while tracemalloc traces.
    """
    lines = _lines()  # before the look makes lines of its own
    began_s = time.monotonic()
    count = _Count(objects_max, began_s + seconds_max)
    count.all()
    return {
        "time": files.utc_now(),
        "took_s": round(time.monotonic() - began_s, 3),
        "examined": count.examined,
        "complete": count.complete,
        "types": count.types(),
        "largest": [{"type": name, "bytes": size} for size, name in sorted(count.top)[::-1]],
        "lines": lines,
    }


class _Count:
    """Sizes by type over what the collector tracks and what only those objects hold."""

    def __init__(self, objects_max: int, deadline_s: float) -> None:
        self._left = objects_max
        self._deadline_s = deadline_s
        self._seen: set[int] = set()  # untracked ones: several objects may hold them
        self._by_type: dict[type, list[int]] = {}
        self.top: list[tuple[int, str]] = []
        self.examined = 0
        self.complete = True

    def all(self) -> None:
        """Counts everything within the bounds; the youngest generation comes first."""
        everything = gc.get_objects()
        for start in range(0, len(everything), _BATCH):
            if not self._left or time.monotonic() > self._deadline_s:
                self.complete = False
                return
            batch = everything[start : start + _BATCH]
            self._add(batch)
            self._add_held(batch)

    def _add_held(self, holders: list[Any]) -> None:
        """Counts what the collector does not track (bytes, say) below `holders`."""
        tracked, seen = gc.is_tracked, self._seen
        while holders:
            held = []
            for one in self._members(holders):
                if not tracked(one) and id(one) not in seen:
                    seen.add(id(one))
                    held.append(one)
            self._add(held)
            # Untracked as long as they hold no container.
            holders = [one for one in held if type(one) in (dict, tuple)]

    def _members(self, holders: list[Any]) -> Iterator[Any]:
        """What they hold; of a large container no more than may still be counted."""
        small = []
        for holder in holders:
            kind = type(holder)
            if kind in _CONTAINERS and len(holder) > _LARGE and holder is not self._seen:
                values = holder.values() if kind is dict else ()
                yield from list(islice(chain(holder, values), self._left + 1))
            elif holder is not self._seen:
                small.append(holder)
        yield from gc.get_referents(*small)

    def _add(self, batch: list[Any]) -> None:
        """Counts as many of them as there is room for."""
        if len(batch) > self._left:
            self.complete = False
            batch = batch[: self._left]
        self._left -= len(batch)
        self.examined += len(batch)
        size_of, by_type, floor = sys.getsizeof, self._by_type, self._floor()
        for one in batch:
            size, kind = size_of(one, 0), type(one)
            if one is self._seen:
                continue
            entry = by_type.get(kind)
            if entry is None:
                entry = by_type[kind] = [0, 0]
            entry[0] += size
            entry[1] += 1
            if size > floor:
                heapq.heappush(self.top, (size, _name(kind)))
                if len(self.top) > TOP:
                    heapq.heappop(self.top)
                floor = self._floor()

    def _floor(self) -> int:
        return self.top[0][0] if len(self.top) == TOP else -1

    def types(self) -> list[dict[str, Any]]:
        """Most first."""
        most = heapq.nlargest(TOP, self._by_type.items(), key=lambda item: item[1][0])
        return [{"type": _name(k), "bytes": size, "count": count} for k, (size, count) in most]


def _name(kind: type) -> str:
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name.removeprefix("builtins.")[:200]


def _lines() -> list[dict[str, Any]]:
    """Where most of what lives was allocated, as far as it is traced."""
    if not tracemalloc.is_tracing():
        return []
    most = tracemalloc.take_snapshot().statistics("lineno")[:TOP]
    return [
        {"line": f"{s.traceback[0].filename}:{s.traceback[0].lineno}"[-200:], "bytes": s.size,
         "count": s.count}
        for s in most
    ]  # fmt: skip
