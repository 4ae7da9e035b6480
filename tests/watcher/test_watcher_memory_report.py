"""The Watcher tells what its memory is made of when asked, and goes on working."""

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


def entry(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next((one for one in found["types"] if one["type"] == name), {"bytes": 0, "count": 0})


def test_bytes_held_by_a_list_are_counted_once() -> None:
    """2 MB that the collector does not track, held twice and once more by an untracked dict."""
    before = entry(report(10_000_000, 60.0), "bytes")
    kept = [os.urandom(PIECE_BYTES) for _ in range(PIECES)]
    holders = [list(kept), [{"content": os.urandom(3 * PIECE_BYTES)}]]
    found = report(10_000_000, 60.0)
    grown = entry(found, "bytes")["bytes"] - before["bytes"]
    expected = (PIECES + 3) * PIECE_BYTES
    assert expected <= grown < expected + 1_000_000
    assert holders and {"type": "bytes", "bytes": 3 * PIECE_BYTES + 33} in found["largest"]
    assert len(found["types"]) == len(found["largest"]) == 15 and found["lines"] == []
    sizes = [one["bytes"] for one in found["largest"]]
    assert found["complete"] and sizes == sorted(sizes, reverse=True)


def test_the_bounds_end_the_look_and_are_told() -> None:
    found = report(objects_max=500)
    assert found["examined"] == 500 and not found["complete"]
    late = report(seconds_max=0.0)
    assert late["examined"] <= 1 and not late["complete"]


def test_lines_are_named_while_they_are_traced() -> None:
    tracemalloc.start()
    try:
        kept = [bytes(PIECE_BYTES) for _ in range(PIECES)]
        found = report()
    finally:
        tracemalloc.stop()
    assert Path(__file__).name in found["lines"][0]["line"] and kept


def test_a_live_watcher_answers_and_goes_on_working(lab: Lab) -> None:
    lab.submit("a.json")
    lab.start()
    lab.decision("a.json")
    found = explain(str(lab.root), Path("runs"), target="reference", deep=True)
    assert any(line.startswith("top allocators by type") for line in found.seen), found.seen
    assert lab.json("logs/memory_report.json")["examined"] > 1000
    lab.submit("b.json")
    assert lab.decision("b.json")["status"] == "COMPLETED"
    assert lab.halt() == 0
    lab.assert_no_trouble()


def test_without_room_for_the_report_it_goes_on(lab: Lab) -> None:
    """A folder in the report's place stands for a volume that takes no file."""
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


def test_without_deep_a_live_watcher_is_not_asked(lab: Lab) -> None:
    lab.start()
    found = explain(str(lab.root), Path("runs"), target="reference", deep=False)
    assert any("was not asked" in line for line in found.seen)
    assert not (lab.root / "logs" / "memory_report.json").exists()
