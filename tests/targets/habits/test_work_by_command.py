"""Stands for a daemon whose work is handed to it by a command of its own, not by a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from chaos.record.history import HistoryWriter, Op, read_history
from chaos.soaks.requests import RequestSubmitter
from chaos.stack.base import CommandResult, Stack
from chaos.stack.process import Surroundings, run_command
from chaos.stack.workspace import fill_words
from tests.targets.habits.stand_in import StandIn
from tests.waiting import wait_for

TARGET = """
target: spooled
watcher: {start: ["{python}", daemon.py]}
work:
  submit: {command: ["{python}", daemon.py, --add, "{file}"]}
  done: out/*
  body: {id: "{id}"}
"""
PROGRAM = """
import json, os, sqlite3, sys, time
os.makedirs("out", exist_ok=True)
queue = sqlite3.connect("queue.db", timeout=10, isolation_level=None)
queue.execute("create table if not exists work (id text)")
if "--add" in sys.argv:
    queue.execute("insert into work values (?)", [json.load(open(sys.argv[-1]))["id"]])
    sys.exit()
while True:
    for (name,) in queue.execute("select id from work").fetchall():
        open(f"out/{name}", "w").close()
        queue.execute("delete from work where id = ?", [name])
    time.sleep(0.05)
"""


class Commands:
    """Stands for the stack: runs a command of the target in the workspace, without a sandbox."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def run(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        words = fill_words(argv, {"python": sys.executable}, place="test")
        return run_command(
            words, Surroundings(self.workspace, {"PATH": os.environ["PATH"]}), limit_s
        )


def test_work_given_by_a_command_is_done(tmp_path: Path) -> None:
    daemon = StandIn(tmp_path, TARGET, PROGRAM)
    history = HistoryWriter(tmp_path / "history.jsonl", "r")
    stack = cast(Stack, Commands(daemon.workspace))
    with daemon.running():
        wait_for("the queue", (daemon.workspace / "out").is_dir)
        submitter = RequestSubmitter(daemon.workspace, daemon.target.work, history, stack)
        name = submitter.probe("x")
        wait_for("the work to be done", (daemon.workspace / "out" / name).exists)
        assert submitter.waiting() == []
    history.close()
    ops = [
        record for _, record in read_history(tmp_path / "history.jsonl") if isinstance(record, Op)
    ]
    assert [(op.id, op.outcome) for op in ops if op.op == "submit"] == [(name, "ok")]
