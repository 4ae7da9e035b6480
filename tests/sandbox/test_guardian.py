"""The guardian: exit codes, signals, crashes, and no process left, whichever process is killed."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from chaos.sandbox.guardian import Options
from tests.sandbox.guarded import INSIDE, Start
from tests.waiting import wait_for

pytestmark = pytest.mark.stack

MODES = ["namespaces", "plain"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("code", [0, 2, 6])
def test_the_inner_exit_code_is_passed_through(start: Start, mode: str, code: int) -> None:
    """The caller gets the exit code of the run."""
    assert start(code=code, mode=mode).exit_code() == code


@pytest.mark.parametrize("mode", MODES)
def test_an_exit_code_without_its_verdict_is_a_crash(
    start: Start, tmp_path: Path, mode: str
) -> None:
    """Exit code 1 without a verdict, as after an uncaught exception, is not a product failure."""
    judged = tmp_path / "judged"
    guarded = start(
        code=1,
        mode=mode,
        expect=tmp_path / "verdict.json",
        on_crash=[sys.executable, "-c", f"open({str(judged)!r}, 'w')"],
    )
    assert guarded.exit_code() == 4
    assert judged.exists()


def test_a_product_failure_found_after_a_crash_is_kept(start: Start, tmp_path: Path) -> None:
    """A failure that was proven before the crash stays proven."""
    judge = [sys.executable, "-c", "raise SystemExit(1)"]
    guarded = start(code=0, expect=tmp_path / "verdict.json", on_crash=judge)
    assert guarded.exit_code() == 1


def test_exit_1_with_a_verdict_is_a_product_failure(start: Start, tmp_path: Path) -> None:
    """The guardian does not judge again."""
    (tmp_path / "verdict.json").write_text("{}")
    judge = [sys.executable, "-c", "raise SystemExit(99)"]
    assert start(code=1, expect=tmp_path / "verdict.json", on_crash=judge).exit_code() == 1


def test_a_judge_that_cannot_start_is_exit_4(start: Start, tmp_path: Path) -> None:
    """With the reason, and without a traceback."""
    guarded = start(code=0, expect=tmp_path / "verdict.json", on_crash=["/nowhere/judge"])
    output = guarded.output()
    assert guarded.exit_code() == 4
    assert "cannot run /nowhere/judge" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_run(start: Start, mode: str, signum: signal.Signals) -> None:
    """The run handles the signal, and decides the exit code."""
    guarded = start("hold", "tree", mode=mode)
    guarded.ready()
    guarded.process.send_signal(signum)
    assert guarded.exit_code() == 130
    assert json.loads((guarded.folder / "signals").read_text()) == [
        signal.SIGINT if signum == signal.SIGINT else signal.SIGTERM
    ]
    guarded.await_nothing_left()


def test_ctrl_c_reaches_the_run_once(start: Start) -> None:
    """A terminal signals the whole foreground group, and the run must not get a second signal."""
    guarded = start("hold")
    guarded.ready()
    os.killpg(guarded.process.pid, signal.SIGINT)
    assert guarded.exit_code() == 130
    assert json.loads((guarded.folder / "signals").read_text()) == [signal.SIGINT]


def test_a_third_signal_kills_a_run_that_does_not_react(start: Start) -> None:
    """A hung run (here: stopped) cannot keep its user waiting."""
    guarded = start("hold", "tree")
    guarded.ready()
    os.kill(guarded.chain()["run"], signal.SIGSTOP)
    for _ in range(3):
        guarded.process.send_signal(signal.SIGTERM)
        # Equal signals that are pending at the same time are merged.
        wait_for("the guardian takes it", lambda: not pending(guarded.process.pid))
    assert guarded.exit_code() == 130
    guarded.await_nothing_left()


def pending(pid: int) -> int:
    """The mask of signals that are sent to the process and not yet taken; 0 once it has ended."""
    status = Path("/proc", str(pid), "status").read_text()
    masks = re.findall(r"^S(?:ig|hd)Pnd:\s*(\w+)$", status, re.MULTILINE)
    return 0 if "State:\tZ" in status else sum(int(mask, 16) for mask in masks)


@pytest.mark.parametrize("moment", range(4))
def test_a_signal_during_the_start_leaves_no_process(start: Start, moment: int) -> None:
    """At any moment of the start."""
    guarded = start("hold", "tree")
    time.sleep(random.Random(moment).uniform(0.0, 0.12))
    guarded.process.terminate()
    assert guarded.exit_code() in (130, -signal.SIGTERM)
    guarded.await_nothing_left()


@pytest.mark.parametrize("moment", range(5))
@pytest.mark.parametrize("victim", ["guardian", "unshare", "init", "run"])
def test_kill_9_of_any_process_leaves_no_process(start: Start, victim: str, moment: int) -> None:
    """SIGKILL of one process of the chain, at a random moment, ends all of them."""
    guarded = start("hold", "tree", "enter")
    pid = wait_for(f"{victim} exists", lambda: guarded.chain().get(victim) or guarded.ended())
    time.sleep(random.Random(f"{victim}{moment}").uniform(0.0, 0.15))
    os.kill(pid, signal.SIGKILL)
    expected = -signal.SIGKILL if victim == "guardian" else 4
    assert guarded.exit_code() == expected
    guarded.await_nothing_left()


@pytest.mark.parametrize("victim", ["guardian", "init", "run"])
def test_kill_9_leaves_no_process_without_namespaces(start: Start, victim: str) -> None:
    """In plain mode, also a process in another session whose parent has ended."""
    guarded = start("hold", "tree", mode="plain")
    guarded.ready()
    os.kill(guarded.chain()[victim], signal.SIGKILL)
    assert guarded.exit_code() == (-signal.SIGKILL if victim == "guardian" else 4)
    guarded.await_nothing_left()


def test_processes_that_a_plain_run_leaves_are_killed_and_reported(start: Start) -> None:
    """Also if the run itself ended with exit code 0."""
    guarded = start("tree", mode="plain")
    output = guarded.output()
    assert guarded.exit_code() == 0
    assert "left behind" in output
    guarded.await_nothing_left()


def test_the_guardian_imports_no_library_of_the_harness(start: Start) -> None:
    """The guardian stays in memory for hours."""
    guarded = start("hold")
    guarded.ready()
    status = Path(f"/proc/{guarded.process.pid}/status").read_text()
    anonymous_kb = next(
        int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")
    )
    assert anonymous_kb < 8_000


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--bogus", "x"],
        ["--run-id", "r"],
        ["--run-id", "r", "--mode", "magic", "--inner", "1", "true"],
    ],
)
def test_an_invalid_command_line_is_rejected(words: list[str]) -> None:
    """No argument is guessed."""
    with pytest.raises(SystemExit):
        Options(words)


def test_the_inner_program_exists() -> None:
    """Without it the tests above could pass for the wrong reason."""
    assert INSIDE.is_file()
