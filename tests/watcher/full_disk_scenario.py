"""Run inside `unshare --user --mount`: the daemon on a tiny volume that gets full.

    python full_disk_scenario.py FOLDER plan|evaluation|nearly|halt

Exits 0 when everything held. The disk is a real tmpfs, so every error is the kernel's.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "images" / "watcher")]

from watcher_lab import Lab, wait_for  # noqa: E402
from wire_stand_in import StandIn, gate, good  # noqa: E402

NAMES = [f"r{number}.json" for number in range(4)]
ENOSPC_TEXT = "No space left on device"


def fill(ballast: Path, leave_bytes: int) -> None:
    """Fills the volume to the last byte, then gives `leave_bytes` back."""
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    size = ballast.stat().st_size
    with ballast.open("r+b") as stream:
        stream.truncate(size - leave_bytes)


def run(lab: Lab, wire: StandIn, scenario: str) -> None:
    """Fills the disk in mid-request, watches the daemon hold out, frees it, checks."""
    opened = threading.Event()
    wire.script.extend([gate(opened)] if scenario != "evaluation" else [good, gate(opened)])
    for name in NAMES:
        lab.submit(name, "learning_loop")
    lab.start()
    wait_for("question", lambda: len(wire.asked) == (2 if scenario == "evaluation" else 1))
    ballast = lab.root / "ballast"
    fill(ballast, 3 * 4096 if scenario == "nearly" else 0)
    opened.set()
    wait_for("the disk was felt", lambda: lab.output().count(ENOSPC_TEXT) >= 2)
    assert not lab.ended(), lab.output()
    if scenario == "halt":
        assert lab.halt() == 0
        ballast.unlink()
        lab.start()
    else:
        ballast.unlink()
    wait_for("all archived", lambda: lab.archived() == NAMES)
    decisions = lab.decisions()
    assert [d["request_file"] for d in decisions] == NAMES
    assert {d["status"] for d in decisions} == {"COMPLETED"}
    assert lab.json("telemetry/learning_health_latest.json")["total_models"] == len(NAMES)
    assert lab.quarantined() == []
    assert lab.halt() == 0
    assert not list(lab.root.rglob(".*.tmp"))
    lab.assert_no_trouble()


def main() -> None:
    """Mounts the volume and runs one scenario."""
    folder, scenario = Path(sys.argv[1]), sys.argv[2]
    volume = folder / "volume"
    volume.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(volume)], check=True)
    with StandIn() as wire, Lab(volume, wire) as lab:
        run(lab, wire, scenario)


if __name__ == "__main__":
    main()
