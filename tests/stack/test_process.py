"""Services as processes: ready by evidence, stopped for certain, with all that they started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.proc import processes
from chaos.base.stopping import RunStopped
from chaos.stack.process import LocalService, Surroundings, run_command, tail
from chaos.stack.proctree import await_gone
from tests.waiting import wait_for

# Starts a child in a session of its own, then writes both pids and sleeps.
PROGRAM = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"],
                         start_new_session="session" in sys.argv)
Path(".part").write_text(json.dumps([os.getpid(), child.pid]))
Path(".part").replace("ready.json")
print("said something", flush=True)
while True:
    time.sleep(0.005)
    Path("beat").write_text(str(time.monotonic()))
"""

Make = Callable[..., LocalService]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """`make(*options, program=PROGRAM, ...)` -> a service, not started; killed afterwards."""
    made: list[LocalService] = []

    def one(*options: str, program: str = PROGRAM, **more: object) -> LocalService:
        settings = {"ready_file": tmp_path / "ready.json", **more}
        made.append(
            LocalService(
                "tiny",
                [sys.executable, "-c", program, *options],
                Surroundings(tmp_path, dict(os.environ)),
                tmp_path / "tiny.log",
                **settings,  # type: ignore[arg-type]
            )
        )
        return made[-1]

    yield one
    for service in made:
        service.kill()


def states(pids: list[int]) -> set[str]:
    return {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids}


def test_start_returns_when_the_ready_file_is_written(make: Make, tmp_path: Path) -> None:
    """The ready file of this start is there; pid and tree are known; output is in the log."""
    service = make()
    service.start()
    parent, child = json.loads((tmp_path / "ready.json").read_text())
    assert service.pid() == parent
    assert sorted(service.pids()) == sorted([parent, child])
    assert service.exit_code() is None
    wait_for("a log", lambda: tail(service.log))
    assert tail(service.log) == "said something"


def test_old_ready_file_does_not_count(make: Make, tmp_path: Path) -> None:
    """Left by an earlier start, it proves nothing."""
    (tmp_path / "ready.json").write_text("[]")
    service = make(program="import time; time.sleep(600)", ready_limit_s=0.3)
    with pytest.raises(EnvironmentProblem, match="not ready within"):
        service.start()


def test_second_start_changes_nothing(make: Make) -> None:
    """Never two processes of one service."""
    service = make()
    service.start()
    first = service.pid()
    service.start()
    assert service.pid() == first


def test_death_at_the_start_is_reported_with_the_log(make: Make) -> None:
    """At once, not after the time limit."""
    service = make(program="import sys; sys.exit('no such thing')")
    with pytest.raises(EnvironmentProblem, match=r"exit code 1.*\n.*no such thing"):
        service.start()


def test_waiting_for_ready_can_be_cancelled(make: Make) -> None:
    """Ctrl-C must not wait for a time limit."""
    cancel = threading.Event()
    cancel.set()
    service = make(program="import time; time.sleep(600)", cancel=cancel)
    with pytest.raises(RunStopped):
        service.start()


@pytest.mark.parametrize("where", ["same", "session"])
def test_stop_sends_the_stop_signal_first_and_leaves_no_child(
    make: Make, tmp_path: Path, where: str
) -> None:
    """The exit code is the program's own; children are gone too, also in other sessions."""
    service = make(where)
    service.start()
    pids = service.pids()
    stopped = service.stop(10.0)
    assert (stopped.exit_code, stopped.killed) == (3, False)
    assert service.exit_code() == 3
    # One that left the session is known only while its parent lives: the sandbox takes it.
    owned = pids if where == "same" else pids[:1]
    assert await_gone(owned, 0.0) == []
    for pid in await_gone(pids, 0.0):
        os.kill(pid, signal.SIGKILL)


def test_stop_kills_a_service_that_ignores_its_signal(make: Make) -> None:
    """And says so."""
    service = make("stubborn")
    service.start()
    pids = service.pids()
    stopped = service.stop(0.2)
    assert (stopped.exit_code, stopped.killed) == (-signal.SIGKILL, True)
    assert stopped.took_s >= 0.2
    assert await_gone(pids, 0.0) == []


def test_paused_service_can_be_stopped(make: Make) -> None:
    """It is woken, so that it can end in its own way."""
    service = make()
    service.start()
    service.pause()
    assert service.stop(10.0).exit_code == 3


def test_stop_of_a_service_that_never_ran_does_nothing(make: Make) -> None:
    """No process, no exit code."""
    service = make()
    assert service.stop(1.0).exit_code is None
    assert not service.alive()
    assert service.pids() == []


def test_kill_ends_the_whole_tree(make: Make) -> None:
    """SIGKILL, also for a child with a session of its own."""
    service = make("session")
    service.start()
    pids = service.pids()
    service.kill()
    assert service.exit_code() == -signal.SIGKILL
    assert await_gone(pids, 0.0) == []


def test_pause_and_resume_reach_the_whole_tree(make: Make) -> None:
    """Stopped means stopped: all states are T, and none afterwards."""
    service = make("session")
    service.start()
    service.pause()
    wait_for("all are stopped", lambda: states(service.pids()) == {"T"})
    service.resume()
    wait_for("all go on", lambda: "T" not in states(service.pids()))


def test_service_outlives_the_thread_that_started_it(make: Make) -> None:
    """The kernel sends the parent-death signal when the *thread* that forked ends."""
    service = make()
    thread = threading.Thread(target=service.start)
    thread.start()
    thread.join(30)
    assert not Deadline(0.2).wait(0.2)
    assert service.alive()


def test_unknown_program_is_an_error(tmp_path: Path) -> None:
    """Not a traceback from the depths of subprocess."""
    with pytest.raises(EnvironmentProblem, match="no program 'no-such-program'"):
        run_command(["no-such-program"], Surroundings(tmp_path, dict(os.environ)), 1.0)


def test_command_runs_to_its_end(tmp_path: Path) -> None:
    """Exit code, both outputs, the last 4 kB."""
    code = "import sys; print('x' * 9000); print('end', file=sys.stderr); sys.exit(5)"
    where = Surroundings(tmp_path, dict(os.environ))
    done = run_command([sys.executable, "-c", code], where, 30.0)
    assert done.exit_code == 5
    assert len(done.output) == 4096
    assert "end" in done.output


def test_command_that_exceeds_its_limit_is_killed_with_its_children(tmp_path: Path) -> None:
    """Exit code None; nothing is left of it."""
    mark = f"sleep-{os.getpid()}-{tmp_path.name}"
    code = (
        "import subprocess, sys, time\n"
        "nap = 'import time; time.sleep(600)'\n"
        f"subprocess.Popen([sys.executable, '-S', '-c', nap, '{mark}'])\n"
        "time.sleep(600)\n"
    )
    where = Surroundings(tmp_path, dict(os.environ))
    done = run_command([sys.executable, "-c", code, mark], where, 0.5)
    assert done.exit_code is None
    marked = []
    for process in processes():
        with contextlib.suppress(OSError):  # ended since it was listed
            if mark.encode() in Path(f"/proc/{process.pid}/cmdline").read_bytes():
                marked.append(process)
    assert marked == []


def test_command_returns_although_its_child_keeps_stdout_open(tmp_path: Path) -> None:
    """A daemon that keeps stdout open is no reason to wait."""
    code = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"
    where = Surroundings(tmp_path, dict(os.environ))
    done = run_command([sys.executable, "-c", code], where, 60.0)
    os.kill(int(done.output), signal.SIGKILL)
    assert done.exit_code == 0
    assert done.took_s < 60.0
