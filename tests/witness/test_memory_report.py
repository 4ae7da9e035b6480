"""Which process may be asked for its top allocators, and the reason when no answer comes."""

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

INSPECTION = Inspection(memory_report="report.json", limit_s=10)
SHORT_LIMIT = Inspection(memory_report="report.json", limit_s=0.3)
# Stand-ins for Watchers: without a signal handler, with one that writes a report, with one that
# does nothing.
NO_HANDLER = "pass"
ANSWERS = """
import os
def answer(*_):
    with open("new", "w") as f: f.write({content!r})
    os.replace("new", "report.json")
signal.signal(signal.SIGUSR2, answer)
"""
EMPTY_HANDLER = "signal.signal(signal.SIGUSR2, lambda *_: None)"


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
            assert process.poll() is None, "the signal ended the process"
        finally:
            process.kill()


def answering(content: str) -> str:
    return ANSWERS.replace("{content!r}", repr(content))


def test_a_profile_without_inspection_sends_nothing(tmp_path: Path) -> None:
    """The Watcher would answer a signal, and writes nothing."""
    with running(tmp_path, answering("{}")) as process:
        assert "declares no way" in ask_memory(None, tmp_path, process.pid)["absent"]
    assert list(tmp_path.iterdir()) == []


def test_a_process_without_a_handler_gets_no_signal(tmp_path: Path) -> None:
    with running(tmp_path, NO_HANDLER) as process:
        assert (
            "has no handler for SIGUSR2" in ask_memory(INSPECTION, tmp_path, process.pid)["absent"]
        )


def test_an_old_report_does_not_count_as_an_answer(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"types": []}))
    with running(tmp_path, EMPTY_HANDLER) as process:
        report = ask_memory(SHORT_LIMIT, tmp_path, process.pid)
    assert report == {"absent": "no new report.json within 0.3 s"}


def test_a_dead_process_is_an_absence(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert "cannot be signalled" in ask_memory(INSPECTION, tmp_path, process.pid)["absent"]


def test_a_long_report_is_truncated(tmp_path: Path) -> None:
    """An older report is there, and is replaced by the new one."""
    (tmp_path / "report.json").write_text("{}")
    entry = {"type": "x" * 999, "bytes": 7, "count": 3, "more": 1}
    with running(tmp_path, answering(json.dumps({"types": [entry] * 99}))) as process:
        report = ask_memory(INSPECTION, tmp_path, process.pid)
    assert report["types"] == [{"type": "x" * 200, "bytes": 7, "count": 3}] * 15


@pytest.mark.parametrize("content", ["", "[", "[]", '{"types": 3}', '{"types": [{"type": 3}]}'])
def test_a_malformed_report_is_an_absence(content: str, tmp_path: Path) -> None:
    with running(tmp_path, answering(content)) as process:
        assert "is no memory report" in ask_memory(INSPECTION, tmp_path, process.pid)["absent"]


def test_inspect_sends_no_signal_without_ask(tmp_path: Path) -> None:
    target = read_target("reference")[1]
    assert target.inspection is not None
    with running(tmp_path, answering("{}")) as process:
        snapshot = inspect(target, tmp_path, why="t", watcher=process.pid)
    assert "was not asked" in snapshot["memory"]["absent"] and list(tmp_path.iterdir()) == []
