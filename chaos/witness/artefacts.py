"""Record each version of the files that the Watcher replaces, as events `artefact`.

A version that parses has {path, sha256, content}. A version that does not parse, or a file that
has vanished, has `invalid: true`, a reason, and null for sha256 and content. Judges nothing.
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
    """The file's content is not JSON."""


class ArtefactWatcher(SourceBase):
    """A source that adds no values: it writes events to `history`. Put it last.

    A version that does not parse is read once more at once, in case it was read in the middle of a
    write. Content above 64 kB is left out: the event then has `content` null and `omitted_bytes`.
    """

    def __init__(self, history: HistoryWriter, workspace: Path, paths: Sequence[str]) -> None:
        super().__init__("artefacts", _PERIOD_S)
        self._history = history
        self._files = {path: workspace / path for path in paths}
        self._keys: dict[str, tuple[int, ...] | None] = {}
        self._last: dict[str, str] = {}  # path -> digest of the last version, or why it is invalid

    @classmethod
    def of_target(cls, target: Target, workspace: Path, history: HistoryWriter) -> ArtefactWatcher:
        """Watch the prediction pool and the telemetry of `target`, where they are replaced."""
        paths = (target.source(name).document for name in ("predictions", "telemetry"))
        return cls(history, workspace, [path for path in paths if path])

    def read(self, values: Values) -> None:
        self._absent.clear()
        for path, full in self._files.items():
            read_at_ns = time.time_ns()
            try:
                key = unchanged_key(stat(str(full)), read_at_ns)
            except FileNotFoundError:
                self._absent[f"artefacts.{path}"] = "no such file"
                if path in self._last and not full.exists():
                    self._record_invalid(path, why="missing")
                continue
            except OSError as error:  # a disk fault, for example: the other files are still read
                self._absent[f"artefacts.{path}"] = reason(error)
                continue
            if key is not None and self._keys.get(path) == key:
                continue
            self._keys[path] = key
            self._record_version(path, full)

    def _record_version(self, path: str, full: Path) -> None:
        try:
            try:
                raw, content = self._load(full)
            except (_Invalid, OSError):
                raw, content = self._load(full)
        except (_Invalid, OSError) as error:
            self._keys[path] = None  # look again at the next sample
            reason = str(error) if isinstance(error, _Invalid) else "unreadable"
            self._record_invalid(path, reason)
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

    def _record_invalid(self, path: str, why: str) -> None:
        """Record an invalid version, unless the last event of `path` had the same reason."""
        if self._last.get(path) == why:
            return
        self._last[path] = why
        self._history.event(
            "artefact", severity="warning", owner="product", path=path, sha256=None,
            content=None, invalid=True, reason=why,
        )  # fmt: skip
