"""Who runs a run: the process that a run directory belongs to, and what carries its mark.

Every process of a stack inherits `CHAOS_RUN_ID` in its environment: that, and nothing else, says
that a process is ours. A process id alone is never trusted; it comes with its start time.
"""

import os

import psutil

from chaos.base.errors import ChaosError
from chaos.record.rundir import RunDir

RUN_ID_VARIABLE = "CHAOS_RUN_ID"
# Whatever a file may hold: not ours, no such keys, numbers that are no process, no end of lists.
_UNREADABLE = (
    ChaosError,
    OSError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    RecursionError,
)


def claim(run: RunDir, pid: int | None = None) -> None:
    """Record the calling process, or `pid`, as the one that runs `run`."""
    owner = psutil.Process(pid)
    content = {"pid": owner.pid, "started_s": owner.create_time()}
    run.write_json(run.path / "owner.json", content)


def is_alive(run: RunDir) -> bool:
    """Whether the process that runs `run` still exists. `ChaosError` when nobody can tell."""
    path = run.path / "owner.json"
    if not path.exists():
        return False
    try:
        owner = run.read_json(path)
        pid, started_s = int(owner["pid"]), float(owner["started_s"])
        return bool(psutil.Process(pid).create_time() == started_s)
    except psutil.NoSuchProcess:
        return False
    except _UNREADABLE as error:
        raise ChaosError(
            f"it does not say who runs the run: {type(error).__name__}",
            place=str(path),
            next_step="remove the file once no process of the run is left",
        ) from error


def goes_on(run: RunDir) -> bool:
    """Whether `run` is known to be going on; False when nobody can tell."""
    try:
        return is_alive(run)
    except ChaosError:
        return False


def processes_of(run_id: str) -> list[psutil.Process]:
    """Processes marked with `run_id` that this user may see, without the calling one."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.environ().get(RUN_ID_VARIABLE) == run_id:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue  # gone, or another user's: not ours either way
    return found
