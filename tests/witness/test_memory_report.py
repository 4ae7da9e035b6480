"""Who may be asked for its top allocators, and what is said when there is no answer."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.record.target import Inspection
from chaos.runner.resolve import read_target
from chaos.witness.inspection import inspect
from chaos.witness.memory_report import ask_memory

WAY = Inspection(memory_report="report.json", limit_s=10)
QUICKLY = Inspection(memory_report="report.json", limit_s=0.3)
# Stand for Watchers: without a handler, with one that answers, with one that does not.
DEAF = "pass"
ANSWERS = """
import os
def answer(*_):
    with open("new", "w") as f: f.write({content!r})
    os.replace("new", "report.json")
signal.signal(signal.SIGUSR2, answer)
"""
MUTE = "signal.signal(signal.SIGUSR2, lambda *_: None)"


@contextmanager
def running(folder: Path, code: str) -> Iterator[subprocess.Popen[bytes]]:
    body = "import signal, sys, time\n" + textwrap.dedent(code)
    body += "\nprint(flush=True)\nwhile True: time.sleep(1)\n"
    with subprocess.Popen(
        [sys.executable, "-c", body], cwd=folder, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
            assert process.poll() is None, "it was not ended by being asked"
        finally:
            process.kill()


def answering(content: str) -> str:
    return ANSWERS.replace("{content!r}", repr(content))


def test_a_profile_without_inspection_sends_nothing(tmp_path: Path) -> None:
    """Its Watcher would answer, and does not: nothing came."""
    with running(tmp_path, answering("{}")) as process:
        assert "declares no way" in ask_memory(None, tmp_path, process.pid)["absent"]
    assert list(tmp_path.iterdir()) == []


def test_a_process_without_a_handler_is_left_alone(tmp_path: Path) -> None:
    with running(tmp_path, DEAF) as process:
        assert "has no handler for SIGUSR2" in ask_memory(WAY, tmp_path, process.pid)["absent"]


def test_silence_is_named_and_an_old_report_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"types": []}))
    with running(tmp_path, MUTE) as process:
        found = ask_memory(QUICKLY, tmp_path, process.pid)
    assert found == {"absent": "no new report.json within 0.3 s"}


def test_a_dead_process_is_named(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert "cannot be signalled" in ask_memory(WAY, tmp_path, process.pid)["absent"]


def test_the_answer_is_taken_over_within_bounds(tmp_path: Path) -> None:
    """Over an older report that has to be replaced."""
    (tmp_path / "report.json").write_text("{}")
    entry = {"type": "x" * 999, "bytes": 7, "count": 3, "more": 1}
    with running(tmp_path, answering(json.dumps({"types": [entry] * 99}))) as process:
        found = ask_memory(WAY, tmp_path, process.pid)
    assert found["types"] == [{"type": "x" * 200, "bytes": 7, "count": 3}] * 15


@pytest.mark.parametrize("content", ["", "[", "[]", '{"types": 3}', '{"types": [{"type": 3}]}'])
def test_an_answer_that_is_no_report_is_named(content: str, tmp_path: Path) -> None:
    with running(tmp_path, answering(content)) as process:
        assert "is no memory report" in ask_memory(WAY, tmp_path, process.pid)["absent"]


def test_nobody_is_asked_unless_the_look_says_so(tmp_path: Path) -> None:
    target = read_target("reference")[1]
    assert target.inspection is not None
    with running(tmp_path, answering("{}")) as process:
        seen = inspect(target, tmp_path, why="t", watcher=process.pid)
    assert "was not asked" in seen["memory"]["absent"] and list(tmp_path.iterdir()) == []
