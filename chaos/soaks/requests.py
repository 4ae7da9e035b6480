"""Submit requests of the harness to the Watcher's queue, atomically.

Must not know which workload or fault needs them.
"""

import contextlib
import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.plan.request_template import Wanted, body_of, template_of
from chaos.record.history import HistoryWriter
from chaos.record.target import Queue

PROBE_SOURCE = "soak_probe"


class RequestSubmitter:
    """Writes requests from the target's templates and records each as an operation. Thread-safe."""

    def __init__(self, workspace: Path, queue: Queue, history: HistoryWriter) -> None:
        self._folder = workspace / queue.submit_dir
        self._queue = queue
        self._history = history
        self._lock = threading.Lock()
        self._probes = 0

    def probe(self, purpose: str) -> str:
        """Submit the smallest possible request. Returns its file name."""
        with self._lock:
            self._probes += 1
            number = self._probes
        name = f"probe_{number:04d}.json"
        self.submit(
            Wanted(
                name=name,
                kind="selfplay",
                source=PROBE_SOURCE,
                reason=f"probe {name}",
                timestamp=datetime.now(UTC).isoformat(),
                sequence=number,
            ),
            purpose,
        )
        return name

    def submit_all(self, requests: Sequence[Wanted], purpose: str) -> None:
        """Submit `requests` in order. `purpose` is recorded with each."""
        for wanted in requests:
            self.submit(wanted, purpose)

    def submit(self, wanted: Wanted, purpose: str) -> None:
        """Submit one request.

        Never raises OSError. The outcome is `ok`, `fail`, or after a failed rename `info`
        (unknown: the Watcher may have seen the file).
        """
        body = body_of(template_of(self._queue, wanted.kind), wanted)
        with self._lock:  # so that the records have the order of the files
            self._put(wanted, body, purpose)

    def _put(self, wanted: Wanted, body: dict[str, Any], purpose: str) -> None:
        name = wanted.name
        part = self._folder / f".{name}.part"
        detail = {
            "purpose": purpose,
            "sequence": wanted.sequence,
            "type": wanted.kind,
            "source": wanted.source,
            "body": body,  # so that what becomes of it can be compared
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(body, indent=2), encoding="utf-8")
        except OSError as error:  # disk full or read-only: the Watcher has not seen the file
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            self._history.op("submit", name, "fail", error=str(error), **detail)
            return
        try:
            part.rename(self._folder / name)
        except OSError as error:
            self._history.op("submit", name, "info", error=str(error), **detail)
            return
        self._history.op("submit", name, "ok", **detail)
