"""Read the workspace: the state before the work, and the requests that still wait.

Only reads files. Shared by the workloads; knows none of them.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.record.history import HistoryWriter
from chaos.record.target import Queue, Target

_POLL_S = 0.4
# A request that moves from one folder to the next can be missed once, but not twice.
EMPTY_POLLS_MIN = 2
_NAMED_MAX = 20


def snapshot(workspace: Path, target: Target) -> dict[str, Any]:
    """The starting state, with which later checks compare (the plan's "record starting state").

    `draws`, `decisions` and `archived` are counts, `policy_candidates` file names. Raises
    `EnvironmentProblem` if the draw history cannot be read.
    """
    candidates = sorted(path.name for path in workspace.glob(target.paths.policy_candidates))
    decisions = workspace / target.decisions.path
    return {
        "draws": len(read_draws(workspace, target)),
        "policy_candidates": candidates,
        "decisions": decisions.read_bytes().count(b"\n") if decisions.exists() else 0,
        "archived": len(list(workspace.glob(target.queue.archived))),
    }


def unanswered(workspace: Path, queue: Queue) -> list[str]:
    """The file names of the requests that are pending or claimed."""
    waiting = [path.name for path in workspace.glob(queue.pending)]
    return waiting + [path.name for path in workspace.glob(queue.claimed)]


def read_draws(workspace: Path, target: Target) -> list[dict[str, Any]]:
    """All draws of the history. Raises `EnvironmentProblem` if it cannot be read."""
    path = workspace / target.draws.path
    try:
        draws = json.loads(path.read_text(encoding="utf-8"))[target.draws.list]
    except (OSError, ValueError, KeyError) as error:
        raise EnvironmentProblem(
            f"the draw history cannot be read: {error}",
            place=str(path),
            next_step="see the logs of the prepare commands in the run directory",
        ) from error
    return list(draws)


UNDIAGNOSED = "draw without diagnostics"  # how such an entry of what waits begins


def drain(
    list_waiting: Callable[[], list[str]], history: HistoryWriter, deadline: Deadline
) -> None:
    """Poll `list_waiting` until no request waits, or until the deadline.

    Records the event `drained`.
    """
    start_s = history.now_s()
    waiting, empty_polls = list_waiting(), 0
    while empty_polls < EMPTY_POLLS_MIN and deadline.wait(_POLL_S):
        waiting = list_waiting()
        empty_polls = 0 if waiting else empty_polls + 1
    history.event(
        "drained",
        pending=len(waiting),
        draws=sum(name.startswith(UNDIAGNOSED) for name in waiting),
        waiting=sorted(waiting)[:_NAMED_MAX],
        took_s=round(history.now_s() - start_s, 3),
        in_time=not waiting,
    )
