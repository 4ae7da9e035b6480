"""Run in `unshare --user --mount`: the daemon on a small volume that becomes full or read-only.

    python full_disk_scenario.py FOLDER plan|evaluation|nearly|halt
    python full_disk_scenario.py FOLDER readonly|readonly_halt|readonly_start

Exit code 0 if all assertions hold. The disk is a real tmpfs, so every error comes from the kernel.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
sys.path[:0] = [str(HERE), str(REPO), str(REPO / "images" / "watcher")]

from watcher_lab import Lab  # noqa: E402
from wire_stand_in import StandIn, gate, good  # noqa: E402

from tests.waiting import wait_for  # noqa: E402

NAMES = [f"r{number}.json" for number in range(4)]
ENOSPC_TEXT = "No space left on device"
EROFS_TEXT = "Read-only file system"


def fill(ballast: Path, leave_bytes: int) -> None:
    """Fills the volume to the last byte, then frees `leave_bytes`."""
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)
    size = ballast.stat().st_size
    with ballast.open("r+b") as stream:
        stream.truncate(size - leave_bytes)


def cover(volume: Path) -> None:
    """Makes the volume read-only for all new path look-ups; open files stay open."""
    aside = volume.parent / "aside"
    aside.mkdir(exist_ok=True)
    for words in (
        ("--bind", str(volume), str(aside)),
        ("-o", "remount,bind,ro", str(aside)),
        ("--move", str(aside), str(volume)),
    ):
        subprocess.run(["mount", *words], check=True)


def read_only(lab: Lab, *, halt: bool) -> None:
    """The volume becomes read-only while a child runs."""
    lab.submit("r0_caught.json", "learning_loop")
    lab.start()
    dispatched = lab.root / "dispatched.txt"
    wait_for("the child is at work", lambda: dispatched.exists() and dispatched.stat().st_size)
    cover(lab.root)
    wait_for("it was felt", lambda: lab.output().count(EROFS_TEXT) >= 3)
    assert not lab.ended(), lab.output()
    if halt:
        assert lab.daemon is not None
        halted = lab.run("--halt", "test")
        assert halted.returncode == 0 and "SIGTERM" in halted.stdout, halted
        assert lab.daemon.wait(30) == 0
    subprocess.run(["umount", "--lazy", str(lab.root)], check=True)
    if halt:
        lab.start()
    assert lab.decision("r0_caught.json")["status"] == "COMPLETED"
    assert lab.json("telemetry/learning_health_latest.json")["total_models"] == 1
    assert lab.quarantined() == []
    assert lab.halt() == 0
    lab.assert_no_trouble()


def read_only_at_start(lab: Lab) -> None:
    """The daemon starts on a read-only volume: it waits until it is writable, then works."""
    lab.start()
    assert lab.halt() == 0
    lab.submit("r0.json", "learning_loop")
    cover(lab.root)
    lab.spawn()
    wait_for("it was felt", lambda: lab.output().count(EROFS_TEXT) >= 2 or lab.ended())
    assert not lab.ended(), lab.output()
    second = lab.run("--process-requests")
    assert second.returncode == 4, second  # the lock holds even if its file cannot be written
    subprocess.run(["umount", "--lazy", str(lab.root)], check=True)
    assert lab.decision("r0.json")["status"] == "COMPLETED"
    assert lab.halt() == 0
    lab.assert_no_trouble()


def run(lab: Lab, wire: StandIn, scenario: str) -> None:
    """Fills the disk during a request, frees it later, and checks that nothing was lost."""
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
        if scenario == "readonly_start":
            read_only_at_start(lab)
        elif scenario.startswith("readonly"):
            read_only(lab, halt=scenario == "readonly_halt")
        else:
            run(lab, wire, scenario)


if __name__ == "__main__":
    main()
