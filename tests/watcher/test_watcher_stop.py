"""Halt flag, signals, single instance, and the other commands."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest
import wire_stand_in as stand
from watcher_lab import Lab
from wire_stand_in import StandIn

from tests.waiting import wait_for

Ending = Callable[[Lab], int]
ENDINGS: dict[str, Ending] = {
    "halt": lambda lab: lab.halt(),
    "SIGTERM": lambda lab: lab.terminate(signal.SIGTERM),
    "SIGINT": lambda lab: lab.terminate(signal.SIGINT),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_idle_daemon_stops_when_asked(lab: Lab, ending: str) -> None:
    """Exit code 0 within the contract's 30 s, and the state is `stopped`."""
    lab.start()
    assert ENDINGS[ending](lab) == 0
    assert lab.state() == "stopped"
    assert json.loads(lab.run("--status").stdout)["running"] is False
    lab.assert_no_trouble()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("busy", ["asking", "backing off", "dispatching"])
def test_a_busy_daemon_stops_and_returns_the_request_to_the_queue(
    lab: Lab, wire: StandIn, ending: str, busy: str
) -> None:
    """The request is neither lost nor recorded. The next start processes it once."""
    lab.set_policies(timeout_seconds=600, backoff_seconds=60, backoff_cap_seconds=600)
    if busy == "asking":
        wire.default = stand.hang
    elif busy == "backing off":
        wire.default = stand.close
    name = "slow.json" if busy == "dispatching" else "a.json"
    lab.submit(name, "learning_loop")
    lab.start()
    if busy == "dispatching":
        wait_for("child", lambda: (lab.root / "dispatched.txt").exists())
    else:
        wait_for("question", lambda: wire.asked)
    assert ENDINGS[ending](lab) == 0
    assert lab.names() == [name] and lab.names("claimed") == [] and lab.decisions() == []
    assert wire.running  # a dispatch had stopped the server
    (lab.root / "watcher_requests" / name).rename(lab.root / "watcher_requests" / "b.json")
    wire.default = stand.good
    lab.start()
    assert lab.decision("b.json")["status"] == "COMPLETED"
    assert lab.json("telemetry/learning_health_latest.json")["total_models"] == 1
    lab.assert_no_trouble()


def test_the_halt_flag_forbids_a_start(lab: Lab) -> None:
    """Exit code 3 with a message, and nothing is changed. Without the flag the daemon starts."""
    assert lab.run("--halt", "maintenance").returncode == 0
    assert lab.json("watcher_halt.flag")["reason"] == "maintenance"
    refused = lab.run("--daemon")
    assert refused.returncode == 3 and "watcher_halt.flag" in refused.stderr
    assert not (lab.root / "watcher_status.json").exists()
    (lab.root / "watcher_halt.flag").unlink()
    lab.start()


def test_two_watchers_cannot_share_a_workspace(lab: Lab) -> None:
    """The second is refused and names the first. The first continues."""
    lab.start()
    second = lab.run("--daemon")
    assert second.returncode == 4 and str(lab.daemon.pid if lab.daemon else 0) in second.stderr
    assert lab.run("--process-requests").returncode == 4
    lab.submit("a.json")
    lab.decision("a.json")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "garbage",
        '{"pid": 1, "start_ticks": 1}',  # the PID now belongs to another process
        '{"pid": 4194305}',  # a dead process, without its start time
        '{"pid": true}',
        "[" * 100_000,
    ],
)
def test_a_stale_lock_file_does_not_prevent_a_start(lab: Lab, content: str) -> None:
    """The lock file may have any content of a dead holder."""
    (lab.root / "watcher.lock").write_text(content)
    os.utime(lab.root / "watcher.lock", (0, 0))
    assert json.loads(lab.run("--status").stdout)["running"] is False
    lab.start()
    assert json.loads(lab.run("--status").stdout)["running"] is True
    lab.kill()
    assert json.loads(lab.run("--status").stdout)["running"] is False
    lab.start()


def test_batch_mode_processes_all_pending_files_and_ends(lab: Lab) -> None:
    """--process-requests: valid requests and poison, then exit code 0."""
    for number in range(3):
        lab.submit(f"r{number}.json")
    lab.put("r9_poison.json", b"{")
    assert lab.run("--process-requests").returncode == 0
    assert lab.archived() == ["r0.json", "r1.json", "r2.json"]
    assert lab.quarantined() == ["r9_poison.json"]


def test_the_pipeline_can_be_run_by_hand(lab: Lab) -> None:
    """--run-pipeline publishes only the artefacts, and needs no LLM."""
    done = lab.run("--run-pipeline", "--start-step", "1", "--end-step", "3")
    assert done.returncode == 0, done.stderr
    assert (lab.root / "survivors_with_scores.json").exists()
    assert not (lab.root / "not_an_artefact.py").exists()
    assert list((lab.root / "work").iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--daemon", "--status"),
        ("--run-pipeline", "--start-step", "4", "--end-step", "3"),
        ("--run-pipeline", "--end-step", "7"),
    ],
)
def test_a_usage_error_is_exit_2(lab: Lab, arguments: tuple[str, ...]) -> None:
    """It prints the usage and no traceback."""
    done = lab.run(*arguments)
    assert done.returncode == 2 and "usage:" in done.stderr and "Traceback" not in done.stderr


def test_help_needs_no_workspace(lab: Lab) -> None:
    """--help names every command and the exit codes."""
    text = lab.run("--help").stdout
    for word in ("--daemon", "--process-requests", "--run-pipeline", "--status", "--halt", "Exit"):
        assert word in text
