"""A file that a fault has broken never ends or blocks the sampling; it becomes an absence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.record.history import HistoryWriter
from chaos.record.target import Target
from chaos.stack.base import Endpoint
from chaos.witness.artefacts import ArtefactWatcher
from chaos.witness.build import build_sources
from chaos.witness.reader import Reader

LOG = "logs/watcher_agent.log"


def directory(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    """A named pipe: opening it for reading blocks until a writer comes."""
    os.mkfifo(path)


def link_to_nowhere(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def deep(path: Path) -> None:
    """JSON nested deeper than a decoder accepts."""
    path.write_text("[" * 200_000 + "\n")


def rubbish(path: Path) -> None:
    path.write_bytes(b"\xff\x00[{\n\n\x80" * 100 + b"\n")


def wrong_shape(path: Path) -> None:
    path.write_text('[1, null, "x"]\n')


def empty(path: Path) -> None:
    path.touch()


BROKEN = [directory, pipe, link_to_nowhere, link_to_itself, deep, rubbish, wrong_shape, empty]


@pytest.fixture
def reader(tmp_path: Path, workspace: Path, target: Target) -> Iterator[Reader]:
    """Reads the sources of an intact workspace; every source is due at every read."""
    history = HistoryWriter(tmp_path / "history.jsonl", "test")
    sources = build_sources(target, workspace, Endpoint("127.0.0.1", 1), os.getpid)
    sources.append(ArtefactWatcher.of_target(target, workspace, history))
    now_s = iter(range(0, 10**9, 1000))
    all_sources = Reader(sources, clock=lambda: float(next(now_s)))
    for path in files(target):
        mend(workspace / path, target)
    yield all_sources
    all_sources.close()
    history.close()


def files(target: Target) -> list[str]:
    return [
        target.decisions.path,
        target.source("draws").path,
        target.llm.events,
        target.source("predictions").path,
        target.source("telemetry").path,
        LOG,
    ]


def mend(path: Path, target: Target) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name == Path(target.llm.events).name:
        path.write_text('{"event":"start","pid":4711}\n')
    elif path.name == Path(target.source("draws").path).name:
        path.write_text(f'{{"{target.source("draws").place}":[{{}}]}}')
    else:
        path.write_text("{}\n")


@pytest.mark.parametrize("breaks", BROKEN)
def test_a_broken_file_spoils_no_other_source_and_is_read_again_once_mended(
    reader: Reader, workspace: Path, target: Target, breaks: Callable[[Path], None]
) -> None:
    sound = reader.read()
    assert {"decisions.lines", "draws.count", "llm.pid", "log.bytes"} <= sound.keys()
    assert sound["llm.generation"] == 0
    for path in files(target):
        (workspace / path).unlink()
        breaks(workspace / path)
        for _ in range(2):
            values = reader.read()
            assert {"watcher.pid", "queue.pending", "host.load1"} <= values.keys()
        mend(workspace / path, target)
        assert reader.read().keys() >= sound.keys()
    assert reader.absences().keys() & {"decisions", "draws", "logs"} == set()


@pytest.mark.parametrize("breaks", [directory, pipe, link_to_itself])
def test_an_unreadable_file_is_an_absence_with_a_reason(
    reader: Reader, workspace: Path, target: Target, breaks: Callable[[Path], None]
) -> None:
    reader.read()
    (workspace / target.source("draws").path).unlink()
    breaks(workspace / target.source("draws").path)
    assert "draws.count" not in reader.read()
    first = reader.absences()["draws"]
    assert first
    reader.read()
    assert reader.absences()["draws"] == first  # the absence lasts as long as the defect


def test_a_missing_workspace_is_absent_until_it_is_back(
    reader: Reader, workspace: Path, target: Target
) -> None:
    """As if it was unmounted: all its signals are absent, the others are not."""
    sound = reader.read()
    workspace.rename(workspace.with_name("away"))
    values = reader.read()
    assert "watcher.pid" in values
    assert not {"queue.pending", "disk.workspace_free_bytes", "workspace.temp_files"} & set(values)
    assert {"queue.pending", "disk", "workspace.temp_files"} <= reader.absences().keys()
    workspace.with_name("away").rename(workspace)
    assert reader.read().keys() >= sound.keys()


def test_one_unreadable_log_does_not_hide_the_others(reader: Reader, workspace: Path) -> None:
    reader.read()
    pipe(workspace / "logs" / "watcher_agent_2.log")
    assert "log.bytes" in reader.read()
    assert reader.absences()["logs.watcher_agent_2.log"] == "not a regular file"
