"""Artefact versions: each version is recorded once, a broken one as invalid."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.record.history import Event, HistoryWriter, read_history
from chaos.witness.artefacts import ArtefactWatcher
from tests.waiting import wait_for

POOL = "prediction_pool.json"


class Watched:
    def __init__(self, folder: Path) -> None:
        self.file = folder / POOL
        self._record = folder / "history.jsonl"
        self.history = HistoryWriter(self._record, "test")
        self.watcher = ArtefactWatcher(self.history, folder, [POOL])

    def replace(self, text: str) -> None:
        part = self.file.with_name("part")
        part.write_text(text)
        part.replace(self.file)

    def look(self) -> None:
        self.watcher.read({})

    def events(self) -> list[dict[str, Any]]:
        return [
            record.detail
            for _, record in read_history(self._record)
            if isinstance(record, Event) and record.name == "artefact"
        ]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.history.close()


def test_each_version_is_recorded_once(watched: Watched) -> None:
    """One event per content, however many reads, with the digest and the content."""
    watched.look()
    assert watched.watcher.absences() == {f"artefacts.{POOL}": "no such file"}
    for version in range(5):
        watched.replace(json.dumps({"version": version}))
        watched.look()
        watched.look()
    assert [event["content"] for event in watched.events()] == [
        {"version": version} for version in range(5)
    ]
    assert watched.events()[0]["sha256"] == hashlib.sha256(b'{"version": 0}').hexdigest()
    assert all(event["path"] == POOL and "invalid" not in event for event in watched.events())


def test_rewriting_the_same_bytes_records_no_new_version(watched: Watched) -> None:
    """A new time stamp alone is not a new version."""
    for _ in range(3):
        watched.replace("{}")
        watched.look()
    assert len(watched.events()) == 1


def test_a_torn_file_is_recorded_invalid_once(watched: Watched) -> None:
    """Half a file is one invalid version with a reason. The complete file is a valid version."""
    watched.file.write_text('{"predictions": [')
    for _ in range(3):
        watched.look()
    watched.file.write_text('{"predictions": []}')
    watched.look()
    first, second = watched.events()
    assert first["invalid"] is True and first["content"] is None and first["sha256"] is None
    assert first["reason"].startswith("not JSON (17 bytes)")
    assert second["content"] == {"predictions": []}


def test_a_torn_read_is_valid_if_the_second_read_is_complete(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer finishes between the two reads: only the second counts."""
    watched.file.write_text('{"a":')
    load = watched.watcher._load

    def load_then_finish(full: Path) -> tuple[bytes, Any]:
        try:
            return load(full)
        finally:
            watched.file.write_text('{"a": 1}')  # stands for the writer's next system call

    monkeypatch.setattr(watched.watcher, "_load", load_then_finish)
    watched.look()
    assert [event["content"] for event in watched.events()] == [{"a": 1}]


def test_a_vanished_file_is_recorded_as_missing(watched: Watched) -> None:
    """A missing file is an invalid version. The file that comes back is a valid one."""
    watched.replace("{}")
    watched.look()
    watched.file.unlink()
    watched.look()
    watched.look()
    watched.replace("{}")
    watched.look()
    assert [event.get("reason") for event in watched.events()] == [None, "missing", None]


def test_a_large_version_is_recorded_without_its_content(watched: Watched) -> None:
    """The history stays small; digest and size still distinguish the versions."""
    text = json.dumps({"padding": "x" * 70_000})
    watched.replace(text)
    watched.look()
    (event,) = watched.events()
    assert event["content"] is None and event["omitted_bytes"] == len(text)
    assert event["sha256"] and "invalid" not in event


def test_atomic_replacement_never_records_an_invalid_version(watched: Watched) -> None:
    """A writer replaces the file continuously, and every recorded version is valid."""
    watched.replace("{}")
    stop = threading.Event()

    def write() -> None:
        version = 0
        while not stop.is_set():
            version += 1
            watched.replace(json.dumps({"version": version, "padding": ["x"] * 500}))

    writer = threading.Thread(target=write)
    writer.start()

    def fifty() -> bool:
        watched.look()
        return len(watched.events()) >= 50

    try:
        wait_for("50 versions", fifty, pause_s=0)
    finally:
        stop.set()
        writer.join()
    events = watched.events()
    assert not [event for event in events if "invalid" in event]
    versions = [event["content"].get("version", 0) for event in events]
    assert versions == sorted(set(versions))
