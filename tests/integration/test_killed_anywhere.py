"""SIGKILL at fifty random moments over all kinds of faults: nothing is left, by nobody's help or
after `chaos clean`, and nothing outside the run directory has changed.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chaos.faults.ledger import Ledger
from chaos.faults.registry import our_kinds
from chaos.record.rundir import RunDir
from tests.integration.command import REPO, await_gone, chaos, finish, settings, start
from tests.waiting import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.slow(seconds=25)]

MOMENTS = 50
KINDS = sorted(our_kinds())
# At every change: one before its fault strikes (even) and one after it (odd). The rest with the
# long tests.
EVERY_TIME = (14, 3)
MOMENTS_MARKED = [
    number if number in EVERY_TIME else pytest.param(number, marks=pytest.mark.long)
    for number in range(MOMENTS)
]
HOLD_S = 5.0
LAST_MOMENT_S = 13.0  # by then the fault has struck, on an idle machine
STRIKE_LIMIT_S = 120.0
END_LIMIT_S = 120.0


def tree_hash(*folders: Path) -> str:
    """Names, modes and contents of all files."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if "__pycache__" in path.parts:
                continue
            digest.update(f"{path} {path.lstat().st_mode}".encode())
            if path.is_file() and not path.is_symlink():
                digest.update(path.read_bytes())
    return digest.hexdigest()


# A container engine beside us mounts and unmounts below its folders all the time.
_OF_AN_ENGINE = re.compile(r"/(overlay2|containers|netns|volumes|rootfs|image)/")


def mounts() -> set[str]:
    """Where something is mounted, as seen from outside; an engine's own left out."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {place for line in lines if not _OF_AN_ENGINE.search(place := line.split()[4])}


def run_of(runs: Path) -> RunDir | None:
    """The run directory, once there is one."""
    found = [path.parent for path in runs.glob("*/*/config.json") if not path.parent.is_symlink()]
    return RunDir(found[0].resolve()) if found else None


def await_injected(process: subprocess.Popen[str], runs: Path) -> None:
    """Until the fault strikes; a machine that cannot have it is killed at that moment as well."""

    def struck() -> bool:
        run = run_of(runs)
        if run is None or not run.history.is_file():
            return process.poll() is not None
        text = run.history.read_text(errors="replace")
        known = '"state":"injected"' in text or '"state":"unavailable"' in text
        return known or process.poll() is not None

    wait_for("the fault strikes", struck, STRIKE_LIMIT_S)


def victims(process: subprocess.Popen[str]) -> Iterator[psutil.Process]:
    """What a user may kill: the command itself, and the harness below it."""
    root = psutil.Process(process.pid)
    yield root
    for child in root.children(recursive=True):
        try:
            if "chaos.runner.inner" in " ".join(child.cmdline()):
                yield child
        except psutil.Error:
            continue


@pytest.mark.parametrize("number", MOMENTS_MARKED)
def test_run_killed_at_a_random_moment_leaves_nothing(number: int, tmp_path: Path) -> None:
    chance = random.Random(number)  # the moment is the test's own, the same every time
    kind = KINDS[number % len(KINDS)]
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "notes.txt").write_text("not part of any run")
    watched = (outside, REPO / "experiments", REPO / "images")
    before, mounted = tree_hash(*watched), mounts()
    runs = tmp_path / "runs"
    runs.mkdir()  # it may be killed before it makes a run, and `chaos clean` wants a folder
    process = start(
        runs,
        "run",
        "soak_c",
        "--fault",
        f"{kind}:hold={HOLD_S:g}s,count=1",
        "--seed",
        str(number),
        *settings(baseline_s=1, storm_s=22),
        start_new_session=True,
    )
    if number % 2:
        await_injected(process, runs)
        time.sleep(chance.uniform(0, HOLD_S + 2))
    else:
        time.sleep(chance.uniform(0.2, LAST_MOMENT_S))
    if process.poll() is None:
        chosen = chance.choice(list(victims(process)))
        os.kill(chosen.pid, signal.SIGKILL)
    finish(process, runs, END_LIMIT_S)

    run = run_of(runs)
    if run is not None:
        await_gone(run)
    cleaned = chaos(runs, "clean")
    assert cleaned.exit_code == 0, f"{kind}\n{cleaned.text}"
    again = chaos(runs, "clean")
    assert again.exit_code == 0 and "undone" not in again.stdout, again.text
    if run is not None:
        assert Ledger(run.ledger).open_entries() == []
        assert not (run.path / "workspace").exists(), "the workspace lives in the sandbox alone"
    assert mounts() <= mounted, mounts() - mounted
    assert tree_hash(*watched) == before
