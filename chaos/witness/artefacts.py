"""Watches files that the Watcher replaces: each new version seen becomes a history event.

`artefact` {path, sha256, content} for a version that parses, `invalid: true` with the reason
and content null for one that does not, also when the file has vanished.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from chaos.record.history import HistoryWriter
from chaos.record.target import Target
from chaos.witness.base import SourceBase, Values, read_file, reason, stat, unchanged_key

_CONTENT_BYTES_MAX = 64 * 1024
_PERIOD_S = 0.25
_FILE_BYTES_MAX = 16 * 1024 * 1024


class _Invalid(Exception):
    pass


class ArtefactWatcher(SourceBase):
    """A source without keys: put it last among the sources, it writes to `history`.

    A file caught in the middle of a write is read a second time at once: readers of it would
    do the same. Content above 64 kB is left out (`content` null, `omitted_bytes`).
    """

    def __init__(self, history: HistoryWriter, workspace: Path, paths: Sequence[str]) -> None:
        super().__init__("artefacts", _PERIOD_S)
        self._history = history
        self._files = {path: workspace / path for path in paths}
        self._keys: dict[str, tuple[int, ...] | None] = {}
        self._last: dict[str, str] = {}  # path -> digest, or the reason of its invalidity

    @classmethod
    def of_target(cls, target: Target, workspace: Path, history: HistoryWriter) -> ArtefactWatcher:
        """Watches the prediction pool and the telemetry of `target`."""
        return cls(history, workspace, [target.predictions.path, target.telemetry.path])

    def read(self, values: Values) -> None:
        """Writes an event for each file with a new version; adds no values."""
        self._absent.clear()
        for path, full in self._files.items():
            read_at_ns = time.time_ns()
            try:
                key = unchanged_key(stat(str(full)), read_at_ns)
            except FileNotFoundError:
                self._absent[f"artefacts.{path}"] = "no such file"
                if path in self._last and not full.exists():
                    self._report(path, why="missing")
                continue
            except OSError as error:  # a fault of the disk, say: the other files are still read
                self._absent[f"artefacts.{path}"] = reason(error)
                continue
            if key is not None and self._keys.get(path) == key:
                continue
            self._keys[path] = key
            self._version(path, full)

    def _version(self, path: str, full: Path) -> None:
        try:
            try:
                raw, content = self._load(full)
            except (_Invalid, OSError):
                raw, content = self._load(full)
        except (_Invalid, OSError) as error:
            self._keys[path] = None  # look again at the next sample
            self._report(path, why=str(error) if isinstance(error, _Invalid) else "unreadable")
            return
        digest = hashlib.sha256(raw).hexdigest()
        if self._last.get(path) == digest:
            return  # the same bytes under a new time stamp are not a new version
        self._last[path] = digest
        if len(raw) > _CONTENT_BYTES_MAX:
            self._history.event(
                "artefact", owner="product", path=path, sha256=digest, content=None,
                omitted_bytes=len(raw),
            )  # fmt: skip
        else:
            self._history.event(
                "artefact", owner="product", path=path, sha256=digest, content=content
            )

    @staticmethod
    def _load(full: Path) -> tuple[bytes, Any]:
        raw = read_file(str(full), _FILE_BYTES_MAX)
        try:
            return raw, msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _Invalid(f"not JSON ({len(raw)} bytes): {error}") from error

    def _report(self, path: str, why: str) -> None:
        """An invalid version, once as long as it stays invalid in the same way."""
        if self._last.get(path) == why:
            return
        self._last[path] = why
        self._history.event(
            "artefact", severity="warning", owner="product", path=path, sha256=None,
            content=None, invalid=True, reason=why,
        )  # fmt: skip
