"""Triage of the reference Watcher's workspace, while it runs and after it was killed."""

from __future__ import annotations

import json
from pathlib import Path

from watcher_lab import Lab

from chaos.cli.triage import explain
from chaos.triage.result import Triage
from tests.waiting import wait_for


def triaged(lab: Lab) -> Triage:
    return explain(str(lab.root), Path("runs"), target="reference", deep=True)


def test_corrupt_requests_are_the_only_cause_while_the_watcher_runs(lab: Lab) -> None:
    """The Watcher has quarantined them; triage names their kinds."""
    lab.put("0_torn.json", json.dumps({"request_type": "selfplay"}).encode()[:-7])
    lab.put("1_array.json", b"[1, 2, 3]")
    lab.submit("2_good.json")
    lab.start()
    lab.decision("2_good.json")
    wait_for("quarantine", lambda: lab.quarantined() == ["0_torn.json", "1_array.json"])
    triage = triaged(lab)
    [cause] = triage.causes
    assert cause.name == "queue_corruption" and "2 requests set aside" in cause.summary
    assert "cut off" in cause.evidence[0].text and "array" in cause.evidence[1].text
    ruled_out = {cause.name for cause in triage.ruled_out}
    assert {"process_died", "stall", "llm_connection_drop", "disk_exhaustion"} <= ruled_out
    assert any(line.startswith("watcher ") for line in triage.seen)


def test_process_died_is_the_cause_after_a_kill(lab: Lab) -> None:
    lab.submit("a.json")
    lab.start()
    lab.decision("a.json")
    lab.kill()
    assert [cause.name for cause in triaged(lab).causes] == ["process_died"]


def test_process_died_is_ruled_out_after_a_halt(lab: Lab) -> None:
    lab.start()
    lab.halt()
    triage = triaged(lab)
    assert triage.causes == []
    assert "process_died" in {cause.name for cause in triage.ruled_out}
