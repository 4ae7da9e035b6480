"""The reference Watcher's folder, looked at from outside while it lives and after it was killed."""

from __future__ import annotations

import json
from pathlib import Path

from watcher_lab import Lab

from chaos.cli.triage import explain
from chaos.triage.result import Triage
from tests.waiting import wait_for


def triaged(lab: Lab) -> Triage:
    return explain(str(lab.root), Path("runs"), target="reference", deep=True)


def test_corrupt_requests_are_found_over_a_live_watcher(lab: Lab) -> None:
    """Set aside by the Watcher, named by kind, and nothing else is blamed."""
    lab.put("0_torn.json", json.dumps({"request_type": "selfplay"}).encode()[:-7])
    lab.put("1_array.json", b"[1, 2, 3]")
    lab.submit("2_good.json")
    lab.start()
    lab.decision("2_good.json")
    wait_for("quarantine", lambda: lab.quarantined() == ["0_torn.json", "1_array.json"])
    found = triaged(lab)
    [cause] = found.causes
    assert cause.name == "queue_corruption" and "2 requests set aside" in cause.summary
    assert "cut off" in cause.evidence[0].text and "array" in cause.evidence[1].text
    out = {one.name for one in found.ruled_out}
    assert {"process_died", "stall", "llm_connection_drop", "disk_exhaustion"} <= out
    assert any(line.startswith("watcher ") for line in found.seen)


def test_a_killed_watcher_is_named_dead_by_what_it_left(lab: Lab) -> None:
    lab.submit("a.json")
    lab.start()
    lab.decision("a.json")
    lab.kill()
    assert [cause.name for cause in triaged(lab).causes] == ["process_died"]


def test_a_halted_watcher_did_not_die(lab: Lab) -> None:
    lab.start()
    lab.halt()
    found = triaged(lab)
    assert found.causes == []
    assert "process_died" in {one.name for one in found.ruled_out}
