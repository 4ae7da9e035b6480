"""`chaos clean`: undo what a run left behind. Idempotent; touches only what carries our mark.

For each run that nobody runs any more: ends its marked processes, and undoes the open entries of
its ledger. One failure does not stop the others; what remains is said, and the exit code is 6.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import psutil

from chaos.exitcode import ExitCode
from chaos.faults.ledger import Ledger
from chaos.faults.registry import fault_kind
from chaos.owner import is_alive, processes_of
from chaos.rundir import CONTAINERS, RunDir, find

_KILL_LIMIT_S = 5.0


def clean(reference: str | None, root: Path, say: Callable[[str], None] = print) -> int:
    """Clean one run, or all runs below `root`. Returns the exit code."""
    runs = [find(reference, root)] if reference else _runs(root)
    left: list[str] = []
    for run in runs:
        if is_alive(run):
            say(f"{run.path}: still running, left alone")
            continue
        left += _clean_run(run, say)
    for item in left:
        say(f"could not undo: {item}")
    if not left:
        say(f"clean: {len(runs)} run(s) looked at, nothing is left behind")
    return int(ExitCode.CLEANUP_INCOMPLETE if left else ExitCode.PASS)


def _runs(root: Path) -> list[RunDir]:
    return [
        RunDir(path.parent)
        for pattern in ("*/*/config.json", "gate/*/*/*/config.json")  # also the runs of gates
        for path in sorted(root.glob(pattern))
        if not path.parent.is_symlink()
    ]


def _clean_run(run: RunDir, say: Callable[[str], None]) -> list[str]:
    left = _end_processes(run, say) + _remove_workspace(run, say) + _remove_containers(run, say)
    ledger = Ledger(run.ledger)
    for entry in ledger.open_entries():
        what = f"fault {entry.fault_id} ({entry.name}) of {run.path}"
        try:
            if entry.scope == "host":
                fault_kind(entry.name).undo(entry.undo)
        except Exception as error:  # a failed undo is reported, and the next one still tried
            left.append(f"{what}: {error}")
            continue
        why = "undone by its record" if entry.scope == "host" else "the stack it lived in is gone"
        ledger.close(entry.fault_id, f"chaos clean: {why}")
        say(f"{what}: {why}")
    return left


def _remove_workspace(run: RunDir, say: Callable[[str], None]) -> list[str]:
    """What a run without a sandbox worked in; in a sandbox the kernel has removed it."""
    workspace = run.path / "workspace"
    if workspace.is_symlink() or not workspace.is_dir():
        return []
    try:
        shutil.rmtree(workspace)
    except OSError as error:
        return [f"{workspace}: {error.strerror}"]
    say(f"{workspace}: removed")
    return []


def _remove_containers(run: RunDir, say: Callable[[str], None]) -> list[str]:
    """What a run in containers made in the engine, by its label; the run directory's owner too."""
    if not (run.path / CONTAINERS).is_file():
        return []
    from chaos.containers.leftovers import remove  # the SDK is slow to import

    return remove(run, lambda text: say(f"{run.path}: {text}"))


def _end_processes(run: RunDir, say: Callable[[str], None]) -> list[str]:
    ours = processes_of(run.run_id)
    for process in ours:
        try:
            say(f"{run.path}: ending process {process.pid} ({process.name()})")
            process.kill()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(ours, timeout=_KILL_LIMIT_S)
    return [f"process {process.pid} of {run.path}" for process in alive]
