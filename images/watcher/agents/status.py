"""Writes `watcher_status.json`, and answers `--status`.

Only reports state; must not change it.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from agents import files
from agents.lock import live_holder
from agents.request_queue import FOLDER

STATUS_NAME = "watcher_status.json"
HALT_NAME = "watcher_halt.flag"
HEARTBEAT_S = 5.0


class StatusFile:
    """The daemon's state, for people and probes. On a full disk the file stays old."""

    def __init__(self, root: Path) -> None:
        self._path = root / STATUS_NAME
        self._started_at = files.utc_now()
        self._state = ""
        self._written_s = 0.0
        self.polls = 0
        self.last_decision_id: str | None = None

    def show(self, state: str) -> None:
        """Writes the file if the state has changed, or every `HEARTBEAT_S` as a heartbeat.

        States: idle, working, draining (asked to stop), stopped.
        """
        now_s = time.monotonic()
        if state == self._state and now_s - self._written_s < HEARTBEAT_S:
            return
        content = {
            "pid": os.getpid(),
            "state": state,
            "started_at": self._started_at,
            "updated_at": files.utc_now(),
            "polls": self.polls,
            "last_decision_id": self.last_decision_id,
        }
        with contextlib.suppress(OSError):
            files.write_json(self._path, content, durable=False)
            self._state, self._written_s = state, now_s


def overview(root: Path) -> dict[str, Any]:
    """The answer to `--status`, ready for JSON."""
    pid = live_holder(root)
    status = files.read_object(root / STATUS_NAME) or {}
    queue = root / FOLDER
    return {
        "running": pid is not None,
        "pid": pid,
        "state": status.get("state") if pid is not None else "not running",
        "last_decision_id": status.get("last_decision_id"),
        "halt_flag": os.path.lexists(root / HALT_NAME),
        "queue": {
            "pending": _count(queue),
            "claimed": _count(queue / "claimed"),
            "archived": _count(queue / "archive"),
            "quarantined": sum(
                1 for path in (queue / "quarantine").glob("*.reason.json") if path.is_file()
            ),
        },
    }


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*.json"))
