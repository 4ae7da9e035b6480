"""Inspections during a run: one per stall, limited in number, and recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.plan.plan import Plan
from chaos.record.history import HistoryWriter
from chaos.runner.resolve import Request, resolve
from chaos.stack.base import Stack
from chaos.witness.inspector import Inspector


class Bench:
    """An inspector of a folder, with this process in place of the Watcher."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "workspace"
        (self.workspace / "watcher_requests").mkdir(parents=True)
        self.log = self.workspace / "watcher_decisions.jsonl"
        self.path = folder / "history.jsonl"
        self.history = HistoryWriter(self.path, "bench")
        self.pid: int | None = None
        service = SimpleNamespace(pids=lambda: [os.getppid()], pid=lambda: self.pid)
        stack = SimpleNamespace(workspace=self.workspace, service=lambda name: service)
        plan: Plan = resolve(Request(soak="soak_c", faults=[], seed=1))
        self.collector = Inspector(cast(Stack, stack), plan, self.history)

    def wait(self, name: str = "r.json", content: str = '{"request_type": "selfplay"}') -> None:
        (self.workspace / "watcher_requests" / name).write_text(content)

    def looks(self) -> list[dict[str, Any]]:
        records = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [r["detail"] for r in records if r.get("name") == "inspection"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_stall_is_inspected_once(bench: Bench) -> None:
    bench.wait()
    for t_s in range(0, 400, 10):
        bench.collector.on_stall(float(t_s))
    [look] = bench.looks()
    assert look["why"].startswith("no decision for")
    assert look["queue"]["stuck"][0]["path"] == "watcher_requests/r.json"


def test_each_new_stall_gets_one_inspection(bench: Bench) -> None:
    bench.wait()
    for t_s in range(0, 400, 10):
        bench.collector.on_stall(float(t_s))
    bench.log.write_text("{}\n")
    for t_s in range(400, 800, 10):
        bench.collector.on_stall(float(t_s))
    assert len(bench.looks()) == 2


def test_an_idle_watcher_does_not_stall(bench: Bench) -> None:
    for t_s in range(0, 4000, 100):
        bench.collector.on_stall(float(t_s))
    assert bench.looks() == []


def test_the_number_of_inspections_of_a_run_is_limited(bench: Bench) -> None:
    for _ in range(20):
        bench.collector.write("again")
    assert len(bench.looks()) == 8


def test_a_process_with_several_roles_has_the_first_one(bench: Bench) -> None:
    bench.collector.write("now")
    [process] = bench.looks()[0]["processes"]
    assert (process["pid"], process["role"]) == (os.getppid(), "watcher")


def test_no_memory_report_is_requested_from_a_dead_watcher(bench: Bench) -> None:
    bench.collector.write("now")
    assert bench.looks()[0]["memory"] == {"absent": "the Watcher does not run"}


def test_a_pipe_or_a_link_in_the_queue_does_not_block_the_inspection(bench: Bench) -> None:
    """Opening a named pipe without a writer would block for ever."""
    folder = bench.workspace / "watcher_requests"
    os.mkfifo(folder / "pipe.json")
    (folder / "link.json").symlink_to(folder / "pipe.json")
    bench.collector.write("now")
    bad = {one["path"]: one["defect"] for one in bench.looks()[0]["queue"]["stuck"]}
    assert bad == {
        f"watcher_requests/{name}": "not a regular file" for name in ("link.json", "pipe.json")
    }
