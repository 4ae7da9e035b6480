"""Diagnoses each new draw once, and emits the requests that its triggers ask for.

The requests of a draw are written first and its diagnostics file last: that file is the commit.
Request names are derived from the draw's index, so repeating a draw after a crash emits nothing
twice. Must not know what becomes of the requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loguru import logger

from agents import files
from agents.diagnostics import diagnose, evaluate_triggers
from agents.request_queue import RequestQueue
from agents.stop import Stop, patiently

HISTORY_NAME = "lottery_history.json"
POOL_NAME = "prediction_pool.json"
FOLDER = "diagnostics_history"
BOOTSTRAP_SOURCE = "synthetic_bootstrap"
SOURCE = "chapter13_trigger"


class DrawWatcher:
    """Follows the draw history. `cursor` is the index of the next draw to diagnose."""

    def __init__(self, root: Path, stop: Stop, queue: RequestQueue) -> None:
        self._root = root
        self._stop = stop
        self._queue = queue
        self._folder = root / FOLDER
        self._seen: tuple[int, int, int] | None = None  # version of the history file
        self._complained = ""  # the last complaint in the log
        self._previous: dict[str, Any] | None = None
        self.cursor: int | None = None

    def load(self) -> None:
        """Continues after the last diagnosed draw. Raises OSError."""
        self._folder.mkdir(exist_ok=True)
        names = [path.stem.removeprefix("diag_") for path in self._folder.glob("diag_*.json")]
        indices = [int(name) for name in names if name.isdecimal()]
        if not indices:
            return
        last = max(indices)
        document = files.read_object(self._path(last)) or {}
        previous = document.get("diagnostics")
        self._previous = previous if isinstance(previous, dict) else None
        self.cursor = last + 1

    def step(self, thresholds: Mapping[str, Any]) -> int:
        """Diagnoses every new draw. Returns their number. Raises Halted and OSError."""
        version = self._version()
        if version is None or version == self._seen:
            return 0
        draws = self._read()
        if draws is None:
            return 0
        if self.cursor is None:
            self.cursor = _bootstrap_count(draws)
        values = [draw["value"] for draw in draws]
        first = self.cursor
        if len(values) < first:
            self._complain(f"{HISTORY_NAME} has {len(values)} draws, {first} were seen before")
        pool = files.read_object(self._root / POOL_NAME)
        while self.cursor < len(values):
            self._stop.check()
            self._diagnose(values, self.cursor, pool, thresholds)
            self.cursor += 1
        self._seen = version
        return self.cursor - first

    def _diagnose(
        self,
        values: list[int],
        index: int,
        pool: dict[str, Any] | None,
        thresholds: Mapping[str, Any],
    ) -> None:
        diagnostics = diagnose(values, index, pool, self._previous)
        triggers = evaluate_triggers(diagnostics, index, thresholds)
        requests = [self._emit(index, place, trigger) for place, trigger in enumerate(triggers)]
        document = {
            "draw_index": index,
            "value": values[index],
            "timestamp": files.utc_now(),
            "diagnostics": diagnostics,
            "triggers": triggers,
            "requests": requests,
        }
        patiently(self._stop, "diagnostics", lambda: files.write_json(self._path(index), document))
        self._previous = diagnostics

    def _emit(self, index: int, place: int, trigger: Mapping[str, Any]) -> str:
        name = f"ch13_{index:06d}_{trigger['request_type']}.json"
        body = {
            "request_type": trigger["request_type"],
            "source": SOURCE,
            "sequence_number": index * 10 + place,  # derived from the draw, so it is unique
            "timestamp": files.utc_now(),
            "reason": f"{trigger['trigger']}: {trigger['reason']}",
            "parameters": dict(trigger["parameters"]),
        }
        if patiently(self._stop, "emit request", lambda: self._queue.submit(name, body)):
            logger.info("draw {}: {} -> {}", index, trigger["trigger"], name)
        return name

    def _path(self, index: int) -> Path:
        return self._folder / f"diag_{index:06d}.json"

    def _version(self) -> tuple[int, int, int] | None:
        try:
            stat = (self._root / HISTORY_NAME).stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> list[dict[str, Any]] | None:
        """The draws, or None (and one line in the log) while the file cannot be used."""
        try:
            draws = _draws_of(files.read_json(self._root / HISTORY_NAME))
        except (OSError, ValueError) as error:
            self._complain(f"{HISTORY_NAME} cannot be read now: {error}")
            return None
        self._complained = ""
        return draws

    def _complain(self, text: str) -> None:
        if text != self._complained:
            logger.warning("{}", text)
            self._complained = text


def _draws_of(document: Any) -> list[dict[str, Any]]:
    draws = document.get("draws") if isinstance(document, dict) else None
    if not isinstance(draws, list):
        raise ValueError("expected an object with a list `draws`")
    for index, draw in enumerate(draws):
        if not isinstance(draw, dict) or not isinstance(draw.get("value"), int):
            raise ValueError(f"draw {index} has no whole number as value")
    return draws


def _bootstrap_count(draws: list[dict[str, Any]]) -> int:
    for index, draw in enumerate(draws):
        if draw.get("draw_source") != BOOTSTRAP_SOURCE:
            return index
    return len(draws)
