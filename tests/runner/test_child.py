"""A run as a child process: each signal reaches it once, and it does not outlive its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.record.owner import is_alive
from chaos.record.rundir import RunDir, create
from chaos.runner import child
from chaos.runner.child import Interrupts, run_child
from chaos.runner.launch import Prepared
from tests.waiting import wait_for

LIMIT_S = 20.0

# Stands for a guardian: notes every signal, ends with code 7 on the first, unless it is stubborn.
GUARDIAN = """
import os, signal, sys, time
def note(number, _frame):
    with open(sys.argv[1], "a") as stream:
        stream.write(f"{number}\\n")
    if sys.argv[2] != "stubborn":
        time.sleep(0.3)  # a second signal would be noted, too
        os._exit(7)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, note)
open(sys.argv[1], "w").close()
if sys.argv[2] == "quick":
    sys.exit(3)
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    time.sleep(0.05)
"""
PARENT = """
import sys
from pathlib import Path
from chaos.runner.child import Interrupts, run_child
from chaos.runner.launch import Prepared
from chaos.record.rundir import RunDir
with Interrupts() as interrupts:
    run = RunDir(Path(sys.argv[1]))
    import os
    code = run_child(Prepared(run, sys.argv[2:], dict(os.environ)), interrupts, 60)
sys.exit(code + 10 if interrupts.event.is_set() else code)
"""


def prepared(tmp_path: Path, kind: str) -> tuple[Prepared, Path]:
    run = create(tmp_path, "soak_c", 1)
    noted = tmp_path / "noted"
    argv = [sys.executable, "-c", GUARDIAN, str(noted), kind]
    return Prepared(run, argv, dict(os.environ)), noted


def start_parent(tmp_path: Path) -> tuple[subprocess.Popen[bytes], RunDir, Path]:
    item, noted = prepared(tmp_path, "waiting")
    argv = [sys.executable, "-c", PARENT, str(item.run.path), *item.argv]
    return subprocess.Popen(argv, start_new_session=True), item.run, noted


def test_exit_code_of_the_child_is_returned(tmp_path: Path) -> None:
    item, _ = prepared(tmp_path, "quick")
    with Interrupts() as interrupts:
        assert run_child(item, interrupts, LIMIT_S) == 3
    assert not is_alive(item.run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to_group", [True, False])
def test_signal_reaches_the_child_exactly_once(
    number: signal.Signals, to_group: bool, tmp_path: Path
) -> None:
    """Also Ctrl-C, which a terminal sends to the whole foreground group."""
    parent, run, noted = start_parent(tmp_path)
    wait_for("the guardian takes signals", noted.exists)
    assert is_alive(run)
    if to_group:
        os.killpg(parent.pid, number)
    else:
        parent.send_signal(number)
    assert parent.wait(LIMIT_S) == 17
    assert noted.read_text().split() == [str(int(number))]


def test_child_gets_sigterm_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent, run, noted = start_parent(tmp_path)
    wait_for("the guardian takes signals", noted.exists)
    parent.kill()
    parent.wait(LIMIT_S)
    wait_for("the run has ended", lambda: not is_alive(run))
    assert noted.read_text().split() == [str(int(signal.SIGTERM))]


def test_child_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_END_LIMIT_S", 0.2)
    item, noted = prepared(tmp_path, "stubborn")
    with Interrupts() as interrupts:
        assert run_child(item, interrupts, 2.0) == -signal.SIGKILL
    assert noted.read_text().split() == [str(int(signal.SIGTERM))]
