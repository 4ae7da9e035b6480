"""Reads artefacts of the workspace, and writes new ones into a staging folder.

For: every step. A step reads an artefact from the staging folder if an earlier step of the same
call wrote it, and from the workspace otherwise. It writes only into the staging folder.
Must not know: what the artefacts mean, who publishes them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HISTORY = "lottery_history.json"
WINDOW_CONFIG = "optimal_window_config.json"
SURVIVORS = "bidirectional_survivors.json"
SCORER_CONFIG = "optimal_scorer_config.json"
SCORED = "survivors_with_scores.json"
PLAN = "ml_plan.json"
POOL = "prediction_pool.json"
LEARNED_POLICY = "learned_policy_candidate.json"
TELEMETRY = "telemetry/learning_health_latest.json"
CHAMPION = "models/champion.json"
RESULT = "result.json"


class PipelineError(Exception):
    """The input is invalid or the request is impossible; the message is one line for the user."""


class Artefact:
    """One JSON object with checked access. All methods raise PipelineError with file and key.

    A dot in a key goes one level deeper.
    """

    def __init__(self, name: str, content: Mapping[str, Any]) -> None:
        self.name = name
        self.content = content

    def _get(self, key: str) -> Any:
        value: Any = self.content
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise PipelineError(f"{self.name}: key {key!r} is missing")
            value = value[part]
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """The whole number at `key`, in `low`..`high` inclusive."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise PipelineError(f"{self.name}: {key} must be a whole number {low}..{high}")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """The number at `key`, in `low`..`high` inclusive."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PipelineError(f"{self.name}: {key} must be a number")
        if not low <= value <= high:
            raise PipelineError(f"{self.name}: {key} must be {low:g}..{high:g}, is {value:g}")
        return float(value)

    def text(self, key: str) -> str:
        """The string at `key`."""
        value = self._get(key)
        if not isinstance(value, str):
            raise PipelineError(f"{self.name}: {key} must be a string")
        return value

    def items(self, key: str) -> list[Any]:
        """The list at `key`."""
        value = self._get(key)
        if not isinstance(value, list):
            raise PipelineError(f"{self.name}: {key} must be a list")
        return value

    def integers(self, key: str, low: int, high: int) -> npt.NDArray[np.int64]:
        """The list of whole numbers at `key`, each in `low`..`high`."""
        return _integers(f"{self.name}: {key}", self.items(key), low, high)

    def integers_of(self, key: str, field: str, low: int, high: int) -> npt.NDArray[np.int64]:
        """`field` of every object in the list at `key`, each in `low`..`high`."""
        values: list[Any] = []
        for index, entry in enumerate(self.items(key)):
            if not isinstance(entry, Mapping) or field not in entry:
                raise PipelineError(f"{self.name}: {key}[{index}] has no {field!r}")
            values.append(entry[field])
        return _integers(f"{self.name}: {key}.{field}", values, low, high)


def _integers(place: str, values: list[Any], low: int, high: int) -> npt.NDArray[np.int64]:
    for index, entry in enumerate(values):
        if isinstance(entry, bool) or not isinstance(entry, int) or not low <= entry <= high:
            raise PipelineError(f"{place}: entry {index} must be a whole number {low}..{high}")
    return np.array(values, dtype=np.int64)


@dataclass(frozen=True)
class Stage:
    """The folders that one call reads (`workspace`) and writes (`out`, the staging folder)."""

    workspace: Path
    out: Path

    def has(self, name: str) -> bool:
        """True if the artefact exists, staged or published."""
        return (self.out / name).is_file() or (self.workspace / name).is_file()

    def staged(self, name: str) -> bool:
        """True if an earlier step of this call wrote the artefact."""
        return (self.out / name).is_file()

    def read(self, name: str, hint: str = "run steps 1,2,3 first") -> Artefact:
        """The staged artefact, or else the published one.

        Raises PipelineError if it is missing (`hint` says what to run) or not a JSON object.
        """
        path = self.out / name if self.staged(name) else self.workspace / name
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise PipelineError(f"{name} is missing; {hint}") from error
        except OSError as error:
            raise PipelineError(f"{name} cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise PipelineError(f"{name} is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise PipelineError(f"{name} must be a JSON object, is {type(content).__name__}")
        return Artefact(name, content)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Stage an artefact under its final name, atomically and synced. Raises PipelineError."""
        path = self.out / name
        part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("w", encoding="utf-8") as stream:
                stream.write(json.dumps(content, allow_nan=False) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise PipelineError(f"{name} cannot be written: {error.strerror}") from error


def read_values(stage: Stage, modulus: int) -> npt.NDArray[np.int64]:
    """Values of all draws, oldest first, each in 0..modulus-1."""
    history = stage.read(HISTORY, "run bootstrap_history.py first")
    return history.integers_of("draws", "value", 0, modulus - 1)


def now_iso() -> str:
    """The current time: ISO 8601, UTC, with microseconds and offset."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
