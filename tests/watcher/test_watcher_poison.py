"""The running daemon quarantines files that are not valid requests."""

from __future__ import annotations

import json
import os

import pytest
from watcher_lab import Lab

from tests.waiting import wait_for

WHOLE = json.dumps({"request_type": "selfplay", "source": "t", "parameters": {"episodes": 1}})
POISON = {
    "array": b"[1, 2, 3]",
    "not utf-8": b'{"request_type": "\xff\xfe"}',
    "zero length": b"",
    "nul tail": WHOLE.encode() + b"\0" * 512,
    "torn": WHOLE.encode()[:-7],
    "wrong type": b'{"request_type": "format_disk"}',
    "wrong shape": b'{"request_type": "selfplay", "parameters": [1]}',
}


@pytest.mark.parametrize("kind", POISON)
def test_poison_at_the_head_is_quarantined_and_blocks_no_other_request(lab: Lab, kind: str) -> None:
    """A quarantined request has a reason and one decision line, and is never archived."""
    lab.put("0_poison.json", POISON[kind])
    lab.submit("1_good.json")
    lab.start()
    assert lab.decision("1_good.json")["status"] == "COMPLETED"
    wait_for("quarantine", lambda: lab.quarantined() == ["0_poison.json"])
    wait_for("recorded", lambda: lab.reason("0_poison.json")["recorded"])
    assert lab.reason("0_poison.json")["reason"]
    lines = [d for d in lab.decisions() if d["request_file"] == "0_poison.json"]
    assert [(d["status"], d["dispatch"]) for d in lines] == [("QUARANTINED", None)]
    assert lab.archived() == ["1_good.json"]
    numbers = [d["decision_id"] for d in lab.decisions()]
    assert len(set(numbers)) == len(numbers)
    lab.assert_no_trouble()


def test_a_request_without_read_permission_is_quarantined(lab: Lab) -> None:
    path = lab.put("a.json", WHOLE.encode())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("file modes do not bind this user")
    lab.start()
    wait_for("quarantine", lambda: lab.quarantined() == ["a.json"])
    assert "unreadable" in lab.reason("a.json")["reason"]


def test_a_request_that_is_written_slowly_is_processed_when_complete(lab: Lab) -> None:
    """Other requests do not wait for it."""
    policies = lab.json("watcher_policies.json")
    policies["queue"]["settle_seconds"] = 30
    (lab.root / "watcher_policies.json").write_text(json.dumps(policies))
    lab.start()
    path = lab.root / "watcher_requests" / "unhurried.json"
    with path.open("w") as stream:
        for number, piece in enumerate((WHOLE[:20], WHOLE[20:60], WHOLE[60:])):
            stream.write(piece)
            stream.flush()
            lab.submit(f"passes_{number}.json")
            lab.decision(f"passes_{number}.json")  # does not wait for the unfinished one
    assert lab.decision("unhurried.json")["status"] == "COMPLETED"
    assert lab.quarantined() == []


def test_a_duplicate_is_never_processed_again(lab: Lab) -> None:
    """Same name, or same source and number under another name: quarantined with the reason."""
    lab.submit("a.json", sequence_number=5)
    lab.start()
    lab.decision("a.json")
    lab.submit("a.json", sequence_number=5)
    wait_for("name", lambda: lab.quarantined() == ["a.json"])
    lab.submit("b.json", sequence_number=5)
    wait_for("number", lambda: lab.quarantined() == ["a.json", "b.json"])
    wait_for("recorded", lambda: lab.reason("b.json")["recorded"])
    assert "a.json" in lab.reason("b.json")["reason"]
    assert lab.archived() == ["a.json"]
    completed = [d for d in lab.decisions() if d["status"] == "COMPLETED"]
    assert len(completed) == 1
    lab.assert_no_trouble()


def test_requests_that_vanish_do_not_disturb_the_daemon(lab: Lab) -> None:
    """Files are renamed while the daemon scans the folder."""
    lab.start()
    folder = lab.root / "watcher_requests"
    for number in range(30):
        torn = lab.put(f"gone_{number}.json", b"{")
        torn.rename(folder / f"gone_{number}.txt")
    lab.submit("after.json")
    assert lab.decision("after.json")["status"] == "COMPLETED"
    assert lab.halt() == 0
    lab.assert_no_trouble()
