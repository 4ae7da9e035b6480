"""`chaos triage RUN|DIR`: triage of a stored run, or of the working directory of a Watcher.

Changes nothing. A working directory is inspected first. With --deep, a live Watcher is requested to
report its top allocators, if its target declares how.
"""

from pathlib import Path

import msgspec

from chaos.base.errors import UsageError
from chaos.record.rundir import RunDir, find, is_file
from chaos.record.target import Target
from chaos.triage.result import Triage

DEFAULT_TARGET = "reference"  # of every command with --target


def explain(reference: str, runs: Path, *, target: str, deep: bool) -> Triage:
    """Triage of the run or the folder called `reference`.

    Raises `UsageError` if it is neither, and `ChaosError` for a run without its config.
    """
    folder = Path(reference)
    if not is_file(folder / "config.json") and folder.is_dir() and not _is_run(folder, runs):
        return _workspace(folder, target, deep=deep)
    return _run(find(reference, runs))


def _is_run(folder: Path, runs: Path) -> bool:
    """True if the path of an existing folder is also the name of a run (`soak_c/latest`).

    Raises `ChaosError` for a run without its config.
    """
    try:
        find(str(folder), runs)
    except UsageError:
        return False
    return True


def _run(run: RunDir) -> Triage:
    from chaos.record.open_run import OpenRun
    from chaos.runner.judge import verdict_of
    from chaos.triage.from_run import triage_run

    with OpenRun(run) as opened:
        return triage_run(opened, verdict_of(opened))


def _workspace(folder: Path, name: str, *, deep: bool) -> Triage:
    from chaos.monitor.instance import OwnFile, instance_of
    from chaos.runner.resolve import is_path, read_target
    from chaos.triage.from_workspace import triage_workspace
    from chaos.witness.inspection import DEEP, QUICK, inspect

    target: Target = read_target(name)[1]
    place = folder.resolve()
    queue, log = target.work.submit.folder, target.decisions.path
    if not (queue and (place / queue).is_dir()) and not (log and (place / log).is_file()):
        raise UsageError(
            f"neither a run nor a working directory of target {name!r}: no {queue}/, no {log}",
            place=str(folder),
            next_step="name a run, or the folder that the Watcher works in; another Watcher is "
            "named with --target",
        )
    snapshot = inspect(
        target,
        place,
        why="asked",
        bounds=DEEP if deep else QUICK,
        ask=deep,
        watcher=OwnFile(instance_of(target), place)() if deep else None,
    )
    # Next steps can be pasted in any folder, so a path becomes absolute.
    word = str(Path(name).resolve()) if is_path(name) else name
    named = "" if name == DEFAULT_TARGET else word
    return triage_workspace(target, place, msgspec.to_builtins(snapshot), named=named)
