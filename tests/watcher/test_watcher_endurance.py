"""Memory, descriptors and logs stay bounded over many requests."""

from __future__ import annotations

import json
from itertools import cycle, islice
from pathlib import Path

import pytest
import wire_stand_in as stand
from agents.logs import RotatingFile
from watcher_lab import Lab
from wire_stand_in import StandIn

from tests.waiting import wait_for


def descriptors(lab: Lab) -> int:
    """Open file descriptors of the daemon."""
    assert lab.daemon is not None
    return len(list(Path(f"/proc/{lab.daemon.pid}/fd").iterdir()))


def anonymous_kib(lab: Lab) -> int:
    """Anonymous memory of the daemon in KiB."""
    assert lab.daemon is not None
    text = Path(f"/proc/{lab.daemon.pid}/status").read_text()
    return int(text.partition("RssAnon:")[2].split()[0])


@pytest.mark.slow
def test_nothing_grows_over_reconnections_and_requests(lab: Lab, wire: StandIn) -> None:
    """Descriptors and memory stay constant over 40 requests with failing connections."""
    kinds = (stand.reset, stand.close, stand.good, stand.good)
    wire.script.extend(islice(cycle(kinds), 400))
    lab.start()
    marks = []
    for number in range(50):
        lab.submit(f"r{number:02d}.json")
        lab.decision(f"r{number:02d}.json")
        if number >= 10:
            wait_for("idle", lambda: lab.state() == "idle")
            marks.append((descriptors(lab), anonymous_kib(lab)))
    assert marks[-1][0] <= marks[0][0] + 1
    assert marks[-1][1] - marks[0][1] < 40 * 25  # a leak of 50 KiB per request would fail
    lab.assert_no_trouble()


def test_the_log_rotates_by_size_and_keeps_a_fixed_number(lab: Lab) -> None:
    """The log folder stays bounded, however much is logged."""
    policies = lab.json("watcher_policies.json")
    policies["log"] = {"rotation_bytes": 1000, "retention": 2}
    (lab.root / "watcher_policies.json").write_text(json.dumps(policies))
    lab.start()
    for number in range(40):
        lab.put(f"{number}.json", b"[]")
    wait_for("quarantined", lambda: len(lab.quarantined()) == 40)
    logs = list((lab.root / "logs").glob("watcher_agent*.log"))
    assert sorted(path.name for path in logs) == [
        "watcher_agent.1.log",
        "watcher_agent.2.log",
        "watcher_agent.log",
    ]
    assert all(path.stat().st_size <= 1000 for path in logs)


def test_rotation_neither_tears_nor_repeats_a_line(tmp_path: Path) -> None:
    log = RotatingFile(tmp_path / "a.log", 100, 50)
    lines = [b"line %04d\n" % number for number in range(200)]
    for line in lines:
        log.append(line)
    paths = sorted(tmp_path.glob("a.*.log"), key=lambda path: -int(path.suffixes[0][1:]))
    assert b"".join(path.read_bytes() for path in [*paths, tmp_path / "a.log"]) == b"".join(lines)
