"""The Watcher writes a memory report when asked, and continues to work."""

from __future__ import annotations

import os
import signal
import tracemalloc
from pathlib import Path
from typing import Any

from agents.memory_report import report
from watcher_lab import Lab

from chaos.cli.triage import explain
from tests.waiting import wait_for

PIECES, PIECE_BYTES = 20, 100_000


def entry(memory: dict[str, Any], name: str) -> dict[str, Any]:
    empty = {"bytes": 0, "count": 0}
    return next((entry for entry in memory["types"] if entry["type"] == name), empty)


def test_bytes_held_by_a_list_are_counted_once() -> None:
    """2 MB of untracked objects, held by two lists; and 300 kB held by an untracked dict."""
    before = entry(report(10_000_000, 60.0), "bytes")
    kept = [os.urandom(PIECE_BYTES) for _ in range(PIECES)]
    holders = [list(kept), [{"content": os.urandom(3 * PIECE_BYTES)}]]
    memory = report(10_000_000, 60.0)
    grown = entry(memory, "bytes")["bytes"] - before["bytes"]
    expected = (PIECES + 3) * PIECE_BYTES
    assert expected <= grown < expected + 1_000_000
    assert holders and {"type": "bytes", "bytes": 3 * PIECE_BYTES + 33} in memory["largest"]
    assert len(memory["types"]) == len(memory["largest"]) == 15 and memory["lines"] == []
    sizes = [largest["bytes"] for largest in memory["largest"]]
    assert memory["complete"] and sizes == sorted(sizes, reverse=True)


def test_a_report_cut_by_a_bound_is_not_complete() -> None:
    by_objects = report(objects_max=500)
    assert by_objects["examined"] == 500 and not by_objects["complete"]
    by_time = report(seconds_max=0.0)
    assert by_time["examined"] <= 1 and not by_time["complete"]


def test_the_report_has_source_lines_while_tracemalloc_traces() -> None:
    tracemalloc.start()
    try:
        kept = [bytes(PIECE_BYTES) for _ in range(PIECES)]
        memory = report()
    finally:
        tracemalloc.stop()
    assert Path(__file__).name in memory["lines"][0]["line"] and kept


def test_a_running_watcher_writes_the_report_and_continues(lab: Lab) -> None:
    lab.submit("a.json")
    lab.start()
    lab.decision("a.json")
    triage = explain(str(lab.root), Path("runs"), target="reference", deep=True)
    assert any(line.startswith("top allocators by type") for line in triage.seen), triage.seen
    assert lab.json("logs/memory_report.json")["examined"] > 1000
    lab.submit("b.json")
    assert lab.decision("b.json")["status"] == "COMPLETED"
    assert lab.halt() == 0
    lab.assert_no_trouble()


def test_the_watcher_continues_if_the_report_cannot_be_written(lab: Lab) -> None:
    """A folder at the report's path stands for a volume that accepts no file."""
    (lab.root / "logs" / "memory_report.json").mkdir(parents=True)
    lab.start()
    assert lab.daemon is not None
    for _ in range(3):
        lab.daemon.send_signal(signal.SIGUSR2)
    log = lab.root / "logs" / "watcher_agent.log"
    wait_for("a warning", lambda: log.exists() and "no memory report" in log.read_text())
    lab.submit("a.json")
    assert lab.decision("a.json")["status"] == "COMPLETED"
    assert lab.halt() == 0


def test_triage_without_deep_does_not_ask_for_a_report(lab: Lab) -> None:
    lab.start()
    triage = explain(str(lab.root), Path("runs"), target="reference", deep=False)
    assert any("was not asked" in line for line in triage.seen)
    assert not (lab.root / "logs" / "memory_report.json").exists()
