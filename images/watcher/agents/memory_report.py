"""Writes the Watcher's top allocators to a file on SIGUSR2.

The signal handler only sets a flag. The report is written at the next `Stop.check`, which every
wait of the daemon calls. Bounded in objects and time. Knows nothing of what the Watcher does.
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
_BATCH = 500  # objects between two checks of the deadline
_LARGE = 1000  # members from which on a container is read in part
_CONTAINERS = (list, tuple, set, frozenset, deque, dict)


class MemoryReport:
    """Writes the report to `path` after each SIGUSR2."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked = False

    def install(self, stop: Stop) -> None:
        """Installs the signal handler, and makes `stop` write the report. Main thread only."""
        stop.chore = self.write_if_asked
        signal.signal(signal.SIGUSR2, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def write_if_asked(self) -> None:
        """Writes the report if SIGUSR2 has come. Logs OSError and MemoryError, and goes on."""
        if not self._asked:
            return
        self._asked = False
        try:
            files.write_json(self._path, report(), durable=False)
        except (OSError, MemoryError) as error:
            logger.warning("no memory report: {}", error)


def report(objects_max: int = OBJECTS_MAX, seconds_max: float = SECONDS_MAX) -> dict[str, Any]:
    """The types with the most bytes (shallow sizes), the largest objects, the largest lines.

    Sizes are in bytes. `complete` is False if a bound ended the census. `lines` is empty unless
    tracemalloc is tracing.
    """
    lines = _lines()  # before the census allocates memory itself
    began_s = time.monotonic()
    census = _Census(objects_max, began_s + seconds_max)
    census.count_all()
    return {
        "time": files.utc_now(),
        "took_s": round(time.monotonic() - began_s, 3),
        "examined": census.examined,
        "complete": census.complete,
        "types": census.types(),
        "largest": [{"type": name, "bytes": size} for size, name in sorted(census.top)[::-1]],
        "lines": lines,
    }


class _Census:
    """Counts bytes by type, over the objects that gc tracks and the untracked ones they hold."""

    def __init__(self, objects_max: int, deadline_s: float) -> None:
        self._left = objects_max
        self._deadline_s = deadline_s
        self._seen: set[int] = set()  # ids of untracked objects: several objects may hold them
        self._by_type: dict[type, list[int]] = {}
        self.top: list[tuple[int, str]] = []
        self.examined = 0
        self.complete = True

    def count_all(self) -> None:
        """Counts all objects within the bounds, the youngest generation first."""
        tracked = gc.get_objects()
        for start in range(0, len(tracked), _BATCH):
            if not self._left or time.monotonic() > self._deadline_s:
                self.complete = False
                return
            batch = tracked[start : start + _BATCH]
            self._add(batch)
            self._add_held(batch)

    def _add_held(self, holders: list[Any]) -> None:
        """Counts the untracked objects (bytes, for example) that `holders` hold."""
        is_tracked, seen = gc.is_tracked, self._seen
        while holders:
            held = []
            for member in self._members(holders):
                if not is_tracked(member) and id(member) not in seen:
                    seen.add(id(member))
                    held.append(member)
            self._add(held)
            # A dict or tuple that holds no container is untracked itself.
            holders = [member for member in held if type(member) in (dict, tuple)]

    def _members(self, holders: list[Any]) -> Iterator[Any]:
        """The members of `holders`; of a large container at most as many as may be counted."""
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
        """Counts the objects of `batch`, up to the bound."""
        if len(batch) > self._left:
            self.complete = False
            batch = batch[: self._left]
        self._left -= len(batch)
        self.examined += len(batch)
        size_of, by_type, floor = sys.getsizeof, self._by_type, self._floor()
        for each in batch:
            size, kind = size_of(each, 0), type(each)
            if each is self._seen:
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
        """The `TOP` types with the most bytes, largest first."""
        top = heapq.nlargest(TOP, self._by_type.items(), key=lambda item: item[1][0])
        return [{"type": _name(kind), "bytes": size, "count": count} for kind, (size, count) in top]


def _name(kind: type) -> str:
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name.removeprefix("builtins.")[:200]


def _lines() -> list[dict[str, Any]]:
    """The source lines that allocated most of the live memory; [] if tracemalloc is off."""
    if not tracemalloc.is_tracing():
        return []
    statistics = tracemalloc.take_snapshot().statistics("lineno")[:TOP]
    return [
        {
            "line": f"{entry.traceback[0].filename}:{entry.traceback[0].lineno}"[-200:],
            "bytes": entry.size,
            "count": entry.count,
        }
        for entry in statistics
    ]
