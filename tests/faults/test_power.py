"""What a power cut takes: what was written or renamed and no fsync has made durable."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from chaos.faults.syscall.power import calls_of, files_below, lost_in, take_away

ROOT = "/work"
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
Line = dict[str, Any]


def opened(path: str, flags: int = NEW) -> Line:
    return {"call": "open", "path": path, "flags": flags}


def synced(path: str, size: int = 0) -> Line:
    return {"call": "fsync", "path": path, "bytes": size}


def renamed(path: str, to: str) -> Line:
    return {"call": "rename", "path": path, "to": to}


SOUND = [opened("a.tmp"), synced("a.tmp", 10), renamed("a.tmp", "out/a"), synced("out")]


@pytest.mark.parametrize(
    ("lines", "cuts", "undone"),
    [
        (SOUND, {"out/a": 10}, []),
        (SOUND[:2], {"a.tmp": 10}, []),
        (SOUND[:1], {"a.tmp": 0}, []),
        (SOUND[:3], {"a.tmp": 10}, [("out/a", "a.tmp")]),
        ([SOUND[0], *SOUND[2:]], {"out/a": 0}, []),
        ([opened("log", APPEND), synced("log", 7), opened("log", APPEND)], {"log": 7}, []),
        ([renamed("a.tmp", "a"), synced(ROOT)], {}, []),
        ([renamed("a.tmp", "a")], {}, [("a", "a.tmp")]),
        ([renamed("b", "c"), renamed("c", "d")], {}, [("d", "c"), ("c", "b")]),
        ([renamed("new", "known")], {}, []),  # over a file whose old content is gone
        ([opened("known", APPEND)], {}, []),  # its durable size is not known
        ([opened("known")], {"known": 0}, []),  # it was truncated
        ([opened("known", os.O_RDWR), synced("known", 9)], {"known": 9}, []),  # and is kept open
        ([opened("new", APPEND | os.O_DSYNC)], {}, []),  # each write is durable
        ([opened("new", APPEND | os.O_SYNC), synced("other", 3)], {}, []),
        ([opened("a"), {"call": "unlink", "path": "a"}], {}, []),
        ([opened("/tmp/elsewhere")], {}, []),
        ([{**opened("a"), "injected": "EIO"}], {}, []),
        ([opened("a"), {**synced("a", 5), "crashed": True}], {"a": 0}, []),
    ],
)
def test_only_what_no_fsync_covers_is_lost(
    lines: list[Line], cuts: dict[str, int], undone: list[tuple[str, str]]
) -> None:
    lost = lost_in(lines, ROOT, frozenset({"known"}))
    assert (lost.cuts, lost.undone) == (cuts, undone)


def test_it_is_done_to_the_files(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("0123456789")
    (tmp_path / "log").write_text("whole\nhalf")
    lost = lost_in(
        [*SOUND[:3], opened("log", APPEND), synced("log", 6), opened("log", APPEND)],
        ROOT,
        frozenset(),
    )
    assert take_away(tmp_path, lost) == ["out/a is a.tmp again", "log cut to 6 bytes"]
    assert files_below(tmp_path) == {"a.tmp", "log"}
    assert (tmp_path / "log").read_text() == "whole\n"
    assert take_away(tmp_path, lost) == []


def test_what_a_daemon_appends_to_an_open_file_after_its_fsync_is_lost(tmp_path: Path) -> None:
    """A write is not witnessed: the size of the file shows it. Without one nothing is lost."""
    lost = lost_in([opened("log", APPEND), synced("log", 6)], ROOT, frozenset())
    (tmp_path / "log").write_text("whole\n")
    assert take_away(tmp_path, lost) == []
    (tmp_path / "log").write_text("whole\nmore\n")
    assert take_away(tmp_path, lost) == ["log cut to 6 bytes"]


def test_only_the_calls_of_the_daemon_and_its_children_count(tmp_path: Path) -> None:
    lines = [
        {"call": "enter", "pid": 1, "service": "watcher"},
        {"call": "process", "pid": 2, "service": "watcher"},
        {"call": "process", "pid": 3, "service": "injector"},
        *({"pid": pid, **opened(f"f{pid}")} for pid in (1, 2, 3, 4)),
    ]
    record = tmp_path / "witness.jsonl"
    record.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"call": "op')
    assert [line["path"] for line in calls_of(record, "watcher")] == ["f1", "f2"]
