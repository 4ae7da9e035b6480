"""Soak A on real parts, accelerated: the clean Watcher endures, and nothing grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.command import chaos, history

pytestmark = [pytest.mark.stack, pytest.mark.whole_run, pytest.mark.slow(seconds=180)]

BACKLOG_MAX = 3


def test_clean_watcher_endures_the_accelerated_soak(tmp_path: Path) -> None:
    done = chaos(tmp_path / "runs", "run", "soak_a", "--fault", "llm_timeout", "--seed", "7")
    assert done.exit_code == 0, done.text
    outcomes = {f["check"]: f["outcome"] for f in done.verdict()["findings"]}
    assert set(outcomes.values()) <= {"pass", "skipped"}, done.text
    assert {name for name, outcome in outcomes.items() if outcome == "skipped"} <= {
        "gpu_memory",
        "steady_state",
    }
    assert outcomes["memory_growth"] == outcomes["file_descriptors"] == "pass"
    records = history(done.run())
    waiting = [
        r["values"]["queue.pending"] + r["values"].get("queue.claimed", 0)
        for r in records
        if r["kind"] == "sample" and "queue.pending" in r["values"]
    ]
    # Two folders are not read at one moment: a request on its way can be counted twice.
    assert max(waiting) <= BACKLOG_MAX + 1
    probes = [r for r in records if r.get("op") == "submit"]
    assert {r["detail"]["source"] for r in probes} <= {"soak_test_A_probe", "soak_probe"}
