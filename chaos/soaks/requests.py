"""Probe requests: what the harness itself puts into the Watcher's queue, whole or not at all."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.history import HistoryWriter
from chaos.target import Queue


def _filled(template: Any, values: dict[str, Any]) -> Any:
    """`template` with placeholders filled; a value that is one placeholder keeps its type."""
    if isinstance(template, dict):
        return {key: _filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, values) for value in template]
    if not isinstance(template, str):
        return template
    if template.startswith("{") and template.endswith("}") and template[1:-1] in values:
        return values[template[1:-1]]
    return template.format_map(values)


class RequestSubmitter:
    """Writes requests by the target's template; records each as an operation."""

    def __init__(self, workspace: Path, queue: Queue, history: HistoryWriter) -> None:
        self._folder = workspace / queue.submit_dir
        self._template = queue.request_template
        self._history = history
        self._lock = threading.Lock()
        self._sequence = 0

    def submit(self, request_type: str, purpose: str) -> str:
        """Submit one request; returns its file name.

        A failed rename leaves the outcome unknown (`info`): the Watcher may have seen the file.
        """
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
        name = f"probe_{sequence:04d}.json"
        values = {
            "id": name,
            "type": request_type,
            "sequence": sequence,
            "now": datetime.now(UTC).isoformat(),
        }
        part = self._folder / f".{name}.part"
        detail = {"purpose": purpose, "sequence": sequence, "type": request_type}
        try:
            part.write_text(json.dumps(_filled(self._template, values), indent=2), encoding="utf-8")
        except OSError as error:
            self._history.op("submit", name, "fail", error=str(error), **detail)
            return name
        try:
            part.rename(self._folder / name)
        except OSError as error:
            self._history.op("submit", name, "info", error=str(error), **detail)
            return name
        self._history.op("submit", name, "ok", **detail)
        return name
