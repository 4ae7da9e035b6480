"""`chaos clean`: undo what ended runs left behind. Idempotent; touches only what has our mark.

For each run that is not running: ends its marked processes, removes its workspace and containers,
and undoes the open entries of its ledger. Temporary folders of killed processes go, too. A failure
does not stop the other steps. What remains is printed, and the exit code is 6; also if a file that
lists what to undo cannot be read.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil

from chaos.base.errors import ChaosError, UsageError
from chaos.base.exitcode import ExitCode
from chaos.faults.ledger import NEXT_STEP, Ledger
from chaos.faults.registry import fault_kind
from chaos.record.owner import is_alive, processes_of
from chaos.record.rundir import CONTAINERS, RunDir, find
from chaos.runner.common_options import RUNS_DEFAULT

_KILL_LIMIT_S = 5.0
_TEMPORARY = re.compile(r"chaos-(?:sql|witness)-(\d{1,9})-\w+")  # with the id of its process
# A folder with one of these files was a run, and may have something to undo.
_MARKS = ("config.json", "ledger.jsonl", "owner.json", CONTAINERS)


def clean(reference: str | None, root: Path, say: Callable[[str], None] = print) -> int:
    """Clean one run, or all runs below `root`. Returns the exit code.

    Raises `UsageError` if there is no such run or folder; the default folder may be missing.
    """
    runs = [_named(reference, root)] if reference else _runs(root)
    left: list[str] = []
    for run in runs:
        try:
            if is_alive(run):
                say(f"{run.path}: still running, left alone")
                continue
        except ChaosError as error:  # it may still run, so leave it alone
            left.append(f"{run.path}: {error}")
            continue
        left += _clean_run(run, say)
    if reference is None:
        left += _remove_temporary(say)
    for item in left:
        say(f"could not undo: {item}")
    if not runs:
        say(f"clean: there are no runs under {root}")
    elif not left:
        say(f"clean: {len(runs)} run(s) looked at, nothing is left behind")
    return int(ExitCode.CLEANUP_INCOMPLETE if left else ExitCode.PASS)


def _remove_temporary(say: Callable[[str], None]) -> list[str]:
    """Remove our temporary folders whose process was killed; returns what cannot be removed."""
    left = []
    for folder in sorted(Path(tempfile.gettempdir()).glob("chaos-*-*-*")):
        named = _TEMPORARY.fullmatch(folder.name)
        if named is None or folder.is_symlink() or psutil.pid_exists(int(named[1])):
            continue
        try:
            if folder.lstat().st_uid == os.getuid():
                shutil.rmtree(folder)
                say(f"{folder}: removed")
        except OSError as error:
            left.append(f"{folder}: {error.strerror}")
    return left


def _named(reference: str, root: Path) -> RunDir:
    """The run of that name, even without its config: it may still list what to undo."""
    for folder in (Path(reference), root / reference):
        if folder.is_dir() and _is_run(folder):
            return RunDir(folder.resolve())
    return find(reference, root)


def _runs(root: Path) -> list[RunDir]:
    if not root.is_dir() and (root.exists() or root != RUNS_DEFAULT):
        raise UsageError(
            "not a folder" if root.exists() else "no such folder",
            place=f"--runs {root}",
            next_step="name the folder in which the runs are stored",
        )
    return [
        RunDir(path)
        for pattern in (
            "*/*",
            "gate/*/*/*",
            "sweep/*/*/*",
            "gate/*/sweep/*/*/*",
            "compare/*/*/*",
            "campaign/*/scratch/*/*/*",
        )
        for path in sorted(root.glob(pattern))
        if path.is_dir() and not path.is_symlink() and _is_run(path)
    ]


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in _MARKS)


def _clean_run(run: RunDir, say: Callable[[str], None]) -> list[str]:
    left = _end_processes(run, say) + _remove_workspace(run, say) + _remove_containers(run, say)
    ledger = Ledger(run.ledger)
    entries, damage = ledger.read()
    left += [f"{text}\n  next: {NEXT_STEP}" for text in damage]
    for entry in entries:
        what = f"fault {entry.fault_id} ({entry.name}) of {run.path}"
        why = "undone by its record" if entry.scope == "host" else "the stack it lived in is gone"
        try:
            if entry.scope == "host":
                fault_kind(entry.name).undo(entry.undo)
            ledger.close(entry.fault_id, f"chaos clean: {why}")
        except Exception as error:  # report a failed undo, and try the next one
            left.append(f"{what}: {error}")
            continue
        say(f"{what}: {why}")
    return left


def _remove_workspace(run: RunDir, say: Callable[[str], None]) -> list[str]:
    """Remove the workspace of a run without a sandbox. In a sandbox the kernel removed it."""
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
    """Remove the run's objects from the engine, and restore the run directory's owner."""
    if not (run.path / CONTAINERS).is_file():
        return []
    from chaos.runner.containers.leftovers import remove  # the SDK is slow to import

    try:
        return remove(run, lambda text: say(f"{run.path}: {text}"))
    except (OSError, RecursionError) as error:
        return [f"containers of {run.path}: {type(error).__name__}: {error}"]


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
