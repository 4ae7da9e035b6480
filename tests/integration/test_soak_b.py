"""Soak B on real parts: the clean Watcher passes with and without its daemon, defective ones fail
by the check for their defect.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.command import Done, chaos, history

pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=60)]

FAULT = ("--fault", "llm_timeout", "--seed", "7")


def archived(done: Done) -> list[str]:
    folder = done.run().artefacts / "watcher_requests" / "archive"
    return sorted(path.name for path in folder.glob("soak_B_*.json"))


def passed(done: Done) -> None:
    assert done.exit_code == 0, done.text
    outcomes = {f["check"]: f["outcome"] for f in done.verdict()["findings"]}
    assert set(outcomes.values()) <= {"pass", "skipped"}, done.text
    assert {name for name, outcome in outcomes.items() if outcome == "skipped"} <= {
        "gpu_memory",
        "steady_state",
    }
    assert outcomes["fault_effect"] == outcomes["recovery_time"] == "pass"
    assert len(archived(done)) == 10


def test_clean_watcher_completes_ten_requests_while_its_llm_is_cut(tmp_path: Path) -> None:
    done = chaos(tmp_path / "runs", "run", "soak_b", *FAULT)
    passed(done)
    records = history(done.run())
    submitted = [r for r in records if r.get("op") == "submit" and r["id"].startswith("soak_B_")]
    ready = next(r for r in records if r.get("name") == "ready")
    assert len(submitted) == 10
    assert all(r["t_s"] < ready["t_s"] for r in submitted), "staged before the daemon started"
    assert "draws_ingested" not in {f["check"] for f in done.verdict()["findings"]}


@pytest.mark.whole_run
@pytest.mark.slow(seconds=110)
def test_clean_watcher_completes_ten_requests_without_its_daemon(tmp_path: Path) -> None:
    done = chaos(tmp_path / "runs", "run", "soak_b", "--profile", "batch", *FAULT)
    passed(done)
    records = history(done.run())
    invocations = [r for r in records if r.get("op") == "batch"]
    assert invocations
    assert all(r["detail"]["exit_code"] == 0 and r["detail"]["took_s"] > 0 for r in invocations)
    absences = [r["detail"] for r in records if r.get("name") == "source_absent"]
    assert {"source": "watcher", "reason": "not running"} in absences, "stated, and no death"
    assert not [r for r in records if r.get("name") in ("watcher_exit", "halted")]
